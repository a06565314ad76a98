"""Writes goldens.json: what lm-evaluation-harness makes of benchmark items with SmolLM2 in float32, item by item.

Usage: python make_goldens.py SmolLM2-135M-Instruct.Q4_1.gguf DATA [TASK...]

DATA is a folder in the layout of docs/evaluation.md, section Data. Needs lm_eval 0.4.13, transformers, torch, gguf.
Tasks that are named are made anew; the others stay as they are in goldens.json.

Prompts, scoring and statistics are the library's own: every task is its published one with only the data replaced by
the first items of DATA in the published schema, so the templates under test are those that published scores come
from. No text of a benchmark is written: prompts and answers appear as the first 16 hexadecimal digits of their SHA-256,
likelihoods and scores as numbers.
"""

import hashlib
import json
import os
import pathlib
import re
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import lm_eval
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils_hf import get_dtype
from lm_eval.tasks import TaskManager

HERE = pathlib.Path(__file__).resolve().parent
FILE = HERE / "goldens.json"
# More than any scored text of these tasks has, but for the pages of WikiText, whose windows it sets.
MAX_LENGTH = 2048


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def arc(row):
    labels = "ABCDEFGH"[: len(row["choices"])]
    return {"question": row["question"], "choices": {"text": row["choices"], "label": list(labels)},
            "answerKey": labels[row["answer"]]}


def hellaswag(row):
    return {"query": row["question"], "choices": row["choices"], "label": row["answer"]}


def boolq(row):
    # The published template adds the question mark.
    return {"passage": row["context"], "question": row["question"].removesuffix("?"), "label": row["answer"]}


def winogrande(row):
    return {"sentence": row["question"], "option1": row["choices"][0], "option2": row["choices"][1],
            "answer": str(row["answer"] + 1)}


def lambada(row):
    return {"text": row["question"] + " " + row["answers"][0]}


def triviaqa(row):
    return {"question": row["question"], "answer": {"aliases": row["answers"]}}


def nq_open(row):
    return {"question": row["question"], "answer": row["answers"]}


def gsm8k(row):
    return {"question": row["question"], "answer": row["solution"]}


def mmlu(row):
    return {"question": row["question"], "choices": row["choices"], "answer": row["answer"]}


def pages_of(path):
    """Articles of a raw WikiText file, as the published data set cuts them: at headings of the first level."""
    pages, page = [], []
    for line in path.read_text(encoding="utf-8").split("\n"):
        heading = line.replace("= = =", "===").replace("= =", "==").strip()
        if heading.startswith("= ") and heading.endswith(" ="):
            pages.append("\n".join(page))
            page = []
        page.append(line)
    pages.append("\n".join(page))
    return [{"page": page} for page in pages if page.strip()]


FIRST = {"sampler": "first_n"}
# bitlaw's task: (published task, items, data file, schema, few-shot examples, overrides). What is overridden is the
# choice of examples (the first, not drawn ones) and, for time, the length of generated texts; the test sets the same.
TASKS = {
    "arc_easy": ("arc_easy", 30, "arc_easy", arc, 0, {}),
    "hellaswag": ("hellaswag", 24, "hellaswag", hellaswag, 0, {"process_docs": None}),
    "boolq": ("boolq", 40, "boolq", boolq, 0, {}),
    "winogrande": ("winogrande", 40, "winogrande", winogrande, 0, {}),
    "lambada": ("lambada_openai", 40, "lambada", lambada, 0, {}),
    "mmlu_5shot": ("mmlu_abstract_algebra", 12, "mmlu", mmlu, 5, {}),
    "triviaqa_5shot": ("triviaqa", 30, "triviaqa", triviaqa, 5, {"generation_kwargs": {"max_gen_toks": 32}}),
    "nq_open_5shot": ("nq_open", 30, "nq_open", nq_open, 5, {"generation_kwargs": {"max_gen_toks": 32}}),
    "gsm8k": ("gsm8k", 20, "gsm8k", gsm8k, 5, {"generation_kwargs": {"max_gen_toks": 96}}),
    "wikitext2_word": ("wikitext", 3, None, None, 0, {}),
}
# The harness takes log-softmax in float32, where the sum over 49,152 exponentials loses 8e-6 nats a token, always to one
# side: nothing in an answer of some tokens, 5e-2 nats in the 6,756 tokens of the first two articles. This is its own option.
SOFTMAX_DTYPE = {"wikitext2_word": "float64"}


def digest(*texts):
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:16]


def rounded(value):
    return float(f"{value:.9g}") if isinstance(value, float) else value


def config_of(name, data, scratch):
    published, count, stem, schema, shots, overrides = TASKS[name]
    files = {}
    if stem is None:
        source = data / "text" / "wikitext2_test.txt"
        files["test"] = pages_of(source)[:count]
    else:
        source = data / "eval" / f"{stem}.jsonl"
        rows = rows_of(source)
        examples = rows_of(data / "fewshot" / f"{stem}.jsonl") if shots else []
        if name == "mmlu_5shot":
            rows = [row for row in rows if row["subject"] == "abstract_algebra"]
            examples = [row for row in examples if row["subject"] == "abstract_algebra"]
        files["test"] = [schema(row) for row in rows[:count]]
        if shots:
            files["train"] = [schema(row) for row in examples[:shots]]
    paths = {}
    for split, docs in files.items():
        paths[split] = str(scratch / f"{name}.{split}.jsonl")
        pathlib.Path(paths[split]).write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    config = {"task": published, "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": paths},
              "test_split": "test", "validation_split": None, "training_split": "train" if shots else None,
              "fewshot_split": "train" if shots else None, "num_fewshot": shots}
    if shots:
        config["fewshot_config"] = FIRST
    generation = overrides.get("generation_kwargs")
    config |= {key: value for key, value in overrides.items() if key != "generation_kwargs"}
    return published, config, generation, source


def item_of(sample):
    requests = [list(sample["arguments"][key].values()) for key in sorted(sample["arguments"])] if isinstance(
        sample["arguments"], dict) else [list(pair) for pair in sample["arguments"]]
    item = {"prompts": [digest(*[part for part in request if isinstance(part, str)]) for request in requests]}
    answers = [response[0] if isinstance(response, (list, tuple)) else response for response in sample["resps"]]
    if isinstance(answers[0], str):
        item["text"] = digest(answers[0])
        item["length"] = len(answers[0])
    elif isinstance(answers[0], (list, tuple)):
        item["nats"] = [rounded(float(answer[0])) for answer in answers]
        item["greedy"] = [bool(answer[1]) for answer in answers]
    else:
        item["nats"] = [rounded(float(answer)) for answer in answers]
    # Perplexities are (loglikelihood, weight): their parts stand above, and in the weight.
    item["scores"] = {metric: rounded(sample[metric]) if not isinstance(sample[metric], (list, tuple))
                      else rounded(float(sample[metric][1])) for metric in sample["metrics"]}
    return item


def save(goldens):
    text = json.dumps(goldens, separators=(",", ":"), sort_keys=True)
    FILE.write_text(re.sub(r'(\{"(?:greedy|length|nats|prompts)")', r"\n\1", text) + "\n")


def main():
    gguf, data = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    chosen = sys.argv[3:] or list(TASKS)
    torch.set_num_threads(2)
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    lm = HFLM(pretrained=model.eval(), tokenizer=tokenizer, max_length=MAX_LENGTH, batch_size=4, device="cpu")
    manager = TaskManager()
    goldens = json.loads(FILE.read_text()) if FILE.exists() else {"tasks": {}}
    goldens["provenance"] = {
        "generator": "tests/parity/evaluation/make_goldens.py",
        "versions": {"lm_eval": lm_eval.__version__, "transformers": transformers.__version__,
                     "torch": torch.__version__},
        "model": gguf.name,
        "model_sha256": hashlib.sha256(gguf.read_bytes()).hexdigest(),
        "seed": "none is used: greedy, first items, first examples",
        "date": "2026-11-22",
        "tolerance": "1e-3 nats of a sum: float32 on both sides, sums in another order; decisions, texts and "
                     "prompts must be equal, standard errors to 1e-9",
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen:
            published, config, generation, source = config_of(name, data, pathlib.Path(scratch))
            lm.softmax_dtype = get_dtype(SOFTMAX_DTYPE[name]) if name in SOFTMAX_DTYPE else None
            # What --tasks does with a registered name, and a group does with overrides of its members.
            task = manager._factory.build(manager._entry(published), overrides=config, registry=manager.task_index)
            result = lm_eval.simple_evaluate(lm, tasks=[task], bootstrap_iters=1000, gen_kwargs=generation)
            (key,) = result["samples"]
            samples = result["samples"][key]
            filters = sorted({sample["filter"] for sample in samples})
            by_item = {}
            for sample in samples:
                item = item_of(sample)
                suffix = "" if len(filters) == 1 else "," + sample["filter"]
                scores = {metric + suffix: value for metric, value in item.pop("scores").items()}
                by_item.setdefault(sample["doc_id"], item | {"scores": {}})["scores"] |= scores
            goldens["tasks"][name] = {
                "published": published,
                "data": source.name,
                "data_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
                "generation": generation,
                "softmax_dtype": SOFTMAX_DTYPE.get(name, "float32"),
                "results": {metric: value for metric, value in result["results"][key].items()
                            if isinstance(value, (int, float)) and not isinstance(value, bool)},
                "items": [by_item[doc] for doc in sorted(by_item)],
            }
            print(name, goldens["tasks"][name]["results"], flush=True)
            save(goldens)


if __name__ == "__main__":
    main()
