"""Quantizes the first blocks of an 8B model on the CPU and compares its peak memory with what its shapes say.

Usage: python run.py --bitlaw BIN --tokenizer DIR --text FILE [--model DIR] [--blocks N] [--sequences N] [--tokens N]
                     [--threads N]

A checkpoint of random bfloat16 weights in the shape of Qwen3-8B, cut after `--blocks` blocks, is made among the
system's temporary files (3.7 GB for three; needs torch) unless `--model` names one, and is removed. DIR of the
tokenizer and FILE are those of tests/gpu (README there). Codes are written to a temporary file. Expected is the sum of:
two blocks, the hidden states and the inputs of a stage for all calibration tokens, the Hessian of the largest input and
its factor, and 1 GiB. Exit code 1 if the peak, pages of the checkpoint that are resident included, is above it.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
GIB = 1 << 30
WHOLE_BLOCKS, WHOLE_TOKENS = 36, 128 * 2048


class Sizes:
    """Bytes, from the configuration of the checkpoint."""

    def __init__(self, config):
        hidden, ffn = config["hidden_size"], config["intermediate_size"]
        queries = config["num_attention_heads"] * config["head_dim"]
        keys = config["num_key_value_heads"] * config["head_dim"]
        self.weights = hidden * (2 * queries + 2 * keys + 3 * ffn)  # Of one block.
        self.token_bytes = 2 * (hidden + max(hidden, queries, ffn))
        self.matrix_bytes = 4 * max(hidden, queries, ffn) ** 2

    def expected(self, tokens):
        return {
            "two blocks": 2 * 2 * self.weights,
            "activations": tokens * self.token_bytes,
            "Hessian and factor": 2 * self.matrix_bytes,
            "all else": GIB,
        }


def quantize(given, model, codes):
    words = [given.bitlaw, "quantize", model, "--dtype", "bfloat16", "--threads", str(given.threads), "--option",
             "bits=4", "--option", "group_size=128", "--corpus", given.text, "--sequences", str(given.sequences),
             "--tokens", str(given.tokens), "--output", codes, "--json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    end = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(end.stdout), after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def report(given, sizes, found, processor_s):
    tokens = given.sequences * given.tokens
    parts = sizes.expected(tokens)
    peak, expected = found["peak_memory_bytes"], sum(parts.values())
    print(f"{given.blocks} blocks, {given.sequences} x {given.tokens} tokens, {given.threads} threads")
    print("expected  " + " + ".join(f"{name} {part / GIB:.2f}" for name, part in parts.items())
          + f" = {expected / GIB:.2f} GiB")
    print(f"peak      {peak / GIB:.2f} GiB: {'within' if peak <= expected else 'ABOVE'} it")
    time = found["time"]
    print(f"time      {time['total_s']:.0f} s, of the processor {processor_s:.0f} s; " + ", ".join(
        f"{name} {time[name + '_s']:.0f}" for name in ("forward", "statistics", "quantize", "install")))
    for whole in (tokens, WHOLE_TOKENS):
        seconds = (time["forward_s"] + time["statistics_s"]) * whole / tokens + time["quantize_s"] + time["install_s"]
        memory = sum(sizes.expected(whole).values())
        print(f"estimate  {WHOLE_BLOCKS} blocks, {whole} tokens: {seconds * WHOLE_BLOCKS / given.blocks / 3600:.1f} h, "
              f"{memory / GIB:.1f} GiB")
    return 0 if peak <= expected else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bitlaw", required=True, type=pathlib.Path)
    parser.add_argument("--tokenizer", type=pathlib.Path)
    parser.add_argument("--text", required=True, type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.model is None and given.tokenizer is None:
        parser.error("give --model, or --tokenizer to make one with")
    with tempfile.TemporaryDirectory(prefix="bitlaw-memory-") as folder:
        model = given.model
        if model is None:
            model = pathlib.Path(folder)
            subprocess.run([sys.executable, HERE.parent / "gpu" / "make_model.py", "--shape", "8b", "--layers",
                            str(given.blocks), "--tokenizer", given.tokenizer, "--out", model, "--device", "cpu"],
                           check=True)
        config = json.loads((model / "config.json").read_text())
        given.blocks = config["num_hidden_layers"]
        found, processor_s = quantize(given, model, pathlib.Path(folder) / "codes")
    return report(given, Sizes(config), found, processor_s)


if __name__ == "__main__":
    sys.exit(main())
