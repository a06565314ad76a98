#!/usr/bin/env python3
"""Asks lm-evaluation-harness what it asks a model, for the tasks of tasks/ and for some of its own, of the rows below.

    pip install lm_eval==0.4.13 datasets; python make_goldens.py [folder of lm_eval/tasks]

goldens.json holds the rows, and for each the contexts, continuations or stop strings, and the right answers that
ConfigurableTask gives. Tasks of the harness are named by their file; the file itself is not part of this project.
"""
import json
import pathlib
import random
import sys

import datasets
import lm_eval
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

HERE = pathlib.Path(__file__).resolve().parent
rng = random.Random(5)
WORDS = ["the", "A", "river", "of", "old", "glass,", "'stone'", "Ärger;", "two  spaces", '"said"', "{x}", "3.5"]


def words(least=2, most=9):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def rows(make, count=8):
    return [make(i) for i in range(count)]


def labelled(i):
    n = 3 + i % 3
    labels = ["A", "B", "C", "D", "E"][:n] if i % 2 else ["1", "2", "3", "4", "5"][:n]
    return {"id": str(i), "question": words() + ("\n" if i == 3 else ""), "question_stem": words(),
            "choices": {"text": [words(1, 4) for _ in range(n)], "label": labels}, "answerKey": labels[i * 2 % n]}


ROWS = {
    "labels": rows(labelled),
    "column": rows(lambda i: {"goal": words(), "sol1": words(), "sol2": " " + words() + " ", "label": i % 2}),
    "yes_no": rows(lambda i: {"title": "a_b c", "passage": words() + "\n" + words(), "question": words(), "label": i % 2}),
    "letters": rows(lambda i: {"question": " " + words() + "\n", "choices": [words(1, 3), words(1, 3)], "answer": i % 2,
                               "subject": "high_school_physics"}),
    "constant": rows(lambda i: {"support": "  " + words() if i else "", "question": words(), "distractor1": words(1, 2),
                                "distractor2": words(1, 2), "distractor3": words(1, 2), "correct_answer": words(1, 2)}),
    "from_one": rows(lambda i: {"context": words(), "question": words(), "answerA": words(1, 3), "answerB": words(1, 3),
                                "answerC": words(1, 3), "label": str(i % 3 + 1)}),
    "texts": rows(lambda i: {"sentence": words(), "sentiment": ["negative", "positive"][i % 2]}),
    "generated": rows(lambda i: {"question": words(), "answer": {"aliases": [words(1, 2) for _ in range(1 + i % 3)],
                                                                 "value": words(1, 2)}}),
    "extracted": rows(lambda i: {"question": words(), "answer": words() + f"\n#### 1,{i}00"}),
    "last_word": rows(lambda i: {"text": words(4, 9)}),
    "mmlu": rows(lambda i: {"question": " " + words() + "\n", "choices": [words(1, 3) for _ in range(4)], "answer": i % 4,
                            "subject": "anatomy"}),
    "nq": rows(lambda i: {"question": words(), "answer": [words(1, 2), words(1, 2)]}),
}
# A file of the harness, and the rows that have the columns of its dataset.
THEIRS = {
    "arc/arc_easy.yaml": "labels", "arc/arc_challenge.yaml": "labels", "openbookqa/openbookqa.yaml": "labels",
    "commonsense_qa/default.yaml": None, "piqa/piqa.yaml": "column", "super_glue/boolq/default.yaml": "yes_no",
    "sciq/sciq.yaml": "constant", "mmlu/default/mmlu_anatomy.yaml": "mmlu", "triviaqa/default.yaml": "generated",
    "nq_open/nq_open.yaml": "nq", "lambada/lambada_openai.yaml": "last_word",
}
ROWS["five"] = [{**row, "choices": {"text": [words(1, 2) for _ in range(5)], "label": list("ABCDE")}, "answerKey": "ABCDE"[i % 5]}
                for i, row in enumerate(ROWS["labels"])]
THEIRS["commonsense_qa/default.yaml"] = "five"
ROWS["looked_up"] = ROWS["mmlu"]
ROWS["looked_up_from_1"] = rows(lambda i: {"sentence": words(), "label": 1 + i % 3})
ROWS["kmmlu"] = rows(lambda i: {"question": " " + words(), **{letter: words(1, 3) for letter in "ABCD"}, "answer": 1 + i % 4})
ROWS["bigbench"] = rows(lambda i: {"inputs": words() + "\n", "targets": [words(1, 3), words(1, 3)], "idx": i})
ROWS["xnli"] = rows(lambda i: {"premise": words(), "hypothesis": words(), "label": i % 3})
THEIRS.update({
    "kmmlu/direct/kmmlu_direct_accounting.yaml": "kmmlu", "mmlu-redux/generative/mmlu_anatomy.yaml": "mmlu",
    "llama3/instruct/mmlu_cot/mmlu_anatomy.yaml": "mmlu", "bigbench/generate_until/word_unscrambling.yaml": "bigbench",
    "afrixnli/anli prompt/native-direct/afrixnli_native_direct_amh.yaml": "xnli",
})


class Local(ConfigurableTask):
    rows = examples = None

    def download(self, dataset_kwargs=None, **kwargs):
        splits = {self.config.training_split: Local.examples, self.config.fewshot_split: Local.examples,
                  self.config.validation_split: Local.rows, self.config.test_split: Local.rows}
        self.dataset = datasets.DatasetDict(
            {name: datasets.Dataset.from_list(data) for name, data in splits.items() if name})


def golden(file, name):
    Local.rows, Local.examples = ROWS[name][:6], ROWS[name][6:]
    config = load_yaml(file, resolve_func=True)
    task = Local(config=config)
    shots = config.get("num_fewshot") or 0
    out = []
    docs = list(task.eval_docs)
    for doc in docs:
        context = task.fewshot_context(doc, shots)
        requests = task.construct_requests(doc, context)
        requests = requests if isinstance(requests, list) else [requests]
        right = task.doc_to_target(doc)
        if task.OUTPUT_TYPE == "multiple_choice" and isinstance(right, str):
            right = task.doc_to_choice(doc).index(right)
        out.append({"requests": [request.args[:2] for request in requests], "right": right})
    return {"rows": Local.rows, "examples": Local.examples, "items": out}


goldens = {"own": {path.stem: golden(path, path.stem) for path in sorted((HERE / "tasks").glob("*.yaml"))}, "theirs": {}}
if len(sys.argv) > 1:
    for file, name in THEIRS.items():
        goldens["theirs"][file] = golden(pathlib.Path(sys.argv[1]) / file, name)
version = getattr(lm_eval, "__version__", "0.4.13")
(HERE / "goldens.json").write_text(json.dumps({
    "provenance": f"make_goldens.py, 2026-11-28: lm_eval {version}, datasets {datasets.__version__}; no tolerance",
    **goldens}, ensure_ascii=False, separators=(",", ":")).replace('},{', '},\n{') + "\n")
