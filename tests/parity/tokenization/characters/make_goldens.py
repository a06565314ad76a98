"""Writes goldens.json and the small tokenizers of characters that it is about, as SentencePiece's are.

Usage: python make_goldens.py [--llama2 FOLDER] [--gemma3 FOLDER]

The strings are those of ../strings.json. As in ../make_goldens.py, of 50 strings each there is the SHA-256 of ids and texts,
and a large vocabulary is not committed. Needs: tokenizers.
"""

import argparse
import hashlib
import json
import pathlib

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).resolve().parent
MARK = "\u2581"
BYTES = [f"<0x{b:02X}>" for b in range(256)]

LLAMA_DECODER = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
SMALL = {
    # Llama 2 and Phi-3: a normalizer writes the white space, a text is one word.
    "llama2": dict(normalizer=normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)]),
                   decoder=LLAMA_DECODER, bos=True, fuse=True),
    # Mistral and newer Llama 2: a pre_tokenizer does, in front of the text only.
    "mistral": dict(pre=pre_tokenizers.Metaspace(MARK, prepend_scheme="first", split=False), decoder=LLAMA_DECODER, bos=True,
                    fuse=True, ignore_merges=True),
    # Gemma: no space in front, and a split that finds nothing after the normalizer.
    "gemma": dict(normalizer=normalizers.Replace(" ", MARK), pre=pre_tokenizers.Split(" ", "merged_with_previous"),
                  decoder=LLAMA_DECODER[:3], bos=True, fuse=True),
    # Words, unknown characters, and bytes of some characters only.
    "words": dict(pre=pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\d+|[aeiou\u00e9]"), "merged_with_previous"),
                                               pre_tokenizers.Metaspace(MARK, prepend_scheme="always", split=True)]),
                  normalizer=normalizers.NFC(), decoder=[decoders.Metaspace(MARK, prepend_scheme="always")], bytes=0xD1),
}
ADDED = [AddedToken("<|im_start|>", special=True, normalized=False), AddedToken("[MASK]", special=True, lstrip=True),
         AddedToken("<|endoftext|>", special=True, rstrip=True), AddedToken("<think>", special=False, normalized=False),
         AddedToken("fox", special=False, single_word=True), AddedToken("quick brown", special=False, normalized=True),
         AddedToken("  ", special=False, normalized=False)]


def make_small(name, strings):
    spec = SMALL[name]
    words = Tokenizer(models.BPE(unk_token="<unk>"))
    words.normalizer = spec.get("normalizer")
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(MARK, prepend_scheme="never", split=True)])
    known = spec.get("bytes", 256)
    trainer = trainers.BpeTrainer(vocab_size=900, limit_alphabet=150, show_progress=False,
                                  special_tokens=["<unk>", "<s>", "</s>"] + BYTES[:known])
    words.train_from_iterator(strings, trainer)
    trained = json.loads(words.to_str())["model"]
    tokenizer = Tokenizer(models.BPE(vocab=trained["vocab"], merges=[tuple(m) for m in trained["merges"]], unk_token="<unk>",
                                     fuse_unk=spec.get("fuse", False), byte_fallback=True,
                                     ignore_merges=spec.get("ignore_merges", False)))
    tokenizer.normalizer = spec.get("normalizer")
    if "pre" in spec:
        tokenizer.pre_tokenizer = spec["pre"]
    tokenizer.decoder = decoders.Sequence(spec["decoder"])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=t == "<s>") for t in ("<unk>", "<s>", "</s>")])
    tokenizer.add_tokens(ADDED)
    if spec.get("bos"):
        ids = [("<s>", tokenizer.token_to_id("<s>") or 1)]
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=ids)
    return tokenizer


def digests(tokenizer, strings):
    """SHA-256 over 50 strings: ids with template, ids without, text decoded with and without special tokens."""
    result = []
    for begin in range(0, len(strings), 50):
        sha = hashlib.sha256()
        for s in strings[begin:begin + 50]:
            whole = tokenizer.encode(s, add_special_tokens=True).ids
            plain = tokenizer.encode(s, add_special_tokens=False).ids
            sha.update((" ".join(map(str, whole)) + "\n" + " ".join(map(str, plain)) + "\n").encode())
            for skip in (False, True):
                sha.update(tokenizer.decode(whole, skip_special_tokens=skip).encode() + b"\n")
        result.append(sha.hexdigest())
    return result


def main():
    arguments = argparse.ArgumentParser()
    for name in ("llama2", "gemma3"):
        arguments.add_argument("--" + name)
    arguments = arguments.parse_args()
    strings = json.loads((HERE.parent / "strings.json").read_text())["strings"]
    provenance = {
        "generator": "tests/parity/tokenization/characters/make_goldens.py", "library": f"tokenizers {tokenizers.__version__}",
        "date": "2026-11-27", "tolerance": "none: ids and text must be equal",
    }
    small, large = {}, {}
    for name in SMALL:
        tokenizer = make_small(name, strings)
        content = json.loads(tokenizer.to_str())
        (HERE / f"{name}.tokenizer.json").write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")
        small[name] = {"digests": digests(tokenizer, strings)}
        if name == "llama2":  # Of some strings in full, so that a disagreement shows what it is.
            small[name]["ids"] = [" ".join(map(str, tokenizer.encode(s, add_special_tokens=True).ids)) for s in strings[:200]]
    for name in ("llama2", "gemma3"):
        folder = getattr(arguments, name)
        if folder:
            large[name] = digests(Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json")), strings)
    goldens = HERE / "goldens.json"
    if goldens.exists():
        large = {**json.loads(goldens.read_text())["large"], **large}
    goldens.write_text(json.dumps({"provenance": provenance, "small": small, "large": large}, indent=0) + "\n")


main()
