#!/usr/bin/env python3
"""Writes goldens.safetensors: codes that the public GPTQ reference gives for fixed synthetic layers.

    python3 make_goldens.py CLONE_OF_IST_DASLAB_GPTQ goldens.safetensors

The clone's gptq.py and quant.py are imported as they stand and run on the CPU. They return dequantized weights only;
codes, scales and zero points are read off the calls that they make. The layers themselves are not stored: the test
draws them again from the seeds (xoshiro256**, exact arithmetic), inputs are multiples of 1/16 and few enough that
every entry of H is exact in float32, and n = 2 makes its factor 2 / n one.

A code is decided by a comparison; where float32 cannot tell the two sides apart, two correct programs may differ, and
all later codes of that row with them. "ties" lists these places as row * C_in + step of the walk:
  code  w / scale within TOLERANCE * max(1, |w / scale|) of a half;
  zero  the same for -min / scale, at the step where the group's grid is found;
  mse   the two best ranges of the search within TOLERANCE of each other, likewise.
The differences come from the order of summation in matrix products and in LAPACK.
"""
import datetime
import json
import subprocess
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

TOLERANCE = 1e-5
DATE = "2026-11-22"
MASK = (1 << 64) - 1
LAYERS = {  # name: (seed, C_out, C_in, dead columns)
    "wide": (11, 64, 256, [7, 100, 101]),
    "narrow": (12, 48, 384, [0, 200]),
    "alive": (13, 32, 128, []),
}


class Rng:
    """bitlaw::Rng."""

    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & MASK
            z = seed
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            self.s.append(z ^ (z >> 31))

    def uniform(self):
        s = self.s
        x = (s[1] * 5) & MASK
        x = ((x << 7) | (x >> 57)) & MASK
        x = (x * 9) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = ((s[3] << 45) | (s[3] >> 19)) & MASK
        return (x >> 11) * 2.0**-53

    def bell(self):
        return self.uniform() + self.uniform() + self.uniform() + self.uniform() - 2


def draw_layer(seed, rows, columns, dead):
    rng = Rng(seed)
    weight = np.array([[0.02 * rng.bell() for _ in range(columns)] for _ in range(rows)])
    weight[3] = np.abs(weight[3])  # a row without a negative
    weight[5] = 0
    gain = [0.25 + 2 * rng.uniform() for _ in range(columns)]
    inputs = np.zeros((512, columns))
    for t in range(512):
        x = 0.0
        for j in range(columns):
            x = 0.9 * x + rng.bell()
            inputs[t, j] = min(max(np.rint(x * gain[j] * 16) / 16, -8.0), 8.0)
    inputs[:, dead] = 0
    return weight.astype(np.float32), inputs.astype(np.float32).reshape(2, 256, columns)


def near_half(v, tolerance):
    return (v - torch.floor(v) - 0.5).abs() < tolerance * v.abs().clamp(min=1)


class Recorder:
    """Stands between gptq.py and quant.py and writes down what passes."""

    def __init__(self, gptq, quant, rows):
        self.rows, self.codes, self.scales, self.zeros, self.ties = rows, [], [], [], set()
        self.original_quantize, self.original_find = gptq.quantize, quant.Quantizer.find_params
        self.gptq, self.quant = gptq, quant
        self.in_walk = False

    def __enter__(self):
        def quantize(x, scale, zero, maxq):
            v = (x / scale).flatten()
            step = len(self.codes)
            self.codes.append(torch.clamp(torch.round(v) + zero.flatten(), 0, maxq).to(torch.uint8))
            self.scales.append(scale.flatten().clone())
            self.zeros.append(zero.flatten().to(torch.uint8))
            self.mark(near_half(v, TOLERANCE), step)
            return self.original_quantize(x, scale, zero, maxq)

        def find_params(quantizer, x, weight=False):
            self.original_find(quantizer, x, weight)
            low, high = x.min(1)[0].clamp(max=0), x.max(1)[0].clamp(min=0)
            step = len(self.codes)
            if not quantizer.sym:
                self.mark(near_half(-low * quantizer.maxq / (high - low).clamp(min=1e-30), TOLERANCE), step)
            if quantizer.mse:
                self.mark(self.close_search(quantizer, x), step)

        self.gptq.quantize, self.quant.Quantizer.find_params = quantize, find_params
        return self

    def __exit__(self, *_):
        self.gptq.quantize, self.quant.Quantizer.find_params = self.original_quantize, self.original_find

    def mark(self, where, step):
        for row in torch.nonzero(where).flatten().tolist():
            self.ties.add((row, step))

    def close_search(self, quantizer, x):
        """Rows whose best two ranges with different grids are as good as each other."""
        x = x.double()
        low, high = x.min(1)[0].clamp(max=0), x.max(1)[0].clamp(min=0)
        if quantizer.sym:
            high = torch.maximum(low.abs(), high)
            low = torch.where(low < 0, -high, low)
        errors = []
        for i in range(int(quantizer.maxshrink * quantizer.grid)):
            p = 1 - i / quantizer.grid
            scale = (p * (high - low) / quantizer.maxq).clamp(min=1e-30)
            zero = quantizer.zero.flatten().double() if quantizer.sym else torch.round(-p * low / scale)
            q = self.original_quantize(x, scale.unsqueeze(1), zero.unsqueeze(1), quantizer.maxq)
            errors.append((q - x).abs().pow(quantizer.norm).sum(1))
        best = torch.stack(errors).sort(0)[0]
        return (best[1] - best[0]) <= TOLERANCE * best[0]


def in_float64(function, last):
    def wrapped(matrix, **options):
        result = function(matrix.double(), **options)
        return result.float() if options.get("upper", False) == last else result
    return wrapped


def run(gptq, quant, layer, inputs_by_layer, bits, group, sym, act_order, static, mse, factor64):
    weight, inputs = inputs_by_layer[layer]
    rows, columns = weight.shape
    linear = torch.nn.Linear(columns, rows, bias=False)
    linear.weight.data = torch.from_numpy(weight.copy())
    solver = gptq.GPTQ(linear)
    solver.quantizer = quant.Quantizer()
    solver.quantizer.configure(bits, perchannel=True, sym=sym, mse=mse)
    x = torch.from_numpy(inputs.copy())
    solver.add_batch(x, linear(x))
    hessian = solver.H.clone()
    assert torch.equal(hessian, (x.double().reshape(-1, columns).t() @ x.double().reshape(-1, columns)).float())

    originals = torch.linalg.cholesky, torch.cholesky_inverse
    if factor64:
        torch.linalg.cholesky = in_float64(originals[0], True)
        torch.cholesky_inverse = in_float64(originals[1], None)
    try:
        with Recorder(gptq, quant, rows) as seen:
            solver.fasterquant(blocksize=128, percdamp=0.01, groupsize=group, actorder=act_order, static_groups=static)
    finally:
        torch.linalg.cholesky, torch.cholesky_inverse = originals
    diagonal = torch.diag(hessian).clone()
    diagonal[diagonal == 0] = 1
    order = torch.argsort(diagonal, descending=True) if act_order else torch.arange(columns)
    assert not act_order or torch.unique(diagonal[diagonal != 1]).numel() == (diagonal != 1).sum(), "tied diagonal"

    size = columns if group == -1 else group
    groups = -(-columns // size)
    is_static = static and group != -1
    group_of_step = (order if is_static else torch.arange(columns)) // size
    scales, zeros = torch.zeros(rows, groups), torch.zeros(rows, groups, dtype=torch.uint8)
    for step in range(columns):
        scales[:, group_of_step[step]] = seen.scales[step]
        zeros[:, group_of_step[step]] = seen.zeros[step]
    walked = torch.stack(seen.codes, 1)  # [rows, step]
    codes = torch.zeros_like(walked)
    codes[:, order] = walked
    group_index = torch.zeros(columns, dtype=torch.int32)
    group_index[order] = group_of_step.to(torch.int32)
    # What was read off must be what the reference returned.
    g = group_index.long()
    again = scales[:, g] * (codes.float() - zeros.float()[:, g])
    assert torch.equal(again, linear.weight.data), "the recorded codes are not the reference's weights"

    error = linear.weight.data.double() - torch.from_numpy(weight).double()
    whole = torch.from_numpy(weight).double()
    h = hessian.double()
    relative = ((error @ h) * error).sum() / ((whole @ h) * whole).sum()
    return {
        "codes": pack(codes.numpy(), bits),
        "scales": scales.numpy(),
        "zeros": zeros.numpy(),
        "order": order.numpy().astype(np.uint16),
        "ties": np.array(sorted(row * columns + step for row, step in seen.ties), dtype=np.int32),
    }, float(relative)


def pack(codes, bits):
    """bitlaw::PackCodes."""
    planes = (codes.flatten()[:, None] >> np.arange(bits)) & 1
    return np.packbits(planes.flatten().astype(np.uint8), bitorder="little")


def main():
    clone, output = sys.argv[1:3]
    sys.path.insert(0, clone)
    torch.cuda.synchronize = lambda *_: None
    torch.set_num_threads(1)
    import gptq
    import quant

    cases = []
    for bits in (2, 3, 4, 8):
        for group in (-1, 32, 128, 192):
            for sym in (False, True):
                if bits == 8 and (group in (32, 192)):
                    continue
                cases.append(("wide", bits, group, sym, False, False, False, False))
    for bits in (2, 4):
        for group in (-1, 32, 128):
            for act_order, static in ((True, False), (True, True), (False, True)):
                if group == -1 and static:
                    continue
                cases.append(("narrow", bits, group, bits == 4, act_order, static, False, False))
    for bits, group, sym in ((2, 32, False), (3, -1, True), (3, 128, False), (4, 64, True)):
        cases.append(("alive", bits, group, sym, False, False, True, False))
    for bits, group, sym in ((3, 32, False), (3, 128, True), (4, -1, False)):
        cases.append(("narrow", bits, group, sym, False, False, False, True))

    layers = {name: draw_layer(*shape) for name, shape in LAYERS.items()}
    tensors, listing = {}, []
    for layer, bits, group, sym, act_order, static, mse, factor64 in cases:
        name = f"{layer}_b{bits}_g{group}_{'sym' if sym else 'asym'}"
        name += "_act" * act_order + "_static" * static + "_mse" * mse + "_f64" * factor64
        result, relative = run(gptq, quant, layer, layers, bits, group, sym, act_order, static, mse, factor64)
        for key, value in result.items():
            if key != "order" or act_order:
                tensors[f"{name}.{key}"] = value
        listing.append(dict(name=name, layer=layer, bits=bits, group_size=group, symmetric=sym, act_order=act_order,
                            static_groups=static, mse=mse, factor_float64=factor64, hessian_error=relative))
        print(name, "ties", len(result["ties"]), "error %.5f" % relative)
    commit = subprocess.run(["git", "-C", clone, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    shapes = {name: dict(seed=s, rows=r, columns=c, dead=d) for name, (s, r, c, d) in LAYERS.items()}
    save_file(tensors, output, metadata={
        "generator": f"tests/parity/gptq/make_goldens.py with IST-DASLab/gptq {commit or '2d65066eeb06'}, gptq.py and "
                     f"quant.py unchanged, CPU, float32",
        "versions": f"torch {torch.__version__}, numpy {np.__version__}",
        "date": DATE,
        "tolerance": f"codes equal, except in a row after a place where the deciding number lies within {TOLERANCE} of "
                     "its boundary: sums in another order move it by about that much",
        "layers": json.dumps(shapes),
        "cases": json.dumps(listing),
    })


if __name__ == "__main__":
    main()
