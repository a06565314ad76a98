"""Writes the goldens of this folder: strings, small tokenizers, and the ids that the public library gives.

Usage: python make_goldens.py [--smollm2 FILE.gguf] [--llama3 FOLDER] [--qwen3 FOLDER]

Without the options only the small tokenizers are made. A large vocabulary is not committed; of each one only the
SHA-256 of the ids of every 50 strings is. Needs: tokenizers, and gguf for --smollm2.
"""

import argparse
import hashlib
import json
import pathlib
import random

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20261122
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

# ---------------------------------------------------------------------------------------------- the strings

WORDS = {
    "english": "the quick brown fox jumps over a lazy dog's don't we'll I'M they've it'S ENTROPY naïve café co-operate "
               "e.g. U.S.A. state-of-the-art re-reading unbelievably internationalization".split(),
    "german": "Straße Größenordnung Übermäßigkeit Donaudampfschifffahrt fünfundzwanzig schön Ärger".split(),
    "russian": "Привет мир квантование языковых моделей переобучение ёжик".split(),
    "greek": "Καλημέρα κόσμε ἄνθρωπος φιλοσοφία".split(),
    "chinese": ["量化", "大语言模型", "知识", "推理", "记忆", "北京市", "你好，世界！", "标度律", "二〇二六年"],
    "japanese": ["こんにちは", "世界", "量子化モデル", "カタカナ", "ﾊﾝｶｸ", "東京都は首都です。"],
    "korean": ["안녕하세요", "세계", "양자화", "언어모델", "지식"],
    "arabic": ["مرحبا", "بالعالم", "السَّلَامُ", "نموذج", "١٢٣٤", "لغة‌ها"],
    "hebrew": ["שָׁלוֹם", "עולם", "למידה"],
    "hindi": ["नमस्ते", "दुनिया", "क्षत्रिय", "१२३", "भाषा"],
    "thai": ["สวัสดีชาวโลก", "ภาษาไทย", "๑๒๓"],
    "marks": ["e\u0301", "a\u030a\u0323", "Z\u0351\u0343a\u0334l\u0358go\u0321", "\u1e9b\u0323", "o\u0308\u0304",
              "\u0041\u030a", "\u212b", "\ufb01", "\u00bd", "\u2460", "\u216b", "\u33a5"],
    "emoji": ["😀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇯🇵", "❤️‍🔥", "1️⃣", "🧑🏿‍🚀", "☕", "✈️"],
    "digits": ["0", "7", "42", "1999", "2026-11-22", "3.14159", "1,234,567.89", "0x7fffffff", "1e-12", "+49 30 123456",
               "12345678901234567890", "v2.0.1", "½", "x²", "10³", "Ⅷ", "٣٫١٤"],
    "specials": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "<s>", "</s>",
                 "<think>", "</think>", "<tool_call>", "[MASK]", "[KEEP]", "<|im_start", "|im_end|>", "<repo_name>"],
    "odd": ["\u0000", "\u0007", "\u001b[0m", "\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "\u2028", "\u180e",
            "\u00ad", "\u202e", "\ufffd", "\U0010ffff", "\ue000", "\u0378", "\u0085", "\u000b", "\u000c", "\u200d"],
    "punctuation": ["...", "—", "“quoted”", "(a)", "[1]", "{x}", "a/b/c", "C:\\x\\y", "#tag", "@name", "$5", "100%", "&&",
                    "!=", "->", "=>", "::", "//", "/*", "*/", "'''", '"""', "`x`", "~", "^", "|", "¿qué?", "…", "«»", "、。"],
}
CODE = [
    "def f(x, *, y=None):\n    return {k: v for k, v in zip(x, y or [])}  # noqa\n",
    "for (size_t i = 0; i < n; ++i) {\n\tsum += a[i] * b[i];\n}\n",
    "#include <vector>\r\nint main() { std::vector<int> v{1,2,3}; return v[0]; }\r\n",
    "SELECT name, COUNT(*) AS n FROM t WHERE x >= 10 GROUP BY name ORDER BY n DESC;",
    "fn main() -> Result<(), Box<dyn Error>> {\n    let x = \"a\\n\";\n    println!(\"{x:?}\");\n    Ok(())\n}\n",
    "const f = async ({a, b}) => `${a} ${await b?.c ?? 0}`;\n",
    "<div class=\"x\"><a href='https://example.org/?q=1&r=%20'>link</a></div>",
    "\\begin{equation} \\sum_{i=1}^{n} x_i^2 \\leq \\int_0^1 f(t)\\,dt \\end{equation}",
    "name:\n  - key: value\n    list: [1, 2.5, ~]\n\n\n  - 'it''s'\n",
    "if [ -f \"$HOME/.rc\" ]; then . \"$HOME/.rc\" 2>/dev/null || exit 1; fi",
    "func (s *Server) Serve(l net.Listener) error {\n\tdefer l.Close()\n\treturn nil\n}",
    "{\"a\": [1, 2.0, null, true], \"b\": {\"c\": \"\\u00e9\\n\"}}",
    "class A:\n\n\n\tdef __init__(self):\n\t\tself.x = 0o17 + 0b101\n\n",
    "<?php echo $_GET['x'] ?? \"none\"; ?>",
    "(defn fact [n] (if (zero? n) 1 (*' n (fact (dec n)))))",
]
SPACES = ["", " ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r\n\r\n", " \n", "\n ", "  \n  ", "\t\t", " \t ", "\r", "    ",
          "        ", "\n\n\n", "\u00a0", " \u00a0 ", "\u3000", "\u2009", "\u0085", "\u2028"]


def make_strings():
    rng = random.Random(SEED)
    strings = ["", " ", "  ", "\n", "\r\n", "\t", "a", " a", "a ", "é", "\u0301", "<|endoftext|>", "'s", "'S", "'ſ", "'ll'LL",
               "\u180e", "a\u180eb", "  \u180e  x", "1" * 200, "a" * 300, " " * 300, "\n" * 70, "🙂" * 40, "ab" * 150,
               "ـ" * 30, "x" + "\u0301" * 60, "<" * 50, "'" * 30]
    strings += CODE
    for _ in range(20):  # broken UTF-8 as a reader with errors="replace" hands it on
        raw = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 24)))
        strings.append(raw.decode("utf-8", errors="replace"))
    for _ in range(40):  # any characters of the first planes that Unicode has had for long
        points = []
        while len(points) < 12:
            block = rng.choice([(0x20, 0x7f), (0xa0, 0x250), (0x370, 0x600), (0x900, 0xe00), (0x1e00, 0x2600),
                                (0x3040, 0x3100), (0x4e00, 0x9fa0), (0xac00, 0xd7a0), (0x1f300, 0x1f600)])
            points.append(chr(rng.randrange(*block)))
        strings.append("".join(points))
    kinds = sorted(WORDS)
    while len(strings) < 1000:
        kind = rng.random()
        if kind < 0.55:  # one script
            pool = WORDS[rng.choice(kinds)]
            text = "".join(rng.choice(pool) + (" " if rng.random() < 0.8 else rng.choice(SPACES))
                           for _ in range(rng.randrange(1, 9)))
        elif kind < 0.9:  # a mixture
            text = rng.choice(SPACES) + "".join(rng.choice(WORDS[rng.choice(kinds)]) + rng.choice(SPACES)
                                                for _ in range(rng.randrange(1, 10)))
        else:  # code cut anywhere, with a word glued on
            code = rng.choice(CODE)
            a, b = sorted(rng.randrange(len(code) + 1) for _ in range(2))
            text = rng.choice(SPACES) + code[a:b] + rng.choice(WORDS[rng.choice(kinds)])
        if rng.random() < 0.15:
            text = text.swapcase()
        strings.append(text)
    return strings


# ------------------------------------------------------------------------------------------ small tokenizers

def byte_level(use_regex=True, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=use_regex)


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior=behavior, invert=invert)


SMALL = {
    "gpt2": dict(pre=byte_level()),
    "smollm": dict(pre=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()])),
    "llama3": dict(pre=pre_tokenizers.Sequence([split(LLAMA3), byte_level(False)]), bos=True, ignore_merges=True),
    "qwen2": dict(pre=pre_tokenizers.Sequence([split(QWEN2), byte_level(False)]), nfc=True),
    "prefix_space": dict(pre=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False),
                                                      byte_level(prefix=True)]), bos=True, eos=True),
    "removed": dict(pre=pre_tokenizers.Sequence([split(r"\s+", "removed"), split(r"\w+|[^\w\s]", "removed", True),
                                                 byte_level(False)]), nfc=True),
}
ADDED = [AddedToken("<|endoftext|>", special=True), AddedToken("<|im_start|>", special=True),
         AddedToken("<|im_end|>", special=True), AddedToken("<s>", special=True),
         AddedToken("[MASK]", special=True, lstrip=True), AddedToken("</s>", special=True, rstrip=True),
         AddedToken("<think>", special=False, normalized=False), AddedToken("fox", special=False, single_word=True),
         AddedToken("[KEEP]", special=False, lstrip=True, rstrip=True), AddedToken("e\u0301", special=False, normalized=True),
         AddedToken("<|im_", special=False, normalized=False)]


def make_small(name, strings):
    spec = SMALL[name]
    tokenizer = Tokenizer(models.BPE(ignore_merges=spec.get("ignore_merges", False)))
    if spec.get("nfc"):
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = spec["pre"]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(strings, trainer)
    tokenizer.add_tokens(ADDED)
    template = (["<s>"] if spec.get("bos") else []) + ["$A"] + (["</s>"] if spec.get("eos") else [])
    if len(template) > 1:
        ids = [(t, tokenizer.token_to_id(t)) for t in ("<s>", "</s>")]
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single=" ".join(template), pair=" ".join(template) + " $B", special_tokens=ids)])
    return tokenizer


def write_small(name, tokenizer, strings):
    content = json.loads(tokenizer.to_str())
    # Both spellings of merges occur in the wild; one of the small files has the old one.
    if name == "smollm":
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    (HERE / f"{name}.tokenizer.json").write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")
    goldens = {"digests": digests(tokenizer, strings)}
    if name == "qwen2":  # One in full, so that a disagreement shows what it is.
        goldens["ids"] = [" ".join(map(str, tokenizer.encode(s, add_special_tokens=True).ids)) for s in strings]
    return goldens


# ------------------------------------------------------------------------------------------------- goldens

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


def smollm2(path):
    """The GGUF's vocabulary with the word splitting that its 'pre' (smollm) names: digits one by one, then GPT-2's."""
    import gguf
    fields = gguf.GGUFReader(path).fields
    get = lambda key: fields["tokenizer.ggml." + key].contents()
    assert get("pre") == "smollm" and get("model") == "gpt2" and not get("add_bos_token")
    tokens = get("tokens")
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)},
                                     merges=[tuple(m.split(" ")) for m in get("merges")]))
    tokenizer.pre_tokenizer = SMALL["smollm"]["pre"]
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True)
                                  for t, kind in zip(tokens, get("token_type")) if kind == 3])
    return tokenizer


def main():
    arguments = argparse.ArgumentParser()
    for name in ("smollm2", "llama3", "qwen3"):
        arguments.add_argument("--" + name)
    arguments = arguments.parse_args()
    strings = make_strings()
    assert len(strings) == 1000
    provenance = {
        "generator": "tests/parity/tokenization/make_goldens.py", "library": f"tokenizers {tokenizers.__version__}",
        "seed": SEED, "date": "2026-11-22", "tolerance": "none: ids and text must be equal",
    }
    small = {name: write_small(name, make_small(name, strings), strings) for name in SMALL}
    large = {}
    if arguments.smollm2:
        large["smollm2"] = digests(smollm2(arguments.smollm2), strings)
    for name in ("llama3", "qwen3"):
        folder = getattr(arguments, name)
        if folder:
            large[name] = digests(Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json")), strings)
    goldens = HERE / "goldens.json"
    if goldens.exists():
        large = {**json.loads(goldens.read_text())["large"], **large}
    (HERE / "strings.json").write_text(json.dumps({"provenance": provenance, "strings": strings}, ensure_ascii=True,
                                                  indent=0) + "\n")
    goldens.write_text(json.dumps({"provenance": provenance, "small": small, "large": large}, indent=0) + "\n")


main()
