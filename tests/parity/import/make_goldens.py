#!/usr/bin/env python3
"""Writes goldens.safetensors and goldens.json: a layer as other programs store it, and what they make of it.

    make_goldens.py FOLDER AUTOAWQ          with compressed-tensors 0.20 and GPTQModel; AUTOAWQ: a checkout of it
    make_goldens.py FOLDER --earlier        with compressed-tensors 0.10, after the first: adds its cases

Generated with compressed-tensors 0.20.0 and 0.10.2, GPTQModel 7.7.0, AutoAWQ at commit 88e4c76 (awq/utils/packing_utils.py),
torch 2.15.0. A layer of [64, 96]: code(o, j) = (7 o + 5 j + o j) mod 2^bits, zero(o, g) = (o + 3 g) mod 2^bits, scale(o, g) =
(1 + (o mod 4) + g / 4) / 64, groups of 32 columns; floating-point formats round sin(o + j / 7) instead. Stored are the tensors,
the quantization_config that goes with them, and the SHA-256 of the weights that the program makes of them, in float32 (its
scales converted first), or in the dtype named. Unpacking and one product are exact, so there is no tolerance.
"""
import hashlib
import importlib.util
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

ROWS, COLUMNS, GROUP = 64, 96, 32
O, J, G = torch.arange(ROWS)[:, None], torch.arange(COLUMNS)[None], torch.arange(COLUMNS // GROUP)[None]
tensors, cases = {}, {}


def layer(bits):
    codes, zeros = (7 * O + 5 * J + O * J) % 2**bits, (O + 3 * G) % 2**bits
    return codes, zeros, ((1 + O % 4 + G / 4) / 64).half()


def add(name, config, parts, weight):
    for part, tensor in parts.items():
        tensors[f"{name}/{part}"] = tensor.contiguous().clone()
    data = weight.detach().contiguous()
    dtype = str(data.dtype).replace("torch.", "")
    data = data.view(torch.int16) if data.dtype == torch.bfloat16 else data
    assert weight.shape == (ROWS, COLUMNS) and weight.isfinite().all()
    cases[name] = {"quantization_config": config, "parts": sorted(parts), "dtype": dtype,
                   "sha256": hashlib.sha256(data.numpy().tobytes()).hexdigest()}


def compressed_config(format, weights):
    return {"quant_method": "compressed-tensors", "format": format, "quantization_status": "compressed",
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}, "ignore": ["lm_head"]}


def compressed():
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    def case(name, format, weights, state):
        scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights))
        compressor = BaseCompressor.get_value_from_registry(format)
        packed = compressor.compress(dict(state), scheme)
        exact = dict(packed)
        if exact["weight_scale"].dtype in (torch.float16, torch.bfloat16):
            exact["weight_scale"] = exact["weight_scale"].float()
        add(name, compressed_config(format, weights), packed, compressor.decompress(exact, scheme)["weight"])

    for bits in (2, 3, 4, 5, 8):
        codes, zeros, scales = layer(bits)
        middle = 2 ** (bits - 1)
        for symmetric in (True, False):
            zero = torch.full_like(zeros, middle) if symmetric else zeros
            group = torch.arange(COLUMNS) // GROUP
            state = {"weight": scales.float()[:, group] * (codes - zero[:, group]), "weight_scale": scales}
            state["weight_zero_point"] = (zero - middle).to(torch.int8)
            weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group", "group_size": GROUP}
            case(f"pack {bits} {'symmetric' if symmetric else 'asymmetric'}", "pack-quantized", weights, state)
    codes, zeros, scales = layer(4)
    row = {"weight": scales.float()[:, :1] * (codes - 8), "weight_scale": scales[:, :1].bfloat16()}
    case("pack 4 channel", "pack-quantized", {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "channel"}, row)
    codes, zeros, scales = layer(8)
    for strategy, scale in (("channel", scales[:, :1]), ("tensor", scales[:1, :1].reshape(1))):
        weights = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": strategy}
        case(f"int8 {strategy}", "int-quantized", weights, {"weight": scale.float() * (codes - 128), "weight_scale": scale})
    zero = (zeros[:, :1] - 128).to(torch.int8)
    case("int8 asymmetric", "int-quantized", {"num_bits": 8, "type": "int", "symmetric": False, "strategy": "channel"},
         {"weight": scales[:, :1].float() * (codes - zeros[:, :1]), "weight_scale": scales[:, :1], "weight_zero_point": zero})
    wave = torch.sin(O + J / 7)
    eight = {"num_bits": 8, "type": "float", "symmetric": True}
    case("float8 channel", "float-quantized", {**eight, "strategy": "channel"},
         {"weight": wave, "weight_scale": (wave.abs().amax(1, keepdim=True) / 448).bfloat16()})
    case("float8 tensor", "float-quantized", {**eight, "strategy": "tensor"},
         {"weight": wave, "weight_scale": (wave.abs().max() / 448).reshape(1)})
    blocks = wave.reshape(2, 32, 2, 48).abs().amax((1, 3)) / 448
    case("float8 block", "float-quantized", {**eight, "strategy": "block", "block_structure": [32, 48]},
         {"weight": wave, "weight_scale": blocks})
    case("mxfp8", "mxfp8-quantized", {**eight, "strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"},
         {"weight": wave, "weight_scale": 2.0 ** (-8 - (O + G) % 3).float()})
    four = {"num_bits": 4, "type": "float", "symmetric": True}
    case("mxfp4", "mxfp4-pack-quantized", {**four, "strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"},
         {"weight": wave, "weight_scale": 2.0 ** (-2 - (O + G) % 3).float()})
    narrow = torch.arange(COLUMNS // 16)[None]
    case("nvfp4", "nvfp4-pack-quantized", {**four, "strategy": "tensor_group", "group_size": 16,
                                           "scale_dtype": "torch.float8_e4m3fn"},
         {"weight": wave, "weight_scale": (100.0 + 10 * ((O + narrow) % 5)), "weight_global_scale": torch.tensor([617.5])})


def gptq():
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.quantization.config import QuantizeConfig
    from gptqmodel.utils.model import convert_gptq_v1_to_v2_format_module, convert_gptq_v2_to_v1_format_module
    for bits in (2, 3, 4, 8):
        codes, zeros, scales = layer(bits)
        for order in ("runs", "scattered"):
            group = torch.arange(COLUMNS) // GROUP if order == "runs" else torch.arange(COLUMNS) * 5 % 3
            linear = torch.nn.Linear(COLUMNS, ROWS, bias=False)
            linear.weight.data = scales.float()[:, group] * (codes - zeros[:, group])
            for version in ("gptq_v2", "gptq"):
                packed = TorchLinear(bits=bits, group_size=GROUP, sym=False, desc_act=order == "scattered", in_features=COLUMNS,
                                     out_features=ROWS, bias=False, pack_dtype=torch.int32, register_buffers=True)
                packed.pack_original(linear, scales.float(), zeros, group.int())
                if version == "gptq":
                    convert_gptq_v2_to_v1_format_module(packed, QuantizeConfig(bits=bits, group_size=GROUP))
                parts = {name: getattr(packed, name).clone() for name in ("qweight", "qzeros", "scales", "g_idx")}
                parts["g_idx"] = parts["g_idx"].int()
                if version == "gptq":
                    convert_gptq_v1_to_v2_format_module(packed, bits, torch.int32)
                packed.scales = packed.scales.float()
                packed.enable_wf_unsqueeze = True
                packed.post_init()
                weight = super(TorchLinear, packed).dequantize_weight().float().t()
                config = {"quant_method": "gptq", "bits": bits, "group_size": GROUP, "sym": False, "desc_act": order == "scattered",
                          "checkpoint_format": version}
                add(f"{version} {bits} {order}", config, parts, weight)


def awq(autoawq):
    from gptqmodel.nn_modules.qlinear.gemm_awq import _pack_awq_columns
    spec = importlib.util.spec_from_file_location("packing", pathlib.Path(autoawq) / "awq/utils/packing_utils.py")
    packing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packing)
    codes, zeros, scales = layer(4)
    group = torch.arange(COLUMNS) // GROUP
    parts = {"qweight": _pack_awq_columns(codes.t().int().contiguous(), 4), "qzeros": _pack_awq_columns(zeros.t().int().contiguous(), 4),
             "scales": scales.t()}
    weight = packing.dequantize_gemm(parts["qweight"], parts["qzeros"], parts["scales"].float(), 4, GROUP).t()
    assert torch.equal(weight, scales.float()[:, group] * (codes - zeros[:, group]))
    add("awq", {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm", "zero_point": True}, parts, weight)


def earlier():
    from compressed_tensors.compressors.quantized_compressors.pack_quantized import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs
    for bits, symmetric in ((3, True), (4, False)):
        codes, zeros, scales = layer(bits)
        for order in ("runs", "scattered"):
            # In 0.10 groups are named by g_idx, whose columns are in runs once they are sorted.
            group = torch.arange(COLUMNS) // GROUP if order == "runs" else torch.arange(COLUMNS) * 5 % 3
            middle = 2 ** (bits - 1)
            zeros = torch.full_like(zeros, middle) if symmetric else zeros
            weights = {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": "group", "group_size": GROUP}
            if order == "scattered":
                weights["actorder"] = "group"
            state = {"weight": scales.float()[:, group] * (codes - zeros[:, group]), "scale": scales,
                     "zero_point": (zeros - middle).to(torch.int8)}
            index = group.int() if order == "scattered" else None
            compressor = PackedQuantizationCompressor()
            packed = compressor.compress_weight(state["weight"], scales.float(), QuantizationArgs(**weights),
                                                zero_point=state["zero_point"], g_idx=index)
            parts = {"weight_packed": packed["weight_packed"], "weight_shape": packed["weight_shape"].long(), "weight_scale": scales}
            if not symmetric:
                parts["weight_zero_point"] = packed.get("weight_zero_point", state["zero_point"])
            if index is not None:
                parts["weight_g_idx"] = index
            exact = {**parts, "weight_scale": scales.float()}
            if not symmetric:
                exact["weight_zero_point"] = state["zero_point"]  # It packs them and reads them unpacked.
            args = QuantizationArgs(**{**weights, "symmetric": True})
            weight = compressor.decompress_weight(exact, args)
            add(f"earlier pack {bits} {order}", compressed_config("pack-quantized", weights), parts, weight.float())


def main():
    folder = pathlib.Path(sys.argv[1])
    if sys.argv[2] == "--earlier":
        tensors.update(load_file(folder / "goldens.safetensors"))
        cases.update(json.loads((folder / "goldens.json").read_text())["cases"])
        earlier()
    else:
        compressed()
        gptq()
        awq(sys.argv[2])
    save_file(tensors, folder / "goldens.safetensors")
    about = "make_goldens.py; compressed-tensors 0.20.0 and 0.10.2, GPTQModel 7.7.0, AutoAWQ, torch " + torch.__version__
    (folder / "goldens.json").write_text(json.dumps({"about": about, "cases": cases}, indent=1) + "\n")


main()
