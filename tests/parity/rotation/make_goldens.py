#!/usr/bin/env python3
"""Writes goldens.json: weights of a small model as llm-compressor's SpinQuantModifier rotates them.

Generated 2026-11-27 with llm-compressor 0.14.0, compressed-tensors 0.19 and torch 2.15.0, on the CPU in float32:
    make_goldens.py
The model is tests/parity/logits/tiny_llama; rotations R1, R2 and R4, transform_type "hadamard" (Sylvester's matrices,
without random signs), precision float64.

One step is left out: center_embeddings, which takes the mean from each row of the embedding. With RMS norms the model
then computes another function.

Of each matrix the first two rows and the last one. Their rotations are rounded to float32 where ours are computed in it:
equal to 1e-6 of the largest weight.
"""
import json
import os
import sys

import compressed_tensors
import llmcompressor
import torch
from compressed_tensors.transform import apply_transform_config
from llmcompressor.core import State
from llmcompressor.modifiers.transform.spinquant import SpinQuantModifier
from llmcompressor.utils import untie_word_embeddings
from transformers import AutoModelForCausalLM

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../logits/tiny_llama")
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
tokens = torch.arange(24).reshape(2, 12) * 7 % 300
with torch.no_grad():
    before = model(tokens).logits
    modifier = SpinQuantModifier(rotations=["R1", "R2", "R4"], transform_type="hadamard", precision=torch.float64)
    modifier.on_initialize(State(model=model))
    untie_word_embeddings(model)
    modifier._fuse_norms(model)
    apply_transform_config(model, modifier.transform_config)
    after = model(tokens).logits
difference = ((after - before).abs().max() / before.abs().max()).item()
print(f"logits differ by {difference:.2g} of the largest", file=sys.stderr)
assert difference < 1e-5, difference

weights = {}
for name, weight in model.state_dict().items():
    plain = name.replace(".parametrizations.weight.original", ".weight")
    if weight.dim() == 2 and plain.endswith(".weight") and "_input." not in plain:
        weights[plain] = [[float(f"{x:.9g}") for x in row] for row in weight[[0, 1, -1]].tolist()]
goldens = {
    "generator": f"llmcompressor {llmcompressor.__version__}, compressed-tensors {compressed_tensors.__version__}, "
                 f"torch {torch.__version__}",
    "weights": weights,
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens.json"), "w") as file:
    file.write(json.dumps(goldens) + "\n")
