"""Times GPTQ by llm-compressor and by bitlaw on the same weights, text and threads, in turn, in one run.

Usage: python benchmark.py SmolLM2-135M-Instruct.Q4_1.gguf TEXT path/to/bitlaw... [--rounds 2] [--sequences 32]
                           [--tokens 512] [--bits 4] [--group 64] [--threads 2]
                           [--order stored]

Needs torch, transformers, gguf and llmcompressor (0.14). Both compute in float32 on the CPU: asymmetric grids, damp
0.01, columns as stored (bitlaw's preset ist), or with --order default by falling diagonal of H with groups as stored, which both
do by default; llm-compressor with grids of the weights as they are, its only rule. Of llm-compressor the
clock runs in `oneshot` alone, the model being loaded and the text cut into tokens; of bitlaw it is `time.total_s`,
beside which the whole process is given, whose processor time is counted. Several programs of bitlaw (before, after)
take their turns too. Paths are absolute. Prints each time, then medians and ratios.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = "1"


def compressor_seconds(given):
    """Runs in a process of its own, as bitlaw does."""
    import torch
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(given.threads)
    gguf, folder = pathlib.Path(given.gguf), pathlib.Path(given.folder)
    if not folder.is_dir():
        read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        del read.config.quantization_config
        plain = AutoModelForCausalLM.from_config(read.config, dtype=torch.float32)
        plain.load_state_dict(read.state_dict())
        plain.save_pretrained(folder)
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(pathlib.Path(given.text).read_text(encoding="utf-8"))["input_ids"]
    rows = [ids[i * given.tokens:(i + 1) * given.tokens] for i in range(given.sequences)]
    assert len(rows[-1]) == given.tokens, "the text is too short"
    data = Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * given.tokens] * given.sequences})
    weights = {"num_bits": given.bits, "type": "int", "symmetric": False, "strategy": "group", "group_size": given.group}
    recipe = GPTQModifier(config_groups={"all": {"targets": ["Linear"], "weights": weights}}, ignore=["lm_head"],
                          dampening_frac=0.01, **({"actorder": None} if given.order == "stored" else {}))
    began, began_cpu = time.monotonic(), time.process_time()
    oneshot(model=model, processor=tokenizer, dataset=data, recipe=recipe,
            num_calibration_samples=given.sequences, max_seq_length=given.tokens,
            shuffle_calibration_samples=False)
    return time.monotonic() - began, time.process_time() - began_cpu


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bitlaw_seconds(given, program):
    preset = ["--option", "preset=ist"] if given.order == "stored" else []
    words = [program, "quantize", given.gguf, "--quantizer", "gptq", *preset, "--option", f"bits={given.bits}",
             "--option", f"group_size={given.group}", "--corpus", given.text, "--sequences", str(given.sequences), "--tokens",
             str(given.tokens), "--threads", str(given.threads), "--json"]
    began, began_cpu = time.monotonic(), children_cpu()
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout)["time"]["total_s"], children_cpu() - began_cpu, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gguf")
    parser.add_argument("text")
    parser.add_argument("bitlaw", nargs="*")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sequences", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--order", choices=("stored", "default"), default="stored")
    parser.add_argument("--seconds-to", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.seconds_to:
        pathlib.Path(given.seconds_to).write_text(json.dumps(compressor_seconds(given)))
        return
    times = {}

    def note(name, wall, cpu, more=""):
        times.setdefault(name, []).append((wall, cpu))
        print(f"{name}: {wall:.1f} s, {cpu:.1f} s of processor time{more}, load {os.getloadavg()[0]:.1f}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(given.rounds):
            seconds = pathlib.Path(scratch) / "seconds"
            subprocess.run([sys.executable, *sys.argv, "--seconds-to", str(seconds), "--folder", f"{scratch}/model"],
                           check=True, cwd=scratch, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env={**os.environ, "OMP_NUM_THREADS": str(given.threads)})
            note("llm-compressor", *json.loads(seconds.read_text()))
            for program in given.bitlaw:
                total, cpu, process = bitlaw_seconds(given, program)
                note(program, total, cpu, f", process {process:.1f} s")
    peer = [statistics.median(column) for column in zip(*times["llm-compressor"])]
    for name, both in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*both))
        print(f"{name}: median {wall:.1f} s, llm-compressor's is {peer[0] / wall:.2f} times that; in processor time "
              f"{peer[1] / cpu:.2f} times")


if __name__ == "__main__":
    main()
