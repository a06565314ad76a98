"""Writes goldens.json: how lm-evaluation-harness splits a context and a continuation into token ids.

Usage: python make_goldens.py        Needs: lm_eval 0.4.13, tokenizers. Reads the tokenizers of ../tokenization.

The splitting is the library's own: TemplateLM.loglikelihood with TemplateLM._encode_pair, and for windows
lm_eval.utils.get_rolling_token_windows with make_disjoint_window. Only tok_encode is written here, after
lm_eval/models/huggingface.py, HFLM.tok_encode and has_bos_prefix, whose module needs a model.
"""

import json
import pathlib

import lm_eval.utils
import tokenizers
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM

HERE = pathlib.Path(__file__).resolve().parent
# bos and eos as the tests give them: a tokenizer with a BOS that its template adds, one whose template adds
# nothing, and one that has no BOS.
TOKENIZERS = {
    "llama3": {"bos": "<s>", "eos": "</s>"},
    "smollm": {"bos": "<|im_start|>", "eos": "<|im_end|>"},
    "gpt2": {"bos": None, "eos": "<|endoftext|>"},
}
PAIRS = [
    ("Question: What keeps rain off?\nAnswer:", " an umbrella"),
    ("Question: What keeps rain off?\nAnswer:", "an umbrella"),
    ("Question: What keeps rain off?\nAnswer: ", "an umbrella"),
    ("Question: What keeps rain off?\nAnswer:\n", "an umbrella"),
    ("Question: What keeps rain off?\nAnswer:\n\n", " an umbrella"),
    ("Question: What keeps rain off?\nAnswer: \t\n ", "an umbrella"),
    ("ends in a no-break space\u00a0", "x"),
    ("ends in an ideographic space\u3000", "x"),
    ("ends in a zero-width space\u200b", "x"),
    ("ends in U+001F\u001f", "x"),
    ("ends in a line separator\u2028", "x"),
    ("the quick bro", "wn fox"),
    ("the quick brown fo", "x jumps"),
    ("12", "34"),
    ("1", "2"),
    ("don", "'t"),
    ("x", "\n"),
    ("x", "\n\n"),
    ("x", "  y"),
    ("x ", "  y"),
    ("", " an umbrella"),
    ("", "an umbrella"),
    ("", "\n"),
    (" ", "an umbrella"),
    ("\n\n", "an umbrella"),
    ("\u00a0", "an umbrella"),
    ("<s>already", " there"),
    ("", "<s>already there"),
    ("", "<|im_start|>already there"),
    ("<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n", "Me."),
    ("</s>", " after"),
    ("caf", "\u00e9 noir"),
    ("cafe", "\u0301 noir"),
    ("\u5927\u8bed", "\u8a00\u6a21\u578b"),
    ("emoji \U0001f468\u200d", "\U0001f469\u200d\U0001f467"),
    ("tabs\t", "\tafter"),
    ("code:\n    ", "return x"),
    ("A. one\nB. two\nAnswer:", " A"),
    ("A. one\nB. two\nAnswer:", " B"),
]
# (tokens, T)
WINDOWS = [(1, 4), (3, 4), (4, 4), (5, 4), (7, 4), (8, 4), (9, 4), (12, 4), (10, 3), (10, 1)]


class Encoder(TemplateLM):
    backend = "causal"

    def __init__(self, name, special):
        super().__init__()
        self.tok = tokenizers.Tokenizer.from_file(str(HERE.parent / "tokenization" / f"{name}.tokenizer.json"))
        self.prefix_text = special["bos"] or special["eos"]

    @property
    def eot_token_id(self):
        raise NotImplementedError

    @property
    def prefix_token_id(self):
        return self.tok.token_to_id(self.prefix_text)

    def tok_encode(self, string, add_special_tokens=None, **kwargs):
        if add_special_tokens is None:
            add_special_tokens = not string.startswith(self.prefix_text)
        return self.tok.encode(string, add_special_tokens=add_special_tokens).ids

    def _loglikelihood_tokens(self, requests, **kwargs):
        return [(context, continuation) for _, context, continuation in requests]

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError

    def generate_until(self, requests, disable_tqdm=False):
        raise NotImplementedError


def main():
    goldens = {
        "provenance": {
            "generator": "tests/parity/encode_pair/make_goldens.py",
            "library": f"lm_eval 0.4.13, tokenizers {tokenizers.__version__}",
            "seed": "none is used",
            "date": "2026-11-22",
            "tolerance": "none: ids must be equal",
        },
        "pairs": {},
        "windows": [],
    }
    for name, special in TOKENIZERS.items():
        encoder = Encoder(name, special)
        requests = [Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0) for pair in PAIRS]
        split = encoder.loglikelihood(requests, disable_tqdm=True)
        goldens["pairs"][name] = {
            "bos": encoder.tok.token_to_id(special["bos"]) if special["bos"] else None,
            "eos": encoder.tok.token_to_id(special["eos"]),
            "cases": [
                {"context": c, "continuation": t, "context_ids": ids[0], "continuation_ids": ids[1]}
                for (c, t), ids in zip(PAIRS, split)
            ],
        }
    for count, window in WINDOWS:
        windows = lm_eval.utils.get_rolling_token_windows(list(range(count)), prefix_token=-1, max_seq_len=window,
                                                          context_len=1)
        goldens["windows"].append({
            "tokens": count,
            "window": window,
            "windows": [lm_eval.utils.make_disjoint_window(w) for w in windows],
        })
    text = json.dumps(goldens, ensure_ascii=True, indent=None, separators=(",", ":"))
    text = text.replace('{"context"', '\n{"context"').replace('{"tokens"', '\n{"tokens"').replace('"pairs"', '\n"pairs"')
    (HERE / "goldens.json").write_text(text.replace('"windows":[\n', '\n"windows":[\n') + "\n")


main()
