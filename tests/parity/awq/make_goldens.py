#!/usr/bin/env python3
"""Writes goldens.json: scales and clipped ranges that AutoAWQ finds for small random layers.

Generated with autoawq 0.2.9 (AwqQuantizer._search_best_scale and _compute_best_clip of awq/quantize/quantizer.py, run as
they are), torch 2.15.0, on the CPU in float32:
    pip download --no-deps --no-binary :all: autoawq==0.2.9; tar xzf autoawq-0.2.9.tar.gz
    PYTHONPATH=autoawq-0.2.9 make_goldens.py > goldens.json
What that file imports for other purposes (kernels, data sets, accelerate) is replaced by empty modules.

Scales are equal to 1e-5: means of float32 are summed in another order. The exponent is the same one of twenty: the
least loss is less than the next by more than 1e-5 of itself, which this script checks.
"""
import importlib.util
import json
import os
import sys
from unittest import mock

import torch

SEED = 20230601
GROUP = 16


def load(folder):
    for name in ("awq.utils.calib_data", "awq.quantize.scale", "awq.utils.utils", "awq.modules.linear", "awq.utils.module"):
        sys.modules[name] = mock.MagicMock()
    sys.modules["awq.utils.utils"].get_best_device = lambda: "cpu"
    spec = importlib.util.spec_from_file_location("quantizer", os.path.join(folder, "awq/quantize/quantizer.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AwqQuantizer


class Readers(torch.nn.Module):
    """What reads one input: all outputs side by side."""

    def __init__(self, linears):
        super().__init__()
        self.linears = torch.nn.ModuleList(linears)

    def state_dict(self, *args, **kwargs):
        # What AutoAWQ keeps to put back are copies on a GPU; on the CPU they would be the weights that it scales.
        return {name: value.clone() for name, value in super().state_dict(*args, **kwargs).items()}

    def forward(self, x):
        return torch.cat([linear(x) for linear in self.linears], -1)


def quantizer(kind, bits, duo):
    made = object.__new__(kind)
    made.w_bit, made.group_size, made.zero_point, made.duo_scaling = bits, GROUP, True, duo
    made.n_parallel_calib_samples, made.max_chunk_memory = None, 1 << 30
    return made


def linear(weight):
    made = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    made.weight.data = weight.clone()
    return made


def best_scale(kind, bits, duo, weights, x):
    made, losses = quantizer(kind, bits, duo), []
    plain = made._compute_loss
    made._compute_loss = lambda *args: losses.append(plain(*args)) or losses[-1]
    linears = [linear(w) for w in weights]
    scales = made._search_best_scale(torch.nn.Module(), None, linears, x, Readers(linears))[2]
    least = sorted(losses)
    assert least[1] > least[0] * (1 + 1e-5), losses
    return {"bits": bits, "duo_scaling": duo, "exponent": losses.index(least[0]) / len(losses),
            "loss": least[0], "scales": short([scales.tolist()])[0]}


def best_clip(kind, bits, weight, x):
    # Rows in batches of 64 are all that it takes: the same rows again fill them up.
    whole = weight.repeat(64 // weight.shape[0], 1)
    largest = quantizer(kind, bits, False)._compute_best_clip(whole, x)[:weight.shape[0], :, 0]
    return {"bits": bits, "largest": short(largest.tolist())}


def short(rows, digits=9):
    return [[float(f"{x:.{digits}g}") for x in row] for row in rows]


def rounded(tensor, digits=3):
    return torch.tensor([[round(x, digits) for x in row] for row in tensor.tolist()])


def main():
    torch.manual_seed(SEED)
    kind = load(next(p for p in sys.path if os.path.isdir(os.path.join(p, "awq", "quantize"))))
    x = rounded(torch.randn(40, 32) * torch.randn(32).mul(1.2).exp())
    weights = [rounded(0.3 * torch.randn(rows, 32)) for rows in (6, 10)]
    clipped = rounded(0.3 * torch.randn(8, 32))
    cases = [best_scale(kind, bits, duo, weights, x) for bits in (2, 3, 4) for duo in (False, True)]
    json.dump({"about": f"make_goldens.py; autoawq 0.2.9, torch {torch.__version__}, seed {SEED}",
               "group_size": GROUP, "inputs": short(x.tolist(), 6), "weights": [short(w.tolist(), 6) for w in weights],
               "cases": cases, "clipped": short(clipped.tolist(), 6),
               "clips": [best_clip(kind, bits, clipped, x) for bits in (2, 3, 4)]}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
