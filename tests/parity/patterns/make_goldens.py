"""Writes goldens.jsonl: what Python's re finds, for patterns written by hand and for generated ones.

Usage: python3.11 make_goldens.py        Needs nothing but Python 3.11 (Unicode 14).

A line is {"pattern", "texts", "found"}; found[i] is re.findall(pattern, texts[i]) with each match as a list of its groups
("" for one that took no part), and "kept"[i] is re.sub(pattern, "", texts[i]). For a pattern that re refuses, "found" is
null. For one that re accepts and bitlaw does not, "refused" says why.
"""

import json
import pathlib
import random
import re
import sys
import warnings

assert sys.version_info[:2] == (3, 11)
warnings.simplefilter("ignore")
HERE = pathlib.Path(__file__).resolve().parent

TEXTS = [
    "", "a", "\n", "abc", "aAbB", "x=42%\n", "yes\n", "no\nyes", "\nab\n\nab\n", "1+1 = 2.\r\n", "a\vb\fc\x1cd\x85e",
    "naïve café 東京 中文", "I i İ ı K k ſ s", "ß ẞ ΐ ΐ ﬅ ﬆ", "tabs\t and  spaces", "[a]{b}(c)^$.|?*+\\",
    "#### 1,234.50", "The answer is (B).", "the answer is 12 apples, not 13.", "a{,3} {a} {} a{2,x}", "٣ 3 ३ ² ½ Ⅷ",
    "aaa aaab abab", "\u2028x\u2029y\u3000z\u180e", "\U0001F600!\U0001F601", "_under_score-dash", "ab12-34_cd",
]

HAND = r"""
(\d{,3})%|\d{2,}|x{,}|a{2}|a{2,3}?|a{2}+|{a}|a{,3}|{}|a{2,x}|a{ 2}
(\w+)\Z|(\w+)$|(?m)(\w+)$|(?m)^(\w+)|^a|\Aa|(?m)\Aa|(?m)^|(?m)$|$|^|\Z|\A
.|(?s).|.+|(?s).+|(?s:.)b|(?s)a.b|a.b
\s|\S+|\s+|[\s]|[^\s]+|[\S]|\d|\D+|[\d]+|[^\d]+|\w+|\W+|[\W]+|[^\W]+|[^\W\d_]+|[\W\d]+|[\D\S]|[^\D\S]|[\w-]+
(?a)\w+|(?a)\s|(?a)\d|(?a:\w+)|(?a)[\W]+|(?a)\b.|(?ai)k|(?ai)[a-k]+
\b|\B|\b\w|\w\b|\B\w|\b\B|(?a)\b
\a|\f|\n|\r|\t|\v|\\|\x41|\x0a|\u4e2d|[\u4e00-\u9fff]+|\U0001F600|[\U0001F600-\U0001F64F]|\0|\101|\12|[\101-\103]+|[\b]|\x1c
(?i)i|(?i)I|(?i)ı|(?i)İ|(?i)[a-z]+|(?i)[^a-z]+|(?i)k|(?i)ſ|(?i)s|(?i)ß|(?i)ΐ|(?i)ﬅ|(?i)[i]+|(?i)[^i]+|(?i)[\u0130]|(?i)é|(?i:AB)b|(?-i:a)B|(?i)(?-i:a)B
(a)(b)?|(a)|(b)|(?P<x>a)(?P=x)|(?P<x>[aA])(?:b)|(a)\1|(a)|b\1|(\w)\1|(?i)(a)\1|(x)?(?(1)y|a)|(?P<q>\()?\w(?(q)\))
a|b|ab|(?:a|ab)(?:c|bcd)?|(a|ab)(c|bcd)?|(?>a+)b|a++b|a*+a|a?+a|(?:ab)+|(ab)+|(a|b)*|(?:a|b)*?c
(?<=a)b|(?<!a)b|(?<=the answer is )(.*)(?=.)|(?<=[ab])\w|(?<=\bthe )\w+|(?<=a|b)c|(?<=^)a|(?<=(a))b|(?=a)\w|(?!a)\w|(?=(a))\1|(?<=\d,)\d+
#### (\-?[0-9\.\,]+)|(-?[$0-9.,]{2,})|(-?[0-9]+)|(?s).*#### |\.$|,|\$|\(([A-Z])\)|-?[0-9][0-9,]*(?:\.[0-9]+)?|(?s)\$(.*)\$
[]a]+|[^]a]+|[a-]+|[-a]+|[a\-c]+|[]-a]+|[.*+?^$()|{}]|[\[\]]+|[\\]|[[]|[a[b]+|[^^]+|[&&]|[a||b]|[a--b]
(?x) a  b # comment
(?x)[ #]+|(?x)\ +|(?x)a\#|(?x: a ) b|a(?#comment)b|a(?#comment)*|(?#)a
()|()*|(?:)|(?:)*|(|a)|(a|)|(?!)|(?=)|a||b
\(|\)|\[|\]|\{|\}|\.|\-|\#|\ |\'|\"|\/|\:|\<|\=|\!|\%|\&|\~|\@|\_|\`
\z|\h|\H|\R|\X|\K|\Qa\E|\G|\N|\C|\p{L}|\P{L}|\k<x>|\g1|\e|\cA|\o{101}|\x{41}|\u41|\x4|\U000041|\8|\1|\400|[\8]|[\z]|\l|\L
a**|a+*|a{2}{3}|*a|+|?|^*|$+|\b*|(*)|(?:*)|a|*|{2}|(?i)*
(|)|a)|(a|[a|[|[]|[^]|(?|(?P|(?P<|(?P<a|(?P<1>a)|(?P<a>a)(?P<a>b)|(?P=a)|(?<n>a)|(?P>n)|(?R)|(?&n)|(?|a|b)|(?+1)|(?C)|(?'n'a)|(?<a|(?z)|(?L)|(?au)|(?i-i:a)|(?-a:b)|(?i-:a)|(?-:a)|(?(1)a|b|c)(d)|(?(0)a)|(?(x)a)|(?(2)a)|((a)\1)
a(?i)b|(?i)a(?m)|(?:(?i)a)|b|(?i)a|(?i)(?m)^a|(?im)^A
(?<=a+)b|(?<=a|bc)d|(?<!a*)b|(?<=a{2})b|(?<=a{1,2})b|(?<=(a)\1)b|(a)(?<=\1)b|(?<=ab|cd)e|(?<=\Aa)b
[b-a]|[a-\d]|[\d-a]|[\w-z]|[z-\w]
a{3,2}|a{1,
""".strip("\n")

# Accepted by Python and refused here, each with its reason.
REFUSED = {
    r"[[:alpha:]]": "POSIX class", r"[[:alpha:][:digit:]]+": "POSIX class", r"[[=a=]]": "POSIX class",
    r"[[.a.]]": "POSIX class", r"\N{BULLET}": "name", r"a{65536}": "count", r"\ud83d": "surrogate",
    r"[\ud800-\udfff]": "surrogate",
}
# A line of HAND is cut at bars; these patterns hold bars.
WHOLE = [
    r"(a|b)+c", r"(?:a|ab)(?:c|bcd)?", r"(a)|(b)", r"(?P<w>cat|dog)s?", r"(x)?(?(1)y|a)", r"(?i)(yes|no)\b", r"^(?:a|b)$",
    r"(?m)^(?:a|b)|c$", r"(?<=a|b)c", r"(?<=ab|cd)e", r"(?<=a|bc)d", r"(a|ab)(c|bcd)?", r"(?:a|b)*?c", r"(a|b)*", r"|a", r"a|",
    r"a||b", r"(|a)+", r"(?:|a)+", r"(?:a|)*", r"(a*)*", r"(a*)+", r"(?:a*)*b", r"(a|b*)*", r"(a?)*?b", r"(?:(a)|b)*", r"(?:(a)|(b))+",
    r"(-?[$0-9.,]{2,})|(-?[0-9]+)", r"(?(1)a|b|c)(d)", r"(a)(?(1)b|c)", r"(?:(a)|b)(?(1)c|d)", r"[a||b]", r"(?|a|b)", r"(?i)(ſ|k)+",
    r"\\boxed\{([^{}]*)\}", r"(?x) a | b  # either", "(?x)\n a  # one\n |\n b  # two\n", r"(?s)\A(.*?)(?:\n|\Z)", r"\d+(?:[.,]\d+)*",
    r"([A-D])\b", r"(?i)answer(?:\s+is)?:?\s*\(?([A-D])\)?", r"^\s*|\s*$", r"[^\S\n]+", r"(?<!\w)(?:I|i)(?!\w)",
    r"((a)|(b)|(c))+", r"(?=(\w+))\1", r"(a)?b", r"(?:(a)|(b)|(c)){2}", r"(a|b)(?!\1)", r"(\w)(\w)?\2", r"((\w)\2)+",
]


def atoms(rng, depth):
    simple = ["a", "b", "A", "1", "_", " ", r"\d", r"\w", r"\s", r"\W", r"\D", r"\S", ".", "[ab]", "[^a]", "[a-c]", r"[\w-]", r"[^\W\d]",
              "é", r"\.", r"\n", "(?:)", r"\x61", r"\u00e9", "[^\\s]", "中", "i", "K"]
    kind = rng.random()
    if depth <= 0 or kind < 0.62:
        return rng.choice(simple)
    if kind < 0.72:
        return "(" + sequence(rng, depth - 1) + ")"
    if kind < 0.82:
        return "(?:" + sequence(rng, depth - 1) + ")"
    if kind < 0.88:
        return rng.choice(["(?=", "(?!"]) + sequence(rng, depth - 1) + ")"
    if kind < 0.92:
        return rng.choice(["(?<=", "(?<!"]) + rng.choice(simple[:-8]) + ")"
    if kind < 0.95:
        return rng.choice(["(?i:", "(?s:", "(?m:", "(?a:"]) + sequence(rng, depth - 1) + ")"
    return rng.choice(["^", "$", r"\b", r"\B", r"\Z", r"\A"])


def sequence(rng, depth):
    branches = []
    for _ in range(1 if rng.random() < 0.7 else 2):
        pieces = []
        for _ in range(rng.randint(1, 3)):
            piece = atoms(rng, depth)
            if rng.random() < 0.35:
                piece += rng.choice(["*", "+", "?", "*?", "+?", "??", "{2}", "{,2}", "{1,2}", "{0,1}?", "*+", "{1,}"])
            pieces.append(piece)
        branches.append("".join(pieces))
    return "|".join(branches)


def line(pattern, texts):
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return {"pattern": pattern, "found": None}
    if pattern in REFUSED:
        return {"pattern": pattern, "refused": REFUSED[pattern]}
    found, kept = [], []
    for text in texts:
        # findall gives one group as a text and several as a tuple; m.groups("") is findall's with "" for none.
        found.append([list(m.groups("")) if compiled.groups else [m.group()] for m in compiled.finditer(text)])
        kept.append(compiled.sub("", text))
    return {"pattern": pattern, "texts": texts, "found": found, "kept": kept}


def main():
    rng = random.Random(20231127)
    patterns = []
    for row in HAND.split("\n"):
        patterns += [row] if row.startswith("(?x) a  b") else row.split("|")
    patterns += WHOLE + list(REFUSED)
    patterns += [(rng.choice(["", "", "", "(?i)", "(?m)", "(?s)", "(?x)", "(?a)", "(?im)"]) + sequence(rng, 3)) for _ in range(500)]
    seen = set()
    out = ['{"generator": "make_goldens.py, Python %s", "seed": 20231127}' % sys.version.split()[0]]
    for pattern in patterns:
        if pattern in seen:
            continue
        seen.add(pattern)
        generated = len(out) > 420
        texts = rng.sample(TEXTS, 5) if generated else rng.sample(TEXTS, 9)
        out.append(json.dumps(line(pattern, texts), ensure_ascii=True))
    (HERE / "goldens.jsonl").write_text("\n".join(out) + "\n", encoding="utf-8")
    print(len(out) - 1, "patterns")


main()
