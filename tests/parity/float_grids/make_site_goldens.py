#!/usr/bin/env python3
"""Writes site_goldens.json: NVFP4 of layers that read one input, by llm-compressor, which gives them one tensor scale.

A Llama of one block, weights of whole multiples of 1/1024, q and v times others so that the largest weights of q, k and v
and of gate and up differ; oneshot with QuantizationModifier, scheme NVFP4A16, saved as a checkpoint.

    pip install llmcompressor==0.14.0      (compressed-tensors 0.19.0, transformers 5.17.0)
    make_site_goldens.py site_goldens.json
No tolerance: a scale is a quotient in float32, and codes and block scales are compared as stored bytes.
"""
import importlib.metadata
import json
import os
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

SEED = 20240917
SIZES = {"q_proj": 130, "k_proj": 60, "v_proj": 30, "up_proj": 90}
SITES = [("self_attn", ("q_proj", "k_proj", "v_proj")), ("self_attn", ("o_proj",)), ("mlp", ("gate_proj", "up_proj")),
         ("mlp", ("down_proj",))]


def main():
    os.environ["HF_HUB_OFFLINE"] = "1"
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import QuantizationModifier

    torch.manual_seed(SEED)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                                         num_attention_heads=2, num_key_value_heads=1, head_dim=8)).float()
    whole = {}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            leaf = name.split(".")[-2]
            if not leaf.endswith("_proj"):
                continue
            whole[leaf] = (torch.randn_like(weight) * SIZES.get(leaf, 50)).round()
            weight.copy_(whole[leaf] / 1024)
    with tempfile.TemporaryDirectory() as top:
        model.save_pretrained(top + "/plain")
        model = LlamaForCausalLM.from_pretrained(top + "/plain", dtype=torch.float32)
        model = oneshot(model=model, recipe=QuantizationModifier(targets="Linear", scheme="NVFP4A16", ignore=["lm_head"]))
        model.save_pretrained(top + "/quantized")
        stored = load_file(top + "/quantized/model.safetensors")
    sites = []
    for part, names in SITES:
        layers = []
        for name in names:
            def of(tensor, place=f"model.layers.0.{part}.{name}."):
                return stored[place + tensor]

            layers.append({"name": name, "weight_1024": whole[name].int().tolist(),
                           "global_scale": float(f"{of('weight_global_scale').item():.9g}"),
                           "scale": of("weight_scale").view(torch.uint8).tolist(),
                           "packed": of("weight_packed").tolist()})
        sites.append(layers)
    about = (f"make_site_goldens.py; llm-compressor {importlib.metadata.version('llmcompressor')}, compressed-tensors "
             f"{importlib.metadata.version('compressed-tensors')}, torch {torch.__version__}, seed {SEED}")
    with open(sys.argv[1], "w") as file:
        json.dump({"about": about, "sites": sites}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
