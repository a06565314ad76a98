#!/usr/bin/env python3
"""Writes goldens.json: inputs of linear layers as compressed-tensors 0.20.0 rounds them (fake_quantize).

Scales and zero points are those of its calculate_qparams and generate_gparam, but for two rules that differ here (docs/study.md):
symmetric integers, scale max |x| / (2^(B - 1) - 1) where it has max |x| / (2^(B - 1) - 1/2); and mx formats, the scale of
the specification (MX v1.0, 6.3) where it rounds up from 1.75. There the scale is made here, and the numbers are its.

    pip install torch==2.15.0 compressed-tensors==0.20.0
    make_goldens.py > goldens.json
No tolerance: quotients, powers of two and products in float32 on both sides.
"""
import json
import sys

import compressed_tensors
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.utils.helpers import calculate_qparams, generate_gparam

SEED = 20240205


def numbers(tensor):
    return [float(f"{x:.9g}") for x in tensor.float().flatten().tolist()]


def of_groups(x, size):
    groups = x.reshape(x.shape[0], -1, size)
    return groups.amin(-1), groups.amax(-1)


def token(x, args, size=None):
    scale, zero = calculate_qparams(*of_groups(x, size or x.shape[1]), args)
    return fake_quantize(x, scale, zero, args)


def tensor(x, seen, args):
    scale, zero = calculate_qparams(seen.min().reshape(1), seen.max().reshape(1), args)
    return fake_quantize(x, scale, zero, args)


def given(x, scale, args):
    return fake_quantize(x, scale, torch.zeros_like(scale), args)


def symmetric(x, seen, bits, args, size=None):
    if seen is not None:
        return given(x, seen.abs().max().reshape(1) / (2 ** (bits - 1) - 1), args)
    return given(x, torch.maximum(*[v.abs() for v in of_groups(x, size or x.shape[1])]) / (2 ** (bits - 1) - 1), args)


def mx(x, bits, exponent):
    largest = torch.maximum(*[v.abs() for v in of_groups(x, 32)])
    scale = torch.exp2(torch.floor(torch.log2(largest)) - exponent)
    return given(x, scale, QuantizationArgs(num_bits=bits, type="float", strategy="group", group_size=32))


def nvfp4(x, seen):
    args = QuantizationArgs(num_bits=4, type="float", strategy="tensor_group", group_size=16, dynamic="local",
                            scale_dtype=torch.float8_e4m3fn, zp_dtype=torch.float8_e4m3fn)
    gparam = generate_gparam(seen.min(), seen.max())
    scale, zero = calculate_qparams(*of_groups(x, 16), args, global_scale=gparam)
    return fake_quantize(x, scale, zero, args, global_scale=gparam)


def integers(bits, strategy, is_symmetric, **more):
    return QuantizationArgs(num_bits=bits, type="int", symmetric=is_symmetric, strategy=strategy,
                            dynamic=strategy != "tensor", **more)


def main():
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(6, 64, generator=generator) * torch.exp(torch.randn(64, generator=generator))
    seen = torch.randn(40, 64, generator=generator) * 1.5  # A calibration set that some of x lies outside.
    fp8 = dict(num_bits=8, type="float")
    wide = torch.cat([x, seen])  # One that holds x.
    cases = [
        ({"bits": 8, "symmetric": False}, x, None, token(x, integers(8, "token", False))),
        ({"bits": 4, "symmetric": False}, x, None, token(x, integers(4, "token", False))),
        ({"bits": 4, "symmetric": False, "group_size": 16}, x, None,
         token(x, integers(4, "group", False, group_size=16), 16)),
        ({"bits": 8, "symmetric": False, "per_token": False}, x, seen, tensor(x, seen, integers(8, "tensor", False))),
        ({"bits": 4, "symmetric": False, "per_token": False}, x, seen, tensor(x, seen, integers(4, "tensor", False))),
        ({"bits": 8, "symmetric": True}, x, None, symmetric(x, None, 8, integers(8, "token", True))),
        ({"bits": 4, "symmetric": True, "group_size": 32}, x, None,
         symmetric(x, None, 4, integers(4, "group", True, group_size=32), 32)),
        ({"bits": 8, "symmetric": True, "per_token": False}, x, wide,
         symmetric(x, wide, 8, integers(8, "tensor", True))),
        ({"bits": 8, "format": "fp8_e4m3"}, x, None, token(x, QuantizationArgs(strategy="token", dynamic=True, **fp8))),
        ({"bits": 8, "format": "fp8_e4m3", "per_token": False}, x, seen,
         tensor(x, seen, QuantizationArgs(strategy="tensor", **fp8))),
        ({"bits": 8, "format": "fp8_e4m3", "group_size": 32}, x, None,
         token(x, QuantizationArgs(strategy="group", group_size=32, dynamic=True, **fp8), 32)),
        ({"bits": 4, "format": "mxfp4"}, x, None, mx(x, 4, 2)),
        ({"bits": 8, "format": "mxfp8"}, x, None, mx(x, 8, 8)),
        ({"bits": 4, "format": "nvfp4"}, x, wide, nvfp4(x, wide)),
        ({"bits": 4, "format": "nvfp4"}, x, seen, nvfp4(x, seen)),
    ]
    json.dump({"about": {"compressed-tensors": compressed_tensors.__version__, "torch": torch.__version__, "seed": SEED},
               "inputs": numbers(x), "channels": x.shape[1],
               "cases": [{"grid": grid, "range": None if s is None else numbers(torch.stack([s.min(), s.max()])),
                          "rounded": numbers(rounded)} for grid, _, s, rounded in cases]}, sys.stdout, indent=None)
    sys.stdout.write("\n")


main()
