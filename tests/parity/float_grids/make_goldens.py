#!/usr/bin/env python3
"""Writes goldens.json: floating-point grids of weights by programs that nobody here wrote.

compressed   compressed-tensors 0.20.0: calculate_qparams, generate_gparam and quantize with its preset schemes MXFP4A16,
             MXFP8A16, NVFP4A16 and FP8 by group, channel and tensor
ao           torchao 0.18.0: to_mx of prototype/mx_formats, scaling modes FLOOR and RCEIL
torch        casts of torch 2.15.0 to float8_e5m2, which compressed-tensors has not

    pip install torch==2.15.0 compressed-tensors==0.20.0 torchao==0.18.0
    make_goldens.py > goldens.json
No tolerance: scales are quotients and powers of two in float32, and values are those of a small format. Weights of
'ties' are multiples of 1/256, of which many lie halfway between two values.
"""
import json
import sys

import compressed_tensors
import torch
import torchao
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES
from compressed_tensors.quantization.utils.helpers import calculate_qparams, generate_gparam
from torchao.prototype.mx_formats.kernels import f4_unpacked_to_f32, unpack_uint4
from torchao.prototype.mx_formats.mx_tensor import ScaleCalculationMode, to_mx

SEED = 20230917


def matrix(tensor, digits=9):
    return [[float(f"{x:.{digits}g}") for x in row] for row in tensor.float().tolist()]


def of_groups(weight, group_size):
    groups = weight.reshape(weight.shape[0], -1, group_size)
    return groups.amin(-1), groups.amax(-1)


def compressed(weight, args, group_size):
    low, high = of_groups(weight, group_size or weight.shape[1])
    if args.strategy == "tensor":
        low, high = weight.min().reshape(1), weight.max().reshape(1)
    gparam = generate_gparam(weight.min(), weight.max()) if args.strategy == "tensor_group" else None
    scale, zero = calculate_qparams(low, high, args, global_scale=gparam)
    values = quantize(weight, scale, zero, args, dtype=torch.float32, global_scale=gparam)
    return {"scales": matrix(scale.reshape(-1, 1) if args.strategy == "tensor" else scale),
            "divisor": float(f"{gparam.item():.9g}") if gparam is not None else 1.0, "values": matrix(values)}


def ao(weight, dtype, mode):
    scale, data = to_mx(weight, dtype, 32, mode)
    if dtype == torch.float4_e2m1fn_x2:
        data = f4_unpacked_to_f32(unpack_uint4(data.view(torch.uint8)))
    return {"scales": matrix(scale), "divisor": 1.0, "values": matrix(data.reshape(weight.shape))}


def torch_e5m2(weight):
    scale = weight.abs().amax(1, keepdim=True) / torch.finfo(torch.float8_e5m2).max
    return {"scales": matrix(scale), "divisor": 1.0, "values": matrix((weight / scale).to(torch.float8_e5m2))}


def fp8(**how):
    return QuantizationArgs(num_bits=8, type="float", symmetric=True, **how)


def main():
    torch.manual_seed(SEED)
    spread = 0.05 * torch.randn(3, 64) * torch.randn(3, 64).exp()
    weights = {"spread": torch.tensor([[round(w, 4) for w in row] for row in spread.tolist()]),
               "ties": (torch.randn(3, 64) * 0.3 * 256).round() / 256}
    floor, ceil = ScaleCalculationMode.FLOOR, ScaleCalculationMode.RCEIL
    e2m1, e4m3, e5m2 = torch.float4_e2m1fn_x2, torch.float8_e4m3fn, torch.float8_e5m2
    cases = []
    for name, weight in weights.items():
        def add(grid, options, group_size, by, golden):
            cases.append({"grid": grid, "options": options, "group_size": group_size, "weight": name, "by": by, **golden})

        for grid, preset, size in [("mxfp4", "MXFP4A16", 32), ("mxfp8", "MXFP8A16", 32), ("nvfp4", "NVFP4A16", 16)]:
            options = {"scale_rule": "round"} if size == 32 else {}
            add(grid, options, size, "compressed-tensors", compressed(weight, PRESET_SCHEMES[preset]["weights"], size))
        add("fp8", {}, 32, "compressed-tensors", compressed(weight, fp8(strategy="group", group_size=32), 32))
        add("fp8", {}, -1, "compressed-tensors", compressed(weight, fp8(strategy="channel"), None))
        add("fp8", {"scale": "tensor"}, -1, "compressed-tensors", compressed(weight, fp8(strategy="tensor"), None))
        for rule, mode in [("floor", floor), ("ceil", ceil)]:
            add("mxfp4", {"scale_rule": rule}, 32, "torchao", ao(weight, e2m1, mode))
            add("mxfp8", {"scale_rule": rule}, 32, "torchao", ao(weight, e4m3, mode))
            add("mxfp8", {"scale_rule": rule, "format": "e5m2"}, 32, "torchao", ao(weight, e5m2, mode))
        add("fp8", {"format": "e5m2"}, -1, "torch", torch_e5m2(weight))
    json.dump({"about": f"make_goldens.py; compressed-tensors {compressed_tensors.__version__}, torchao "
                        f"{torchao.__version__}, torch {torch.__version__}, seed {SEED}",
               "weights": {name: matrix(weight) for name, weight in weights.items()}, "cases": cases},
              sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
