#!/usr/bin/env python3
"""Writes kv_goldens.json: keys and values as public programs round them.

KIVI's reference (jy-yuan/KIVI, quant/new_pack.py of commit 150def81efb680e793f1ad6bc49760ae9619e511): quant_and_pack_kcache and
unpack_and_dequant_kcache with all tokens as one group, which is a static range of the same tokens. Its codes are unpacked here
by its unpack_tensor, and its scale and minimum applied in float32; it takes float16.
compressed-tensors 0.20.0, a kv_cache_scheme of 8-bit floats, static, a scale a tensor and a head (attn_head): calculate_qparams
and fake_quantize.

    pip install torch==2.15.0 compressed-tensors==0.20.0
    make_kv_goldens.py KIVI/quant/new_pack.py > kv_goldens.json
No tolerance: the same sums, quotients and products in float32 on both sides.
"""
import json
import sys
import types

import compressed_tensors
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.utils.helpers import calculate_qparams

SEED = 20240202
TOKENS, HEADS, CHANNELS = 32, 2, 8


def kivi(path):
    """Its module without triton, whose kernels are not called."""
    triton = types.ModuleType("triton")
    triton.jit = lambda function: function
    triton.language = types.ModuleType("triton.language")
    triton.language.constexpr = int
    sys.modules["triton"], sys.modules["triton.language"] = triton, triton.language
    module = types.ModuleType("new_pack")
    exec(compile(open(path).read(), path, "exec"), module.__dict__)
    return module


def numbers(tensor):
    return [float(f"{x:.9g}") for x in tensor.float().flatten().tolist()]


def per_channel(module, keys, bits):
    code, scale, least = module.quant_and_pack_kcache(keys, keys.shape[2], bits)
    codes = module.unpack_tensor(code, bits, pack_dim=2)
    return codes.float() * scale[:, :, 0] + least[:, :, 0]


def fp8(x, dims, shape, strategy):
    args = QuantizationArgs(num_bits=8, type="float", strategy=strategy)
    scale, zero = calculate_qparams(x.amin(dims).reshape(shape), x.amax(dims).reshape(shape), args)
    return fake_quantize(x, scale, zero, args)


def main():
    module = kivi(sys.argv[1])
    generator = torch.Generator().manual_seed(SEED)
    # [1, heads, tokens, channels]; some channels lie off zero, as those of keys do.
    keys = torch.randn(1, HEADS, TOKENS, CHANNELS, generator=generator)
    keys = keys * torch.exp(torch.randn(CHANNELS, generator=generator)) + 3 * torch.randn(HEADS, 1, CHANNELS, generator=generator)
    cases = [{"bits": bits, "per": "channel", "rounded": numbers(per_channel(module, keys, bits))} for bits in (2, 4, 8)]
    cases += [{"bits": 8, "format": "fp8_e4m3", "per": "tensor", "rounded": numbers(fp8(keys, (0, 1, 2, 3), (1,), "tensor"))},
              {"bits": 8, "format": "fp8_e4m3", "per": "head",
               "rounded": numbers(fp8(keys, (0, 2, 3), (HEADS, 1, 1), "attn_head"))}]
    json.dump({"about": {"compressed-tensors": compressed_tensors.__version__, "torch": torch.__version__, "seed": SEED,
                         "KIVI": "150def81efb680e793f1ad6bc49760ae9619e511"},
               "heads": HEADS, "tokens": TOKENS, "channels": CHANNELS, "keys": numbers(keys), "cases": cases}, sys.stdout)
    sys.stdout.write("\n")


main()
