#!/usr/bin/env python3
"""Writes goldens.json: one layer's codes as the public programs pack them.

    make_goldens.py goldens.json

compressed_tensors   pack_to_int32() of compressed-tensors
gptq_v2              pack_original() of GPTQModel's TorchLinear, of the layer's weights in float32

Generated with compressed-tensors 0.20.0, GPTQModel 7.7.0, torch 2.15.0. Packing is exact, so there is no tolerance. The layer:
code(o, j) = (7 o + 5 j + o j) mod 2^bits, zero(o, g) = (o + 3 g) mod 2^bits, scale(o, g) = (1 + (o mod 4) + g / 4) / 64,
[64, 96], three groups of 32 columns. Stored are SHA-256 of the tensors' bytes and their shapes.
"""
import hashlib
import json
import sys

import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from gptqmodel.nn_modules.qlinear.torch import TorchLinear

ROWS, COLUMNS, GROUP = 64, 96, 32


def layer(bits):
    o, j, g = torch.arange(ROWS)[:, None], torch.arange(COLUMNS)[None], torch.arange(COLUMNS // GROUP)[None]
    codes = (7 * o + 5 * j + o * j) % 2**bits
    zeros = (o + 3 * g) % 2**bits
    scales = (1 + o % 4 + g / 4) / 64
    return codes, zeros, scales.float()


def card(tensor):
    data = tensor.contiguous().numpy().tobytes()
    return {"shape": list(tensor.shape), "sha256": hashlib.sha256(data).hexdigest()}


def compressed(bits):
    codes, zeros, _ = layer(bits)
    middle = 2 ** (bits - 1)
    return {"weight_packed": card(pack_to_int32((codes - middle).to(torch.int8), bits)),
            "weight_zero_point": card(pack_to_int32((zeros - middle).to(torch.int8), bits, packed_dim=0))}


def gptq(bits):
    codes, zeros, scales = layer(bits)
    group = torch.arange(COLUMNS) // GROUP
    linear = torch.nn.Linear(COLUMNS, ROWS, bias=False)
    linear.weight.data = scales[:, group] * (codes - zeros[:, group])
    packed = TorchLinear(bits=bits, group_size=GROUP, sym=False, desc_act=False, in_features=COLUMNS, out_features=ROWS,
                         bias=False, pack_dtype=torch.int32, register_buffers=True)
    packed.pack_original(linear, scales, zeros, group.int())
    return {"qweight": card(packed.qweight), "qzeros": card(packed.qzeros), "scales": card(packed.scales),
            "g_idx": card(packed.g_idx.int())}


def main():
    goldens = {"about": "make_goldens.py; compressed-tensors 0.20.0, GPTQModel 7.7.0, torch " + torch.__version__,
               "compressed_tensors": {str(bits): compressed(bits) for bits in (2, 3, 4, 5, 6, 7, 8)},
               "gptq_v2": {str(bits): gptq(bits) for bits in (2, 3, 4, 8)}}
    with open(sys.argv[1], "w") as file:
        json.dump(goldens, file, indent=1)
        file.write("\n")


main()
