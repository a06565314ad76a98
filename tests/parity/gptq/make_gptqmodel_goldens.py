#!/usr/bin/env python3
"""Writes gptqmodel_goldens.safetensors: codes that GPTQModel gives for the synthetic layers of make_goldens.py.

    PYTHONPATH=GPTQModel-7.7.0 python3 make_gptqmodel_goldens.py gptqmodel_goldens.safetensors

Its classes GPTQ (act_group_aware) and GPTAQ run as they stand on the CPU, on a Hessian that is given: the same sums as
make_goldens.py has, exact in float32, so that its factor counts for nothing. For GPTAQ the unquantized model's inputs are
those of the layer plus multiples of 1/16, drawn after them, so that the cross moment is exact as well.
"ties" as in make_goldens.py.
"""
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

from make_goldens import LAYERS, TOLERANCE, Rng, draw_layer, near_half, pack

import gptqmodel
from gptqmodel.looper.named_module import NamedModule
from gptqmodel.looper.native_processor import NATIVE_INPUTS_STATE_KEY
from gptqmodel.quantization import QuantizeConfig, gar
from gptqmodel.quantization.gptaq import GPTAQ
from gptqmodel.quantization.gptq import GPTQ
from gptqmodel.quantization.quantizer import Quantizer

DATE = "2026-11-27"


def draw_drift(seed, columns, dead):
    """What the unquantized model's inputs have beside the layer's, [512, columns]."""
    rng = Rng(seed + 1000)
    drift = np.zeros((512, columns))
    for t in range(512):
        shared = rng.bell()
        for j in range(columns):
            drift[t, j] = np.rint((shared + rng.bell()) * 8) / 16
    drift[:, dead] = 0
    return drift.astype(np.float32)


class Recorder:
    """Stands before Quantizer and writes down what passes."""

    def __init__(self):
        self.codes, self.ties = [], set()
        self.quantize, self.find_params = Quantizer.quantize, Quantizer.find_params

    def __enter__(self):
        def quantize(quantizer, x):
            v = (x / quantizer.scale).flatten()
            self.codes.append(torch.clamp(torch.round(v) + quantizer.zero.flatten(), 0, quantizer.maxq).to(torch.uint8))
            self.mark(near_half(v, TOLERANCE), len(self.codes) - 1)
            return self.quantize(quantizer, x)

        def find_params(quantizer, x, weight=False):
            self.find_params(quantizer, x, weight)
            low, high = x.min(1)[0].clamp(max=0), x.max(1)[0].clamp(min=0)
            if not quantizer.qcfg.sym:
                self.mark(near_half(-low * quantizer.maxq / (high - low).clamp(min=1e-30), TOLERANCE), len(self.codes))

        Quantizer.quantize, Quantizer.find_params = quantize, find_params
        return self

    def __exit__(self, *_):
        Quantizer.quantize, Quantizer.find_params = self.quantize, self.find_params

    def mark(self, where, step):
        for row in torch.nonzero(where).flatten().tolist():
            self.ties.add((row, step))


def run(name, layer, bits, group, sym, aware, act_order, static, alpha):
    seed, rows, columns, dead = LAYERS[layer]
    weight, inputs = draw_layer(seed, rows, columns, dead)
    x = torch.from_numpy(inputs).double().reshape(-1, columns)
    hessian = (x.t() @ x).float()
    linear = torch.nn.Linear(columns, rows, bias=False)
    linear.weight.data = torch.from_numpy(weight.copy())
    config = QuantizeConfig(bits=bits, group_size=group, sym=sym, desc_act=act_order, act_group_aware=aware,
                            static_groups=static, damp_percent=0.01, gptaq={"alpha": alpha} if alpha else None)
    config.fallback = None
    module = NamedModule(linear, name=name, full_name=name, layer_index=0)
    if alpha:
        y = x + torch.from_numpy(draw_drift(seed, columns, dead)).double()
        module.state[NATIVE_INPUTS_STATE_KEY] = []
        solver = GPTAQ(module, config)
        solver.dXXT = ((y - x).t() @ x).float()
        assert torch.equal(solver.dXXT.double(), (y - x).t() @ x), "the cross moment is not exact in float32"
        solver._gptaq_batch_request_count = 2
    else:
        solver = GPTQ(module, config)
        solver.finalize_hessian = lambda target_device=None: solver.H.diagonal()
    solver.quantizer.configure(perchannel=True)
    solver.H, solver.nsamples, solver.fallback = hessian.clone(), 512, None
    with Recorder() as seen:
        dequantized, scale, zero, g_idx = solver.quantize(blocksize=128)[:4]

    diagonal = torch.diag(hessian).clone()
    diagonal[diagonal == 0] = 1
    order = torch.arange(columns)
    if act_order:
        order = torch.argsort(diagonal, descending=True)
    elif aware:
        local = gar.compute_local_perms(diagonal, group)
        order = gar.compose_final_perm(local, gar.compute_global_perm(diagonal, group), group)
        order = gar.extend_perm_with_tail(order, columns)
    codes = torch.zeros(rows, columns, dtype=torch.uint8)
    codes[:, order] = torch.stack(seen.codes, 1)
    g = g_idx.long()
    again = scale[:, g] * (codes.float() - zero[:, g])
    assert torch.equal(again, dequantized.float()), "the recorded codes are not what it returned"
    return {
        "codes": pack(codes.numpy(), bits),
        "scales": scale.float().contiguous().numpy(),
        "zeros": zero.to(torch.uint8).contiguous().numpy(),
        "order": order.numpy().astype(np.uint16),
        "ties": np.array(sorted(row * columns + step for row, step in seen.ties), dtype=np.int32),
    }


def main():
    torch.set_num_threads(1)
    cases = []  # layer, bits, group, sym, group-aware, act_order, static groups, alpha
    for bits, group, sym in ((2, 32, False), (3, 64, True), (4, 128, False), (4, 32, True)):
        cases.append(("narrow", bits, group, sym, True, False, False, 0))
    cases.append(("wide", 4, 96, True, True, False, False, 0))  # a shorter last group
    for bits, group, sym, act_order, static in ((2, 32, False, False, False), (3, 128, True, False, False),
                                                (4, 64, True, True, True), (4, -1, False, False, False)):
        cases.append(("narrow", bits, group, sym, False, act_order, static, 0.25))
    cases.append(("wide", 3, 32, False, False, False, False, 1.0))
    tensors, listing = {}, []
    for layer, bits, group, sym, aware, act_order, static, alpha in cases:
        name = f"{layer}_b{bits}_g{group}_{'sym' if sym else 'asym'}" + "_aware" * aware + "_act" * act_order
        name += "_static" * static + (f"_alpha{int(alpha * 100)}" if alpha else "")
        result = run(name, layer, bits, group, sym, aware, act_order, static, alpha)
        for key, value in result.items():
            if key != "order" or act_order or aware:
                tensors[f"{name}.{key}"] = value
        listing.append(dict(name=name, layer=layer, bits=bits, group_size=group, symmetric=sym, group_aware=aware,
                            act_order=act_order, static_groups=static, alpha=alpha))
        print(name, "ties", len(result["ties"]))
    import json
    shapes = {n: dict(seed=s, rows=r, columns=c, dead=d) for n, (s, r, c, d) in LAYERS.items()}
    save_file(tensors, sys.argv[1], metadata={
        "generator": f"tests/parity/gptq/make_gptqmodel_goldens.py with GPTQModel {gptqmodel.__version__}, CPU, float32",
        "versions": f"torch {torch.__version__}, numpy {np.__version__}",
        "date": DATE,
        "tolerance": f"codes equal, except in a row after a place where the deciding number lies within {TOLERANCE} of "
                     "its boundary",
        "cases": json.dumps(listing),
        "layers": json.dumps(shapes),
    })


if __name__ == "__main__":
    main()
