"""Times lm-evaluation-harness and bitlaw on the same weights, items and threads, one after the other, in one run.

Usage: python benchmark.py SmolLM2-135M-Instruct.Q4_1.gguf DATA path/to/bitlaw [--threads 2] [--items N]
                           [--dtype float32|bfloat16] [TASK...]

Needs what make_goldens.py needs. Both sides compute on the CPU in the same dtype. Times are of answering requests alone:
the harness's clock runs in the calls of its model, bitlaw's `elapsed_s` also covers making prompts and scores. The harness
runs at each of its batch sizes and its best time counts; bitlaw runs as it comes. Before each task the harness has read a
few items, so that nothing is loaded while the clock runs. Prints a Markdown table; docs/benchmarks.md says what to write
beside it.

`ten_choices` are items of BIG-Bench Hard with ten choices or more, each scored as text.
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
DEFAULT = {"mmlu_5shot": (16, (1, 4)), "ten_choices": (8, (1, 8)), "hellaswag": (24, (1, 8)), "arc_easy": (40, (1, 8)),
           "gsm8k": (8, (8,)), "triviaqa_5shot": (24, (8, 24)), "wikitext2_word": (3, (1, 4))}


class Clock:
    """Adds up the time that a model's calls take."""

    def __init__(self, lm):
        self.seconds = 0.0
        for name in ("loglikelihood", "loglikelihood_rolling", "generate_until"):
            setattr(lm, name, self.timed(getattr(lm, name)))

    def timed(self, call):
        def run(*arguments, **named):
            began = time.monotonic()
            result = call(*arguments, **named)
            self.seconds += time.monotonic() - began
            return result
        return run


def many_choices(data, count):
    rows = [json.loads(line) for line in (data / "eval" / "bbh_mc.jsonl").read_text(encoding="utf-8").split("\n") if line]
    rows = [row for row in rows if len(row["choices"]) >= 10]
    return rows[:: max(1, len(rows) // count)][:count]


def harness_task(goldens, manager, name, count, data, scratch):
    if name != "ten_choices":
        goldens.TASKS[name] = (goldens.TASKS[name][0], count, *goldens.TASKS[name][2:])
        published, config, generation, _ = goldens.config_of(name, data, scratch)
    else:
        file = scratch / "ten_choices.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in many_choices(data, count)))
        published, generation = "arc_easy", None
        config = {"task": "ten_choices", "dataset_path": "json", "dataset_name": None,
                  "dataset_kwargs": {"data_files": {"test": str(file)}}, "test_split": "test", "validation_split": None,
                  "training_split": None, "fewshot_split": None, "num_fewshot": 0,
                  "doc_to_text": "Q: {{question}}\nA:", "doc_to_choice": "{{choices}}", "doc_to_target": "{{answer}}"}
    return manager._factory.build(manager._entry(published), overrides=config, registry=manager.task_index), generation


def harness_seconds(lm, clock, manager, goldens, name, count, batch_sizes, data):
    import lm_eval

    times = {}
    for size in batch_sizes:
        lm.batch_size_per_gpu = size
        with tempfile.TemporaryDirectory() as scratch:
            task, generation = harness_task(goldens, manager, name, count, data, pathlib.Path(scratch))
            clock.seconds = 0.0
            lm_eval.simple_evaluate(lm, tasks=[task], bootstrap_iters=0, gen_kwargs=generation, log_samples=False)
            times[size] = clock.seconds
    return times


def bitlaw_seconds(given, name, count, new_tokens, scratch):
    task = name
    words = [given.bitlaw, "evaluate", given.gguf, "--data", given.data, "--threads", str(given.threads), "--dtype",
             given.dtype, "--json", "-"]
    if name == "ten_choices":
        (scratch / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in many_choices(given.data, count)))
        task = scratch / "ten_choices.yaml"
        task.write_text('type: multiple_choice\nversion: "1"\ndata: items.jsonl\nprompt: "Q: {{question}}\\nA:"\n')
    else:
        words += ["--limit", str(count)]
    if name == "mmlu_5shot":
        words += ["--option", "mmlu_5shot.limit_from=first"]
    if new_tokens:
        words += ["--option", f"{name}.max_new_tokens={new_tokens}"]
    words += ["--task", task]
    result = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return result["tasks"][0], result["peak_memory_bytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("bitlaw")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--items", type=int)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("tasks", nargs="*", default=list(DEFAULT))
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)

    import torch
    import transformers
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    import make_goldens

    torch.set_num_threads(given.threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(given.gguf.parent, gguf_file=given.gguf.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(given.gguf.parent, gguf_file=given.gguf.name,
                                                              dtype=getattr(torch, given.dtype))
    lm = HFLM(pretrained=model.eval(), tokenizer=tokenizer, max_length=make_goldens.MAX_LENGTH, batch_size=1, device="cpu")
    clock, manager = Clock(lm), TaskManager()
    print(f"{given.dtype}, {given.threads} threads, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}\n")
    print("| task | items | lm-evaluation-harness s (batch size) | bitlaw s | times as fast | tokens read of those asked "
          "| bitlaw peak GiB |\n|---|---|---|---|---|---|---|")
    for name in given.tasks:
        count, batch_sizes = DEFAULT.get(name, (16, (1, 8)))
        count = given.items or count
        known = make_goldens.TASKS.get(name)
        new_tokens = ((known[5].get("generation_kwargs") or {}) if known else {}).get("max_gen_toks")
        harness_seconds(lm, clock, manager, make_goldens, name, 2, batch_sizes[:1], given.data)
        theirs = harness_seconds(lm, clock, manager, make_goldens, name, count, batch_sizes, given.data)
        size, best = min(theirs.items(), key=lambda entry: entry[1])
        with tempfile.TemporaryDirectory() as scratch:
            ours, peak = bitlaw_seconds(given, name, count, new_tokens, pathlib.Path(scratch))
        print(f"| {name} | {count} | {best:.1f} ({size}) | {ours['elapsed_s']:.1f} | {best / ours['elapsed_s']:.1f} | "
              f"{ours['tokens_computed'] / ours['tokens_requested']:.2f} | {peak / 2**30:.2f} |", flush=True)


if __name__ == "__main__":
    main()
