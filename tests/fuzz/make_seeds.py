#!/usr/bin/env python3
"""Writes tests/fuzz/seeds from the tests' own fixtures, the shipped configs and a few lines written here.

    python3 tests/fuzz/make_seeds.py

Shared libraries are made with the C compiler `cc`. Seeds are small on purpose: a fuzzer changes small inputs faster.
"""
import gzip
import json
import pathlib
import shutil
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
SOURCE = TESTS.parent
SEEDS = HERE / "seeds"
CUT = b"\n%%%%\n"


def put(target, name, *parts):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(CUT.join(p if isinstance(p, bytes) else p.encode() for p in parts))


def read(path):
    return (SOURCE / path).read_bytes()


def head(path, lines):
    return b"\n".join(read(path).split(b"\n")[:lines]) + b"\n"


def json_seeds():
    put("json", "scalars", '[null, true, false, 0, -1, 9223372036854775807, 9223372036854775808, 0.1, 1e-300, "a\\u00e9\\ud83d\\ude00\\n"]')
    put("json", "nested", '{"a": {"b": [[], {}, [1, {"c": "d"}]]}, "": 1.0, "e": 1e308}')
    put("json", "config", read("tests/parity/logits/tiny_qwen3_moe/config.json"))
    put("jsonl", "choices", head("tests/support/tasks/data/uses.jsonl", 3))
    put("jsonl", "marks", b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": "\\u2028"}')
    put("worker_line", "ready", '{"bitlaw": "ready"}')
    put("worker_line", "task", '{"bitlaw": "task", "task": "arc_easy", "metric": "acc", "value": 0.5, "standard_error": null, '
        '"elapsed_s": 1.5, "found": true}')
    put("worker_line", "failed", '{"bitlaw": "failed", "error_kind": "kIo", "text": "a: b."}')
    put("worker_line", "calibration", '{"bitlaw": "calibration", "entry": "e", "digest": "d"}')
    model = {"name": "m", "path": "/m", "backend": "hf", "backend_options": {}}
    work = {"format": 1, "study": "s", "models": [model], "corpora": [], "tasks": [], "factors": [],
            "evaluate": {"batch_tokens": 0, "kv_budget_bytes": 0, "logits_budget_bytes": 0, "share_prefixes": True},
            "evaluate_given": {"$at": ["s.yaml", 3, 1], "$value": {"$map": [["$a", {"$bytes": "ff"}]]}}, "allow_fallback": False}
    trial = {"id": "0", "label": "", "model": 0, "quantizer": "none", "quantizer_version": "", "options": {}, "recipe": None,
             "calibration": None, "dtype": "float32", "device": "cpu", "axes": [["bits", {"$real": "-inf"}]], "factors": []}
    order = {"trial": trial, "weights_digest": "a", "code_digest": "b", "work_digest": "c"}
    put("worker_input", "least", json.dumps(work), json.dumps(order))


def text_seeds():
    expressions = ["A * N^a * log2(N)", "A^2 * (3 * N)^(alpha / B) * exp(g * log2(B) - 1) / sqrt(B)",
                   "-x^2 + 2^3^2 - max(a, b, 1e-3) / min(x, 2)", "sigmoid(x) * logit(p) + tanh(y) - atan(sin(x) + cos(x))",
                   "A * N^alpha * B^beta * G^gamma", "E + A / N^alpha + B / D^beta"]
    for i, text in enumerate(expressions):
        put("expression", f"formula_{i}", text, "nnn")
    put("expression", "condition", "bits > 2 and not (group_size <= 32 or missing(seed)) and quantizer == 'gptq'", "nnntb")
    put("expression", "truth", "a == true or b != false", "bb")
    put("template", "question", "Question: {{question|trim}}\\nA. {{choices[0]}}\\nAnswer:",
        '{"question": " Why? ", "choices": ["Because.", "So."]}')
    put("template", "filters", "{{a.b[0]|replace:'x','yy'|upper|after:'Y'}} {{c|join:', '}} {{n|letter}} {{'{{'}}{{c|last|capitalize}}",
        '{"a": {"b": ["axbx"]}, "c": ["d", "e f"], "n": 1}')
    put("template", "lettered", "{{choices|lettered}}{{x|lower|before:'-'|trim_left|trim_right}}{{choices|first}}",
        '{"choices": ["a", "b"], "x": "Q - R"}')
    patterns = [r"#### (\-?[0-9\.\,]+)", r"(-?[$0-9.,]{2,})|(-?[0-9]+)", r"(?s).*#### ", r"\.$", r"(?<=The answer is )(.*)(?=.)",
                r"\b(\w+)\s+\1\b", r"(?i)ANSWER: \(?([A-D])\)?", r"\d*?", r"(?<!a)b|^c"]
    for i, pattern in enumerate(patterns):
        put("pattern", f"pattern_{i}", pattern, "So 3 + 4 = 7.\n#### 1,234.5 The answer is (B). naïve the the ab\n")
    put("unicode_text", "spaces", " a\u00a0b\u2003 c\u3000\u0085\x1c Straße İstanbul ﬁ Ǆ ΑΣ\n")
    put("unicode_text", "broken", b"a\xff\xc3\xe2\x82 \xed\xa0\x80 \xf4\x90\x80\x80b")
    put("answer", "words", "The  Beatles, a band!", "beatles band")
    put("answer", "number", "$1,234.50", "1234.5")
    put("answer", "tex", r"\dfrac{1}{2} + \sqrt3 \text{ cm} x=\left(5\right)^\circ 0.5", r"\frac{1}{2}")
    put("corpus_file", "plain", b"tOne paragraph.\n\nAnother, with \xc3\xa9.\n")
    put("corpus_file", "lines", b'j{"text": "One."}\n{"text": "Two \\ud83d\\ude00", "id": 3}\n')


def table_seeds():
    plain = "model,N,bits,acc_adj,stratum\nsmall,1e6,2,0.25,KM\nlarge,2000000,4,0.5,KR\n"
    put("csv", "plain", plain)
    put("csv", "quoted", b'\xef\xbb\xbf"a, b","say ""x""",c\r\n1,"line\r\nend",NA\r\n-0.5,,nan\r\n')
    put("csv", "observations", "trial,task,acc_adj,metric_kind,primary,value,items,chance,stratum,hold_out,standard_error\n"
        "t1,arc,0.4,accuracy,1,0.55,100,0.25,KM,0,0.05\nt1,boolq,0.1,accuracy,1,0.55,100,0.5,KR,no,0.05\n"
        "t2,arc,,accuracy,1,0.2,100,0.25,KM,,0.04\n")
    put("column_map", "copy", plain, "M=model,B=bits,n=N/1e6,acc=acc_adj")
    put("column_map", "condition", plain, "log_n=log(N),wide=max(bits, 3)")
    put("data_rows", "csv", 'cquestion,a,answer\n"What, now?",1,0\nWhy?,007,1\n')
    put("data_rows", "tsv", "tquestion\tanswer\n\"What\t-3\n\nWhy?\tb\n")
    put("data_rows", "jsonl", b"j" + head("tests/support/tasks/data/steps.jsonl", 2))
    put("data_rows", "json", 'J[{"q": "x", "a": 1},\n {"q": null, "a": [1.5]}]\n')
    put("data_rows", "gz", b"z" + gzip.compress(head("tests/support/tasks/data/steps.jsonl", 2), mtime=0))
    for name in ("labels", "letters", "extracted", "last_word", "yes_no"):
        put("lm_eval", name, read(f"tests/parity/lm_eval/tasks/{name}.yaml"))
    for name in ("arc", "kinds_v1", "nested_v2", "pages", "plain", "delta_pages", "duckdb", "empty"):
        put("parquet", name, read(f"tests/parity/parquet/{name}.parquet"))


def byte_letters():
    """GPT-2's letter of every byte."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    letters, extra = {}, 0
    for byte in range(256):
        if byte in plain:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(256 + extra)
            extra += 1
    return letters


def tokenizer(**changes):
    vocabulary = {letter: i for i, letter in enumerate(byte_letters().values())}
    merges = ["t h", "th e", "Ġ the", "i n", "1 2"]
    for merge in merges:
        vocabulary["".join(merge.split(" "))] = len(vocabulary)
    document = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": False, "vocab": vocabulary, "merges": merges}}
    document.update(changes)
    return document


def short_tokenizer(**changes):
    """A few letters only: what a fuzzer changes is then more often more than the vocabulary."""
    document = tokenizer(**changes)
    document["model"]["vocab"] = {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "<s>": 4, "1": 5}
    document["model"]["merges"] = [["a", "b"]]
    return document


def dump(document):
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def tokenizer_seeds():
    added = [{"id": 4, "content": "<s>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": False, "special": True},
             {"id": 6, "content": "né", "single_word": True, "lstrip": False, "rstrip": True, "normalized": True, "special": False}]
    sequence = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
         "behavior": "Isolated", "invert": False},
        {"type": "Digits", "individual_digits": True},
        {"type": "Split", "pattern": {"String": "-"}, "behavior": "Removed", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}}
    text = "the cat in 12 hats: naïve <s> né \U0001f600\n\n  end's"
    put("tokenizer_json", "bytes", dump(tokenizer()), text)
    put("tokenizer_json", "added", dump(short_tokenizer(added_tokens=added, normalizer={"type": "NFC"})), "ab <s> ne\u0301 ab")
    put("tokenizer_json", "sequence", dump(short_tokenizer(pre_tokenizer=sequence, post_processor=template, added_tokens=added)), text)
    config = {"bos_token": "<s>", "eos_token": {"content": "<s>"}, "add_bos_token": True,
              "added_tokens_decoder": {"4": {"content": "<s>", "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}}}
    put("tokenizer_folder", "roles", dump(config), dump({"bos_token": "<s>", "eos_token": {"content": "<s>", "lstrip": False}}),
        dump(short_tokenizer(added_tokens=added[:1], post_processor=template)), "ab <s> 1")
    put("tokenizer_folder", "alone", "", "", dump(short_tokenizer()), "abab")
    tokens = "\n".join(["1 a", "1 b", "1 Ġ", "1 ab", "3 <s>", "4 né", "1 1"])
    for pre in ("gpt-2", "llama-bpe", "qwen2", "smollm", "default"):
        put("gguf_tokenizer", pre, pre, tokens, "a b", "ab <s> né 11 ab")


def gguf(metadata, tensors, version=3, alignment=32):
    """tensors: (name, shape fastest first, type id, bytes)"""
    def text(value):
        value = value.encode() if isinstance(value, str) else value
        return struct.pack("<Q", len(value)) + value

    def value_of(value):
        if isinstance(value, bool):
            return 7, struct.pack("<?", value)
        if isinstance(value, int):
            return 4, struct.pack("<I", value)
        if isinstance(value, float):
            return 6, struct.pack("<f", value)
        if isinstance(value, (str, bytes)):
            return 8, text(value)
        kind = value_of(value[0])[0]
        return 9, struct.pack("<IQ", kind, len(value)) + b"".join(value_of(item)[1] for item in value)

    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        kind, packed = value_of(value)
        out += text(key) + struct.pack("<I", kind) + packed
    data, placed = b"", b""
    for name, shape, kind, content in tensors:
        data += b"\0" * (-len(data) % alignment)
        placed += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", kind, len(data))
        data += content
    out += placed
    return out + b"\0" * (-len(out) % alignment) + data


def tiny_gguf():
    """A llama of one block, D = 4, F = 4, V = 7."""
    metadata = {
        "general.architecture": "llama", "general.alignment": 32, "llama.context_length": 16, "llama.embedding_length": 4,
        "llama.block_count": 1, "llama.feed_forward_length": 4, "llama.attention.head_count": 2, "llama.attention.head_count_kv": 1,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.freq_base": 10000.0, "llama.rope.scaling.type": "linear",
        "llama.rope.scaling.factor": 2.0, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": ["a", "b", "Ġ", "ab", "<s>", "1", "<e>"], "tokenizer.ggml.token_type": [1, 1, 1, 1, 3, 1, 4],
        "tokenizer.ggml.merges": ["a b"], "tokenizer.ggml.bos_token_id": 4, "tokenizer.ggml.add_bos_token": True}

    def f32(name, *shape):
        count = 1
        for size in shape:
            count *= size
        return name, shape, 0, struct.pack(f"<{count}f", *[0.5] * count)

    tensors = [f32("token_embd.weight", 4, 7), f32("output_norm.weight", 4), f32("blk.0.attn_norm.weight", 4),
               f32("blk.0.ffn_norm.weight", 4), f32("blk.0.attn_q.weight", 4, 4), f32("blk.0.attn_k.weight", 4, 2),
               f32("blk.0.attn_v.weight", 4, 2), f32("blk.0.attn_output.weight", 4, 4), f32("blk.0.ffn_gate.weight", 4, 4),
               f32("blk.0.ffn_up.weight", 4, 4), f32("blk.0.ffn_down.weight", 4, 4)]
    return metadata, tensors


def model_seeds():
    def safetensors(header, data):
        text = json.dumps(header, separators=(",", ":")).encode()
        return struct.pack("<Q", len(text)) + text + data

    put("safetensors", "two", safetensors({"__metadata__": {"format": "pt"},
                                           "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
                                           "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]}}, bytes(22)))
    put("safetensors", "empty", safetensors({"e": {"dtype": "I64", "shape": [0], "data_offsets": [0, 0]}}, b""))
    for name in ("tiny_llama", "tiny_llama3", "tiny_qwen2", "tiny_qwen3", "tiny_qwen3_moe"):
        put("hf_config", name, read(f"tests/parity/logits/{name}/config.json"))
    metadata, tensors = tiny_gguf()
    put("gguf", "llama", gguf(metadata, tensors))
    put("gguf_model", "llama", gguf(metadata, tensors))
    blocks = [("q4_0", 2, 32, 18), ("q4_1", 3, 32, 20), ("q5_0", 6, 32, 22), ("q5_1", 7, 32, 24), ("q8_0", 8, 32, 34),
              ("q2_k", 10, 256, 84), ("q3_k", 11, 256, 110), ("q4_k", 12, 256, 144), ("q5_k", 13, 256, 176), ("q6_k", 14, 256, 210),
              ("iq4_nl", 20, 32, 18), ("iq4_xs", 23, 256, 136), ("bf16", 30, 1, 2), ("f16", 1, 1, 2), ("mxfp4", 39, 32, 17)]
    kinds = {"general.architecture": "llama", "k": [[1, 2], [3]], "general.alignment": 32}
    put("gguf", "types", gguf(kinds, [(name, (elements,), kind, bytes(i % 251 for i in range(size))) for name, kind, elements, size in blocks]))
    put("gguf", "version_2", gguf({"k": ["x", "y"], "general.architecture": "qwen2"}, [], version=2))

    # hf_folder: every weight of a llama with one block, D = 4, F = 4, V = 7.
    config = {"architectures": ["LlamaForCausalLM"], "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
              "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 7, "max_position_embeddings": 16, "bos_token_id": 4,
              "eos_token_id": [4, 1], "tie_word_embeddings": True, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu"}
    shapes = {"model.embed_tokens.weight": [7, 4], "model.norm.weight": [4]}
    for name, shape in {"input_layernorm": [4], "post_attention_layernorm": [4], "self_attn.q_proj": [4, 4], "self_attn.k_proj": [2, 4],
                        "self_attn.v_proj": [2, 4], "self_attn.o_proj": [4, 4], "mlp.gate_proj": [4, 4], "mlp.up_proj": [4, 4],
                        "mlp.down_proj": [4, 4]}.items():
        shapes[f"model.layers.0.{name}.weight"] = shape
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    added = [{"id": 4, "content": "<s>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}]
    put("hf_folder", "llama", dump(config), dump({"eos_token_id": 4, "bos_token_id": 4}), dump({"bos_token": "<s>", "eos_token": "<s>"}),
        dump(short_tokenizer(added_tokens=added)), safetensors(header, bytes(at)))
    # The same with one layer that another program quantized.
    weight = "model.layers.0.mlp.gate_proj.weight"
    stored = {"gptq": ({"quant_method": "gptq", "bits": 8, "group_size": 4, "sym": False, "desc_act": True},
                       {"qweight": ("I32", [1, 4]), "qzeros": ("I32", [1, 1]), "scales": ("F16", [1, 4]), "g_idx": ("I32", [4])}),
              "pack_quantized": (compressed_tensors("pack-quantized", 4, "int", False),
                                 {"weight_packed": ("I32", [4, 1]), "weight_shape": ("I64", [2]), "weight_scale": ("F16", [4, 1]),
                                  "weight_zero_point": ("I32", [1, 1])}),
              "float_quantized": (compressed_tensors("float-quantized", 8, "float", True),
                                  {"weight": ("F8_E4M3", [4, 4]), "weight_scale": ("F32", [4, 1])})}
    sizes = {"I32": 4, "I64": 8, "F16": 2, "F8_E4M3": 1, "F32": 4}
    for name, (quantization, parts) in stored.items():
        tensors, at = {}, 0
        for tensor, shape in shapes.items():
            kinds = {tensor: ("F32", shape)}
            if tensor == weight:
                kinds = {tensor[:-len("weight")] + part: kind for part, kind in parts.items()}
            for part, (dtype, of) in kinds.items():
                size = sizes[dtype]
                for n in of:
                    size *= n
                tensors[part] = {"dtype": dtype, "shape": of, "data_offsets": [at, at + size]}
                at += size
        data = bytearray(at)
        if name == "pack_quantized":
            begin = tensors[weight[:-len("weight")] + "weight_shape"]["data_offsets"][0]
            data[begin:begin + 16] = (4).to_bytes(8, "little") * 2
        put("hf_folder", name, dump({**config, "quantization_config": quantization}), "{}", "{}",
            dump(short_tokenizer(added_tokens=added)), safetensors(tensors, bytes(data)))


def compressed_tensors(format, bits, kind, symmetric):
    weights = {"num_bits": bits, "type": kind, "symmetric": symmetric, "strategy": "channel"}
    return {"quant_method": "compressed-tensors", "format": format, "config_groups": {"group_0": {
        "targets": ["re:.*gate_proj", "Linear"], "weights": weights, "input_activations": None}}}


def spec_seeds():
    put("yaml", "kinds", "a: [1, 2.5, true, null, text, 'quoted', \"e\\u0041\\n\"]\nb: {c: &x {d: 1}, e: *x}\nf: |\n  block\n  text\ng: >-\n  folded\n  text\n")
    put("yaml", "quickstart", read("configs/studies/quickstart.yaml"))
    put("yaml", "json", read("tests/parity/logits/tiny_llama/config.json"))
    wanted = ["globs", "infeasible_cells", "product", "where_and_skip", "zip", "many_faults", "bad_compute", "axis_given_twice",
              "uneven_zip", "where_unknown_name", "unclosed_list"]
    for folder in ("good", "bad"):
        for path in sorted((TESTS / "specs" / folder).glob("*.yaml")):
            text = path.read_text().replace("../", "")
            if path.stem in wanted:
                put("study", f"{folder}_{path.stem}", text)
    quantize = "bitlaw: 1\nstudy: demo\nmodels: [models/small.shapes.json]\n"
    put("study", "inline_law", quantize + "laws: [{name: a, formula: A * N^b, parameters: {A: {start: 2.5}, b: {min: 0, max: 2}}}]\nfit: {bootstrap: 10}\n")
    put("study", "compute", quantize + "compute: {dtype: bfloat16}\noutput: out\nevaluate: {batch_tokens: 64}\ntasks: [{task: one, as: other}]\nstrata: {KM: [other]}\n")
    data = "tests/support/tasks/data/"
    for name, file, ending in (("capitals", "capitals.jsonl", "jsonl"), ("endings", "endings.jsonl", "jsonl"),
                               ("steps", "steps.jsonl", "jsonl"), ("uses", "uses.jsonl", "jsonl"), ("story", "story.txt", "txt")):
        task = read(f"tests/support/tasks/{name}.yaml").decode().replace(f"data/{file}", f"items.{ending}")
        put("task", name, task, head(data + file, 4))
    put("task", "extract", "type: short_answer\nversion: \"1\"\nstratum: KR\ndata: items.jsonl\nprompt: \"{{question}}\"\ntarget: \"{{solution}}\"\n"
        "until: [\"Question:\"]\nmax_new_tokens: 8\nextract:\n  strict: {pattern: '#### (\\-?[0-9]+)', take: first}\n"
        "  flexible: {pattern: '(-?[$0-9.,]{2,})|(-?[0-9]+)', take: last}\nignore: [',', '\\$']\nnormalization: math\n"
        "few_shot: {count: 1}\n", '{"question": "1 + 1?", "solution": "#### 2", "answers": ["2"]}\n{"question": "2 + 2?", "solution": "#### 4", "answers": "4"}\n')
    put("task", "csv", "type: multiple_choice\nversion: \"1\"\nstratum: KM\ndata: items.csv\nprompt: \"{{q}}\"\nchoices: [\"{{a}}\", \"{{b}}\"]\n"
        "answer_field: label\nlimit: 2\ngroup_field: _file\n", "q,a,b,label\nWhy?,x,y,0\nHow?,z,w,1\n")
    for name in ("chinchilla", "stratified_power", "log_group", "additive"):
        put("law", name, read(f"configs/laws/{name}.yaml"))


def fit_seeds():
    rows = ["model,N,B,acc,chance,correct,total,acc_adj,hold_out"]
    for i, (n, b) in enumerate([(1e6, 2), (1e6, 3), (1e6, 4), (4e6, 2), (4e6, 3), (4e6, 4), (2e7, 2), (2e7, 3), (2e7, 4), (9e7, 8)]):
        acc_adj = 0.9 - 2.5 * n ** -0.12 * b ** -0.4 + 0.002 * (i % 3)
        acc = 0.25 + 0.75 * acc_adj
        rows.append(f"m{i // 3},{n:g},{b},{acc:.4f},0.25,{round(200 * acc)},200,{acc_adj:.4f},{int(i == 9)}")
    table = "\n".join(rows) + "\n"
    put("fit", "log_linear", "formula: A * N^alpha * B^beta\nparameters: {A: {}, alpha: {}, beta: {}}\n", table)
    put("fit", "nonlinear", "formula: E + A / N^alpha\nresponse: acc_adj\nparameters: {E: {min: 0}, A: {min: 0}, alpha: {min: 0, max: 2}}\n", table)


def record_seeds():
    """Records and items are made by the program itself (target.h, samples), so that they follow its format."""
    put("digests", "known", json.dumps({"files": {"/tmp/w.bin": {"size_bytes": 5, "modified_ns": 17, "changed_ns": 17, "inode": 3, "settled": True, "digest": "a" * 64}},
                                        "entries": {"tokens": "b" * 64}}))


def elf_seeds():
    if shutil.which("cc") is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "p.c")
        source.write_text("const int bitlaw_fingerprint_x = 3; int bitlaw_plugin_register(void) { return 0; }\n")
        subprocess.run(["cc", "-shared", "-nostdlib", "-s", "-Wl,-z,noseparate-code,-z,max-page-size=4096,--hash-style=gnu", "-o",
                        f"{folder}/p.so", str(source)], check=True)
        put("elf_symbols", "gnu_hash", pathlib.Path(folder, "p.so").read_bytes())
        put("elf_symbols", "cut_off", pathlib.Path(folder, "p.so").read_bytes()[:3000])
        subprocess.run(["cc", "-shared", "-nostdlib", "-s", "-Wl,-z,noseparate-code,-z,max-page-size=4096,--hash-style=sysv", "-o",
                        f"{folder}/q.so", str(source)], check=True)
        put("elf_symbols", "sysv_hash", pathlib.Path(folder, "q.so").read_bytes())


json_seeds()
text_seeds()
table_seeds()
tokenizer_seeds()
model_seeds()
spec_seeds()
fit_seeds()
record_seeds()
elf_seeds()
