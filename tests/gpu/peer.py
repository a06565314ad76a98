"""Times the HF backend of lm-evaluation-harness on requests that bitlaw answered.

Usage: python peer.py --model DIR --requests FILE --json FILE [--device cuda] [--dtype bfloat16] [--budget-s N]

FILE of the requests holds one object a line: {"task", "kind": "loglikelihood" or "generate", "batch_sizes": [...],
"requests": [[context, continuation], ...] or [context, ...], "until", "max_new_tokens"}. What is timed is the call of
HFLM.loglikelihood or HFLM.generate_until: tokens, batches and answers, without loading. Each task is answered once
before the clock runs, likelihoods then with a float32 softmax, whose answers are kept for comparison (the harness' own
default in bfloat16 rounds likelihoods to three digits). Then each batch size runs once, in the order given, until the
budget is spent; the best counts. A size for which memory does not suffice is left out and named.

Written is {"versions", "load_s", "tasks": {task: {"best_s", "batch_size", "seconds": {size: s}, "out_of_memory",
"loglikelihoods" and "loglikelihoods_float32_softmax" or "texts" and "tokens"}}}, anew after each task. Tokens are those
that the model went through after its prompts, padding behind an end of text counted in.
"""

import argparse
import json
import logging
import os
import pathlib
import time
import traceback

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


def instances(kind, rows, until, max_new_tokens):
    from lm_eval.api.instance import Instance

    if kind == "loglikelihood":
        return [Instance("loglikelihood", {}, (context, continuation), 0) for context, continuation in rows]
    arguments = {"until": until, "max_gen_toks": max_new_tokens, "do_sample": False}
    return [Instance("generate_until", {}, (context, dict(arguments)), 0) for context in rows]


def answer(lm, task, rows, size):
    """Answers of the requests and the seconds they took; null if they do not fit memory."""
    import torch

    lm.batch_size_per_gpu = size
    lm.model.generated = 0
    call = lm.loglikelihood if task["kind"] == "loglikelihood" else lm.generate_until
    requests = instances(task["kind"], rows, task.get("until"), task.get("max_new_tokens"))
    on_gpu = lm.device.type == "cuda"
    try:
        if on_gpu:
            torch.cuda.synchronize()
        began = time.monotonic()
        answers = call(requests, disable_tqdm=True)
        if on_gpu:
            torch.cuda.synchronize()
        return answers, time.monotonic() - began
    except torch.OutOfMemoryError:
        pass
    torch.cuda.empty_cache()
    return None, None


def count_generated(model):
    """Makes model.generate() add the tokens it makes to model.generated."""
    generate = model.generate

    def counted(*arguments, **named):
        made = generate(*arguments, **named)
        model.generated += made.shape[0] * (made.shape[1] - named["input_ids"].shape[1])
        return made
    model.generate = counted


def measure(lm, task, budget_s):
    import torch

    rows, sizes = task["requests"], task["batch_sizes"]
    result = {"kind": task["kind"], "requests": len(rows), "seconds": {}, "out_of_memory": []}
    scored = task["kind"] == "loglikelihood"
    if scored:
        softmax, lm.softmax_dtype = lm.softmax_dtype, torch.float32
        answers, _ = answer(lm, task, rows, min(sizes))
        lm.softmax_dtype = softmax
        if answers:
            result["loglikelihoods_float32_softmax"] = [nats for nats, _ in answers]
    else:
        answer(lm, task, rows, min(sizes))
    spent = 0.0
    for size in sizes:
        if result["seconds"] and spent + min(result["seconds"].values()) > budget_s:
            break
        answers, seconds = answer(lm, task, rows, size)
        if answers is None:
            result["out_of_memory"].append(size)
            continue
        spent += seconds
        if seconds < min(result["seconds"].values(), default=float("inf")):
            if scored:
                result["loglikelihoods"] = [nats for nats, _ in answers]
            else:
                result["texts"], result["tokens"] = answers, lm.model.generated
        result["seconds"][size] = seconds
    if not result["seconds"]:
        raise MemoryError(f"no batch size of {sizes} fits memory")
    result["batch_size"], result["best_s"] = min(result["seconds"].items(), key=lambda entry: entry[1])
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", required=True, type=pathlib.Path)
    parser.add_argument("--json", required=True, type=pathlib.Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--budget-s", type=float, default=20)
    given = parser.parse_args()

    import lm_eval
    import torch
    import transformers
    from lm_eval.models.huggingface import HFLM

    logging.disable(logging.WARNING)
    began = time.monotonic()
    lm = HFLM(pretrained=given.model, device=given.device, dtype=given.dtype, batch_size=1)
    count_generated(lm.model)
    output = {"versions": {"lm_eval": lm_eval.__version__, "transformers": transformers.__version__,
                           "torch": torch.__version__}, "dtype": str(lm.model.dtype),
              "attention": lm.model.config._attn_implementation, "load_s": time.monotonic() - began, "tasks": {}}
    failed = False
    for line in given.requests.read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        task = json.loads(line)
        try:
            output["tasks"][task["task"]] = measure(lm, task, given.budget_s)
        except Exception:  # A task that fails must not cost the others.
            traceback.print_exc()
            failed = True
        given.json.write_text(json.dumps(output))
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
