#!/usr/bin/env python3
"""Writes loaded_logits.json: what transformers computes of exports in the formats of compressed-tensors, in float32.

    make_logits.py BUILD        BUILD: build/release, whose bin/parity_export writes the exports

Generated with transformers 5.24.0, compressed-tensors 0.20.0, torch 2.15.0 on a CPU. The exports are those of
loaded_logits_test.cc: a random Llama of two blocks, rounded to nearest. Stored are the SHA-256 of model.safetensors and the
logits of the last of 20 tokens. The library unpacks E2M1, and the scales of mxfp8, into bfloat16 whatever the dtype that is
asked for; here it is told float32, since what is compared is the file. Tolerance 1e-3: sums of another
order, and one value of an input that such a difference puts on the other side of a rounding, are within it.
"""
import functools
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import compressed_tensors.compressors.mxfp8.base as mxfp8
import compressed_tensors.compressors.nvfp4.base as nvfp4
import torch
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).resolve().parent


def main():
    binary = pathlib.Path(sys.argv[1]).resolve() / "bin/parity_export"
    nvfp4.unpack_fp4_from_uint8 = functools.partial(nvfp4.unpack_fp4_from_uint8, dtype=torch.float32)
    powers = mxfp8.decompress_mx_scale
    mxfp8.decompress_mx_scale = lambda scale: powers(scale).float()
    tokens = (torch.arange(20)[None] * 7) % 256
    cases = {}
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([binary, "--gtest_filter=LoadedLogits.*"], env={**os.environ, "BITLAW_EXPORTS_TO": place}, check=True,
                       stdout=subprocess.DEVNULL)
        for folder in sorted(pathlib.Path(place).iterdir()):
            if folder.name == "from":
                continue
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
            with torch.no_grad():
                logits = model(tokens).logits[0, -1]
            weights = (folder / "model.safetensors").read_bytes()
            cases[folder.name] = {"sha256": hashlib.sha256(weights).hexdigest(),
                                  "logits": [float(f"{value:.6g}") for value in logits.tolist()]}
    about = "make_logits.py; transformers 5.24.0, compressed-tensors 0.20.0, torch " + torch.__version__
    (HERE / "loaded_logits.json").write_text(json.dumps({"about": about, "cases": cases}) + "\n")


main()
