#!/usr/bin/env python3
"""Writes gguf.json: what the public gguf package and transformers read in a GGUF export.

    make_gguf.py BUILD        BUILD: build/release, whose bin/parity_export writes the export

Generated with gguf 0.19.0 and transformers 5.24.0, torch 2.11.0 on a CPU. The file is that of gguf_parity_test.cc: a random
Llama of two blocks, the first quantized in every type that is written; `experts` is of a lab model's mixture, whose experts of
one block are quantized. Stored are the SHA-256 of the file, type and SHA-256 of
each tensor of that block as gguf dequantizes it (float32, no tolerance), some metadata, and the logits of the last of 20 tokens
by transformers, in float32 (tolerance 1e-4: sums of another order).
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).resolve().parent


def values_of(reader, prefix):
    """Type and SHA-256 of tensors as gguf dequantizes them."""
    tensors = {}
    for tensor in reader.tensors:
        if tensor.name.startswith(prefix):
            values = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
            tensors[tensor.name] = {"type": tensor.tensor_type.name,
                                    "sha256": hashlib.sha256(numpy.ascontiguousarray(values).tobytes()).hexdigest()}
    return tensors


def experts(path):
    reader = GGUFReader(path)
    keys = ("general.architecture", "qwen3moe.expert_count", "qwen3moe.expert_used_count", "qwen3moe.expert_feed_forward_length")
    tensors = {name: one for name, one in values_of(reader, "blk.0.ffn").items() if one["type"].startswith("Q")}
    shapes = {tensor.name: [int(size) for size in tensor.shape] for tensor in reader.tensors if tensor.name in tensors}
    assert shapes == {"blk.0.ffn_gate_exps.weight": [64, 160, 8], "blk.0.ffn_down_exps.weight": [160, 64, 8]}, shapes
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "metadata": {key: reader.fields[key].contents() for key in keys},
            "tensors": tensors}


def main():
    binary = pathlib.Path(sys.argv[1]).resolve() / "bin/parity_export"
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([binary, "--gtest_filter=GgufParity.*"], env={**os.environ, "BITLAW_EXPORTS_TO": place}, check=True,
                       stdout=subprocess.DEVNULL)
        folder = pathlib.Path(place) / "gguf_parity/to"
        path = folder / "parity.gguf"
        reader = GGUFReader(path)
        tensors = values_of(reader, "blk.0.")
        metadata = {key: reader.fields[key].contents() for key in (
            "general.architecture", "general.file_type", "llama.block_count", "llama.attention.head_count_kv",
            "llama.rope.freq_base", "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.eos_token_id")}
        assert metadata["tokenizer.ggml.pre"] == "gpt-2" and metadata["llama.block_count"] == 2, metadata
        text = "Numbers 123 and w\u00f6rds,  spaces"
        ids = AutoTokenizer.from_pretrained(folder, gguf_file=path.name)(text, add_special_tokens=False)["input_ids"]
        assert ids == list(text.encode()), ids  # One token a byte.
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=path.name, dtype=torch.float32).eval()
        with torch.no_grad():
            logits = model((torch.arange(20)[None] * 7) % 256).logits[0, -1]
        golden = {"about": "make_gguf.py; gguf 0.19.0, transformers 5.24.0, torch " + torch.__version__,
                  "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "metadata": metadata, "tensors": tensors,
                  "experts": experts(pathlib.Path(place) / "gguf_experts/experts.gguf"),
                  "logits": [float(f"{value:.7g}") for value in logits.tolist()]}
        (HERE / "gguf.json").write_text(json.dumps(golden) + "\n")


main()
