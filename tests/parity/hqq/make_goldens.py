#!/usr/bin/env python3
"""Writes goldens.json: codes, scales and zero points of Half-Quadratic Quantization by its authors' package.

Generated with hqq 0.2.8.post1 (Quantizer.quantize, hqq/core/quantize.py and optimize.py), torch 2.15.0, on the CPU, where
that code computes in float32:
    pip download --no-deps --no-binary :all: hqq==0.2.8.post1; tar xzf hqq-0.2.8.post1.tar.gz
    PYTHONPATH=hqq-0.2.8.post1 make_goldens.py > goldens.json
Its modules optimize.py, quantize.py, bitpack.py and utils.py are used as they are; the package's __init__, which wants
transformers and a GPU, is passed by.

Scales and zero points are equal to 1e-5 of their size: means of float32 are summed in another order. A code may differ by
one where w / s + z lies within 1e-3 of halfway.
"""
import importlib.util
import json
import os
import sys
import types

import torch

SEED = 20231113


def load(folder):
    for name in ("hqq", "hqq.core"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [os.path.join(folder, *name.split("."))]
    sys.modules["termcolor"] = types.ModuleType("termcolor")  # colours of messages
    sys.modules["termcolor"].colored = lambda text, *rest: text
    for name in ("utils", "bitpack", "optimize", "quantize"):
        spec = importlib.util.spec_from_file_location(f"hqq.core.{name}", os.path.join(folder, "hqq/core", name + ".py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules[f"hqq.core.{name}"] = module
        spec.loader.exec_module(module)
    return sys.modules["hqq.core.quantize"].Quantizer


def short(matrix):
    return [[float(f"{x:.9g}") for x in row] for row in matrix.tolist()]


def main():
    quantizer = load(next(p for p in sys.path if os.path.isdir(os.path.join(p, "hqq", "core"))))
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    cases = []
    for bits, group_size, axis, *rest in [(2, 16, 1), (3, 32, 1), (4, 64, 1), (8, 32, 1), (4, 16, 0), (2, 8, 0),
                                          (4, 16, 1, True), (3, 32, 1, True)]:
        round_zero = bool(rest)  # BaseQuantizeConfig sets it with 4 bits.
        rows = 4 if axis == 1 else 16
        weight = 0.05 * torch.randn(rows, 64)
        weight[3] *= torch.randn(64).exp()  # A row with outliers.
        weight = torch.tensor([[round(w, 4) for w in row] for row in weight.tolist()])
        codes, meta = quantizer.quantize(weight, nbits=bits, group_size=group_size, axis=axis, round_zero=round_zero, bitpack=False,
                                         device="cpu")
        scale, zero = meta["scale"], meta["zero"]
        shape = (rows, 64 // group_size) if axis == 1 else (rows // group_size, 64)
        cases.append({"bits": bits, "group_size": group_size, "axis": axis, "round_zero": round_zero,
                      "weight": [[round(w, 4) for w in row] for row in weight.tolist()],
                      "codes": codes.reshape(rows, 64).to(torch.uint8).tolist(),
                      "scales": short(scale.reshape(shape)),
                      "zeros": short(zero.reshape(shape))})
    json.dump({"about": f"make_goldens.py; hqq 0.2.8.post1, torch {torch.__version__}, seed {SEED}", "cases": cases},
              sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
