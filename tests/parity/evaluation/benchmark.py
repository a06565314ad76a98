"""Times lm-evaluation-harness and bitlaw on the same weights, items and threads, one after the other, in one run.

Usage: python benchmark.py SmolLM2-135M-Instruct.Q4_1.gguf DATA path/to/bitlaw [--threads 2] [--items N] [TASK...]

Needs what make_goldens.py needs. Both sides compute in float32 on the CPU. Times are of scoring alone: models are open,
data are read, and prompts of bitlaw are not made again. The harness runs at each of its batch sizes and its best time
counts; bitlaw runs as it comes. Prints a Markdown table; docs/benchmarks.md says what to write beside it.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

# task of bitlaw: (items, batch sizes that the harness tries)
DEFAULT = {"mmlu_5shot": (16, (1, 4)), "hellaswag": (40, (1, 8)), "arc_easy": (60, (1, 8)), "gsm8k": (8, (1, 8)),
           "triviaqa_5shot": (24, (1, 8))}


def harness_seconds(lm, goldens, name, count, batch_sizes, data):
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager()
    goldens.TASKS[name] = (goldens.TASKS[name][0], count, *goldens.TASKS[name][2:])
    best = None
    for size in batch_sizes:
        lm.batch_size_per_gpu = size
        with tempfile.TemporaryDirectory() as scratch:
            published, config, generation, _ = goldens.config_of(name, data, pathlib.Path(scratch))
            task = manager._factory.build(manager._entry(published), overrides=config, registry=manager.task_index)
            began = time.monotonic()
            lm_eval.simple_evaluate(lm, tasks=[task], bootstrap_iters=0, gen_kwargs=generation, log_samples=False)
            seconds = time.monotonic() - began
        best = min(best or seconds, seconds)
    return best


def bitlaw_seconds(program, gguf, data, threads, name, count, new_tokens):
    words = [program, "evaluate", gguf, "--task", name, "--data", data, "--limit", str(count), "--threads", str(threads),
             "--json", "-"]
    if name == "mmlu_5shot":
        words += ["--option", "mmlu_5shot.limit_from=first"]
    if new_tokens:
        words += ["--option", f"{name}.max_new_tokens={new_tokens}"]
    result = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return result["tasks"][0]["elapsed_s"], result["peak_memory_bytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("bitlaw")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--items", type=int)
    parser.add_argument("tasks", nargs="*", default=list(DEFAULT))
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)

    import torch
    import transformers
    from lm_eval.models.huggingface import HFLM

    import make_goldens

    torch.set_num_threads(given.threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(given.gguf.parent, gguf_file=given.gguf.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(given.gguf.parent, gguf_file=given.gguf.name,
                                                              dtype=torch.float32)
    lm = HFLM(pretrained=model.eval(), tokenizer=tokenizer, max_length=make_goldens.MAX_LENGTH, batch_size=1, device="cpu")
    print("| task | items | lm-evaluation-harness s | bitlaw s | times as fast | bitlaw peak GiB |\n|---|---|---|---|---|---|")
    for name in given.tasks:
        count, batch_sizes = DEFAULT.get(name, (16, (1, 8)))
        count = given.items or count
        new_tokens = (make_goldens.TASKS[name][5].get("generation_kwargs") or {}).get("max_gen_toks")
        theirs = harness_seconds(lm, make_goldens, name, count, batch_sizes, given.data)
        ours, peak = bitlaw_seconds(given.bitlaw, given.gguf, given.data, given.threads, name, count, new_tokens)
        print(f"| {name} | {count} | {theirs:.1f} | {ours:.1f} | {theirs / ours:.1f} | {peak / 2**30:.2f} |", flush=True)


if __name__ == "__main__":
    main()
