#!/usr/bin/env python3
"""Opens exports of a lab model with the public loaders and compares logits with the dense export's, in float32.

    check_loaders.py BUILD        BUILD: build/release, whose bin/bitlaw quantizes and exports

compressed_tensors   transformers with compressed-tensors; asymmetric layers by the library's decompress(), as transformers 5.24
                     refuses the zero points that the library itself packs
gptq_v2              GPTQModel's loader on the CPU; its layers are then multiplied out in float32, which its kernel does not compute in

Seen with transformers 5.24, compressed-tensors 0.20, GPTQModel 7.7, torch 2.15: every difference below 1e-6. Needs
them; prints one line a case and fails beyond 1e-3.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from gptqmodel import BACKEND, GPTQModel
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[3]
MODEL = ROOT / "examples/knowledge-lab/models/lab-qwen3-492k"
TEXT = ROOT / "examples/knowledge-lab/text/lab_general.jsonl"
TOKENS = (torch.arange(3, 67)[None] * 7) % 2000
CASES = [["bits=4", "group_size=32", "symmetric=true"], ["bits=3", "group_size=row", "symmetric=true"],
         ["bits=4", "group_size=32"], ["bits=3", "group_size=64"], ["bits=2", "group_size=32"],
         ["bits=8", "group_size=row"], ["bits=4", "group_size=32", "act_order=true"],
         ["bits=4", "group_size=32", "act_order=true", "group_params=static", "symmetric=true"]]


def bitlaw(build, *words):
    done = subprocess.run([build / "bin/bitlaw", *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stderr


def logits(model):
    with torch.no_grad():
        return model.eval()(TOKENS).logits.float()


def dense(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def compressed(folder, plain):
    tensors = load_file(folder / "model.safetensors")
    if any(name.endswith("weight_zero_point") for name in tensors):
        weights = json.loads((folder / "config.json").read_text())["quantization_config"]["config_groups"]["group_0"]["weights"]
        scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights))
        model = dense(plain)
        for name, module in model.named_modules():
            if name + ".weight_packed" not in tensors:
                continue
            state = {key[len(name) + 1:]: value for key, value in tensors.items() if key.startswith(name + ".weight_")}
            state["weight_scale"] = state["weight_scale"].float()
            module.weight.data = PackedQuantizationCompressor.decompress(state, scheme)["weight"].float()
        return model
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def gptq(folder):
    model = GPTQModel.load(str(folder), backend=BACKEND.TORCH, device="cpu", dtype=torch.float16).model.float()
    for name, module in list(model.named_modules()):
        if not isinstance(module, TorchLinear):
            continue
        weight = super(TorchLinear, module).dequantize_weight().float().t().contiguous()
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        linear.weight.data = weight
        parent, leaf = name.rsplit(".", 1)
        setattr(model.get_submodule(parent), leaf, linear)
    return model


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    worst = 0
    for case in CASES:
        with tempfile.TemporaryDirectory() as place:
            place = pathlib.Path(place)
            options = [word for option in case for word in ("--option", option)]
            status, error = bitlaw(build, "quantize", MODEL, "--corpus", TEXT, "--sequences", 32, "--tokens", 64, *options,
                                   "--output", place / "codes.safetensors")
            assert status == 0, error
            for name, more in (("dense", ["--option", "dtype=float32"]), ("compressed_tensors", []), ("gptq_v2", [])):
                status, error = bitlaw(build, "export", place / "codes.safetensors", "--model", MODEL, "--format", name,
                                       "--output", place / name, *more)
                if status != 0:
                    print(" ".join(case), name, "refused:", error.strip())
            expected = logits(dense(place / "dense"))
            for name, model in (("compressed_tensors", lambda: compressed(place / "compressed_tensors", place / "dense")),
                                ("gptq_v2", lambda: gptq(place / "gptq_v2"))):
                if not (place / name).exists():
                    continue
                difference = (logits(model()) - expected).abs().max().item()
                worst = max(worst, difference)
                print(" ".join(case), name, f"{difference:.2g}")
    return 0 if worst <= 1e-3 else 1


sys.exit(main())
