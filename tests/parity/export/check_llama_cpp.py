#!/usr/bin/env python3
"""Opens GGUF exports with llama.cpp and compares ln p of the next token, and token ids, with what was evaluated.

    check_llama_cpp.py BUILD [FOLDER ...]     BUILD: build/release, whose bin/bitlaw quantizes and exports
                                              FOLDER: further checkpoints of Hugging Face's layout

Needs xllamacpp (llama.cpp's server within Python), torch, transformers and tokenizers. Each model is exported dense and in
every type of blocks. Compared are:

tokens    ids of texts by llama.cpp and by the folder's own tokenizer.json
text      float32: ln p a token of continuations, tokens found by llama.cpp itself, with `bitlaw evaluate`'s
ln p      every token of the vocabulary after each prompt, with transformers' of the dense export in float32

What llama.cpp multiplies by a matrix it rounds first, to a type that goes with the matrix's: to float16 and bfloat16 for
these, for blocks to integers of 8 bits in blocks of 32, whose scale max |x| / 127 is stored in float16 (Q8_0; Q8_1, beside
Q4_1 and Q5_1, has the sum of a block in float16 as well). The same is done to transformers' inputs, and then the two agree
like float32 sums of another order, to 1e-5, unless one such sum came to lie on the other side of an edge between two steps:
later layers then round other numbers, and ln p differs about as much as rounding itself changes it (`moved`). Of models of
few blocks many prompts meet no such edge. So: float32 within LIMIT; of another type in models of up to 4 blocks a third of
the prompts within LIMIT, and in all models none further away than twice `moved`. Keys and values are float32.
"""
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import torch
import xllamacpp
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, MistralConfig, MixtralConfig, Qwen3MoeConfig

ROOT = pathlib.Path(__file__).resolve().parents[3]
LAB = ROOT / "examples/knowledge-lab/models"
SHORT = ["symmetric=false", "scale_dtype=float16_short"]
BLOCKS = {"Q4_0": ["bits=4", "symmetric=true"], "Q4_1": ["bits=4", *SHORT], "Q5_0": ["bits=5", "symmetric=true"],
          "Q5_1": ["bits=5", *SHORT], "Q8_0": ["bits=8", "symmetric=true"], "MXFP4": ["grid=mxfp4"]}
LIMIT = 1e-3  # Of differences of ln p.
PROMPTS = {
    "The capital of France is": [" Paris.", " Rome", " 1789"],
    "def add(a, b):\n    return": [" a + b", " None\n"],
    "Water boils at 100 degrees": [" Celsius", " in the north"],
    "One, two, three, four,": [" five, six", " banana"],
    " fact feba mawe color :": [" sedi .", " pufe .", " zedo"],
    " doke risa reta kute :": [" lago geku voka .", " sedi ."],
}
TEXTS = [
    "", " ", "   ", "Hello world", "hello  two   three    spaces", " leading and trailing ",
    "tab\tand\nline\r\n\r\nends\n\n\n", "0 12 345 6789 12345678901234567890", "3.14159, -42; 1e-5 (50%) $7",
    "don't I'll they'RE we've it's 'tis", "a_b-c/d\\e|f#g@h", "na\u00efve caf\u00e9 cafe\u0301 \u00c5ngstr\u00f6m",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002 \u3053\u3093\u306b\u3061\u306f \uc548\ub155",
    "\u041f\u0440\u0438\u0432\u0435\u0442 \u03ba\u03cc\u03c3\u03bc\u03b5 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947",
    "emoji \U0001f600\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f",
    "\u00a0no-break\u2003em\u200bzero\ufeffbom", "\u00bd \u00b2 \u0663\u0664 \u2167 \u2460 \uff11\uff12",
    "x\u0000y\u0007z\u001b[0m", "def f(x):\n\treturn {'a': [1, 2]}  # note\n", "https://example.org/a?b=c&d=%20",
    "ALLCAPS CamelCase snake_case", "!!!???...---***", "\u201cquotes\u201d \u2018and\u2019 \u2014 dashes \u2026",
    " fact feba mawe color : sedi .", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "\U0001d54f\U0001d552 \u1e9e \u0130 \ufb01 \u212b",
]




def bitlaw(build, *words):
    done = subprocess.run([build / "bin/bitlaw", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bitlaw {' '.join(map(str, words))}: {done.stderr}")


class LlamaCpp:
    """A model in llama.cpp's server, every sum in float32 that its types allow."""

    def __init__(self, path):
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel, params.n_gpu_layers, params.verbosity = 256, 1, 0, 0
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.warmup = params.fit_params = False
        self.server = xllamacpp.Server(params)
        # What is sampled is nothing to us, but the server says no ln p of an end or of a part of a character.
        self.letter = self.tokens("a")[-1]

    def ask(self, path, body):
        request = urllib.request.Request(self.server.listening_address + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def tokens(self, text):
        return self.ask("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]

    def next_token(self, tokens, vocabulary):
        """[vocabulary] ln p after `tokens`."""
        answer = self.ask("/completion", {"prompt": list(tokens), "n_predict": 1, "n_probs": vocabulary, "temperature": -1,
                                          "cache_prompt": False, "logit_bias": [[self.letter, 1000]]})
        logs = torch.full([vocabulary], math.nan)
        for one in answer["completion_probabilities"][0]["top_logprobs"]:
            logs[one["id"]] = one["logprob"]
        return logs

    def score(self, context, continuation, vocabulary):
        """[tokens of the continuation] ln p."""
        whole, begin = self.tokens(context + continuation), len(self.tokens(context))
        return [self.next_token(whole[:i], vocabulary)[whole[i]].item() for i in range(begin, len(whole))]


def blocks_of_8_bits(inputs, weight, offsets, product):
    """A product as of Q8_0 or, where the weight's blocks have `offsets` [C_out, C_in / 32], of Q8_1."""
    blocks = inputs.reshape(-1, 32)
    scales = blocks.abs().amax(1, keepdim=True) / 127
    codes = torch.where(scales > 0, blocks * (1 / scales), 0).round()
    stored = scales.half().float()
    output = product((codes * stored).reshape(inputs.shape), weight)
    if offsets is None:
        return output
    sums = codes.sum(1, keepdim=True)
    excess = (scales * sums).half().float() - stored * sums
    return output + product(excess.reshape(*inputs.shape[:-1], -1), offsets)


def open_model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, experts_implementation="eager").eval()


class Reference:
    """The dense export in transformers, which can round the inputs of matrices as llama.cpp does."""

    def __init__(self, folder, codes, original):
        self.model = open_model(folder)
        plain = [name for name, weight in self.model.named_parameters()
                 if weight.dim() == 1 or name.endswith(("mlp.gate.weight", "shared_expert_gate.weight"))]
        for name, value in open_model(original).state_dict().items():
            if name in plain:  # Float32 in a GGUF file whatever else is.
                self.model.get_parameter(name).data.copy_(value)
        self.never = {self.model.get_parameter(name).data_ptr() for name in plain}
        layers = load_file(codes) if codes else {}
        offsets = {name.removesuffix(".zeros"): -layers[name.removesuffix("zeros") + "scales"].float() * zeros.float()
                   for name, zeros in layers.items() if name.endswith(".zeros")}
        self.offsets = {}  # By the address of the weight.
        for name, weight in self.model.named_parameters():
            stem = name.removesuffix(".weight")
            if stem in offsets:
                self.offsets[weight.data_ptr()] = offsets[stem]
            if stem.endswith(".experts.gate_up_proj") or stem.endswith(".experts.down_proj"):
                parts = ["gate_proj", "up_proj"] if "gate_up" in stem else ["down_proj"]
                for i, one in enumerate(weight):
                    names = [f"{stem.rsplit('.', 1)[0]}.{i}.{part}" for part in parts]
                    if names[0] in offsets:
                        self.offsets[one.data_ptr()] = torch.cat([offsets[one_name] for one_name in names])
        self.head = self.model.get_output_embeddings().weight.data_ptr()

    def next_token(self, tokens, multiply=None, multiply_head=None):
        """[vocabulary] ln p; multiply(inputs, weight, offsets, product): what takes the place of a product."""
        linear = torch.nn.functional.linear

        def rounded(inputs, weight, bias=None):
            place = weight.data_ptr()
            other = None if place in self.never else multiply_head if place == self.head else multiply
            output = other(inputs, weight, self.offsets.get(place), linear) if other else linear(inputs, weight)
            return output if bias is None else output + bias

        torch.nn.functional.linear = rounded
        try:
            with torch.no_grad():
                return self.model(torch.tensor([list(tokens)])).logits[0, -1].float().log_softmax(-1)
        finally:
            torch.nn.functional.linear = linear


def write_task(place):
    items = [{"question": prompt, "choices": choices, "answer": 0} for prompt, choices in PROMPTS.items()]
    (place / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (place / "task.yaml").write_text(
        "type: multiple_choice\nversion: '1'\nstratum: KM\ndata: items.jsonl\nmetrics: [acc]\nprompt: '{{question}}'\n"
        "target_delimiter: ''\nanswer_field: answer\nchoices_field: choices\n")


def compare_texts(build, place, model, llama, vocabulary):
    """The largest difference of ln p a token over continuations, of text as both programs read it."""
    write_task(place)
    bitlaw(build, "evaluate", model, "--task", place / "task.yaml", "--data", place, "--samples", place / "samples.jsonl")
    worst = 0
    for line in (place / "samples.jsonl").read_text().splitlines():
        for one in json.loads(line)["answers"]:
            logs = llama.score(one["context"], one["continuation"], vocabulary)
            is_same = len(logs) == one["tokens"]
            worst = max(worst, abs(sum(logs) - one["loglikelihood_nats"]) / len(logs) if is_same else math.inf)
    return worst


def compare_tokens(llama, model):
    """How many texts have other ids in llama.cpp than in the folder's own tokenizer.json."""
    own = Tokenizer.from_file(str(model / "tokenizer.json"))
    special = [token.content for token in own.get_added_tokens_decoder().values()][:8]
    texts = TEXTS + [f"a {token} b{token}c" for token in special] + ["".join(special)]
    wrong = 0
    for text in texts:
        expected, found = own.encode(text).ids, llama.tokens(text)
        if expected != found:
            wrong += 1
            print(f"    {text!r}: llama.cpp {found}, tokenizer.json {expected}")
    print(f"  {len(texts)} texts, {wrong} with other token ids")
    return wrong


def exports(build, place, model):
    """(type, GGUF file, dense folder, file of codes, how llama.cpp multiplies, and by the head), one after the other."""
    products = {"float32": None, "float16": lambda x, weight, _, product: product(x.half().float(), weight),
                "bfloat16": lambda x, weight, _, product: product(x.bfloat16().float(), weight)}
    for dtype, multiply in products.items():
        for form in ("gguf", "dense"):
            bitlaw(build, "export", model, "--format", form, "--option", f"dtype={dtype}", "--output", place / dtype / form)
        yield dtype, next((place / dtype / "gguf").glob("*.gguf")), place / dtype / "dense", None, multiply, multiply
    is_tied = json.loads((model / "config.json").read_text()).get("tie_word_embeddings", False)
    tables = [f"{part}.{one}" for part in (["embeddings"] if is_tied else ["embeddings", "head"])
              for one in ("bits=8", "symmetric=true", "group_size=32")]
    for name, options in {**BLOCKS, "tables": [*BLOCKS["Q4_0"], *tables]}.items():
        codes = place / f"{name}.safetensors"
        words = [word for one in [*options, "group_size=32"] for word in ("--option", one)]
        bitlaw(build, "quantize", model, "--quantizer", "rtn", *words, "--output", codes)
        for form in ("gguf", "dense"):
            bitlaw(build, "export", codes, "--model", model, "--format", form, "--option", "dtype=float32",
                   "--output", place / name / form)
        head = blocks_of_8_bits if name == "tables" else None
        yield name, next((place / name / "gguf").glob("*.gguf")), place / name / "dense", codes, blocks_of_8_bits, head


def compare_predictions(llama, reference, multiply, multiply_head, vocabulary):
    """Of each prompt, and of its first tokens, the largest difference of ln p; and the largest by which rounding moves ln p."""
    counts = (1, 2, 3, 6, 100) if vocabulary < 10000 else (1, 100)
    prompts = {tuple(llama.tokens(prompt)[:count]) for prompt in PROMPTS for count in counts}
    distances, moved = [], 0
    for tokens in sorted(prompts):
        expected = reference.next_token(tokens, multiply, multiply_head)
        distance = (llama.next_token(tokens, vocabulary) - expected).abs().max().item()
        distances.append(distance if distance == distance else math.inf)
        moved = max(moved, (reference.next_token(tokens) - expected).abs().max().item())
    return distances, moved


def check_model(build, model):
    """How many things are wrong."""
    print(model.name, flush=True)
    config = json.loads((model / "config.json").read_text())
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        for name, file, dense, codes, multiply, multiply_head in exports(build, place, model):
            llama, reference = LlamaCpp(file), Reference(dense, codes if name.endswith("_1") else None, model)
            if multiply is None:
                wrong += compare_tokens(llama, model)
                text = compare_texts(build, place, model, llama, config["vocab_size"])
                wrong += text > LIMIT
                print(f"  {name:9} texts {text:.1e}")
            distances, moved = compare_predictions(llama, reference, multiply, multiply_head, config["vocab_size"])
            within = sum(one <= LIMIT for one in distances)
            # In a block of rounded embeddings with the code -128, 64 comes to lie on an edge: -128 becomes 127, 64 63.5. One
            # such block of BOS is in all prompts.
            is_sharp = config["num_hidden_layers"] <= 4 and not (name == "tables" and llama.tokens(""))
            share = 1 if multiply is None else 1 / 3 if is_sharp else 0
            wrong += within < share * len(distances) or max(distances) > max(2 * moved, LIMIT)
            print(f"  {name:9} least {min(distances):.1e}  most {max(distances):.1e}  moved {moved:.1e}  "
                  f"within {LIMIT}: {within} of {len(distances)}", flush=True)
            del llama
            file.unlink()
    return wrong


def character_tokenizer():
    """A tokenizer as SentencePiece's of Llama 2: the small one of the tests, with all merges that its tokens allow."""
    tokenizer = json.loads((ROOT / "tests/parity/tokenization/characters/llama2.tokenizer.json").read_text())
    flags = dict.fromkeys(("normalized", "lstrip", "rstrip", "single_word"), False)
    tokenizer["added_tokens"] = [{**token, **flags} for token in tokenizer["added_tokens"]]
    merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in tokenizer["model"]["merges"]]
    added = {token["content"] for token in tokenizer["added_tokens"]}
    normal = {text for text in tokenizer["model"]["vocab"] if text not in added and not text.startswith("<0x")}
    made = dict.fromkeys(left + right for left, right in merges)
    tokenizer["model"]["merges"] = [[text[:i], text[i:]] for text in made for i in range(1, len(text))
                                    if text[:i] in normal and text[i:] in normal]
    return tokenizer


def tiny_models(place):
    """Random models of other classes, with the tokenizer of a lab model or that of characters."""
    sizes = {"vocab_size": 2083, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 256, "initializer_range": 0.1,
             "bos_token_id": 0, "eos_token_id": 0}
    configs = {
        "mixtral": MixtralConfig(**sizes, num_local_experts=4, num_experts_per_tok=2, sliding_window=None),
        "qwen3moe": Qwen3MoeConfig(**sizes, moe_intermediate_size=64, num_experts=8, num_experts_per_tok=3, norm_topk_prob=True),
    }
    characters = character_tokenizer()
    ids = [*characters["model"]["vocab"].values(), *(token["id"] for token in characters["added_tokens"])]
    special = {"vocab_size": max(ids) + 1, "bos_token_id": 1, "eos_token_id": 2}
    configs["mistral"] = MistralConfig(**{**sizes, **special}, sliding_window=None)
    for name, config in configs.items():
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(place / name)
        if name == "mistral":
            (place / name / "tokenizer.json").write_text(json.dumps(characters))
        else:
            shutil.copy(LAB / "lab-qwen3-492k/tokenizer.json", place / name)
        yield place / name


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as place:
        models = [LAB / "lab-qwen3-492k", LAB / "lab-moe-518k", *tiny_models(pathlib.Path(place)),
                  *(pathlib.Path(one).resolve() for one in sys.argv[2:])]
        wrong = sum([check_model(build, model) for model in models])
    print(f"{wrong} wrong")
    return 1 if wrong else 0


sys.exit(main())
