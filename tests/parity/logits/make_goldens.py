"""Makes the goldens of this folder: tiny random checkpoints, their logits, dequantized blocks, SmolLM2's logits.

    python make_goldens.py                      tiny checkpoints, tiny.gguf, dequantized.json
    python make_goldens.py dequantized          dequantized.json alone
    python make_goldens.py SmolLM2-....gguf     smollm2_logits.json as well
    python make_goldens.py lab                  lab-*_logits.json only: the knowledge lab's smallest rung a family

Needs torch, transformers, safetensors, tokenizers and gguf. Everything follows from SEED. Written on 2026-11-22, those of the lab on 2026-11-28.
"""

import hashlib
import importlib.metadata
import json
import shutil
import sys
from pathlib import Path

import gguf
import numpy as np
import tokenizers
import torch
import transformers

SEED = 20261122
DATE = "2026-11-22"
LAB_DATE = "2026-11-28"
HERE = Path(__file__).parent
SAMPLED_COLUMNS = 16
TOP = 64

TOKENIZER_TEXT = [
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "Quantization rounds the weights of a model to a grid; the model forgets a little of what it knew.",
    "for (int i = 0; i < 10; ++i) total += i;",
]


def provenance(what, tolerance):
    return {
        "what": what,
        "generator": "tests/parity/logits/make_goldens.py",
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, tokenizers)} | {"gguf": importlib.metadata.version("gguf")},
        "seed": SEED,
        "date": DATE,
        "tolerance": tolerance,
    }


LOGIT_TOLERANCE = (
    "1e-4 of max(|logit|, root mean square of the row): both sides compute in float32 and differ in the order of their "
    "sums; 1e-4 is a thousand units in the last place and far below any fault of the architecture."
)


def tiny_tokenizer():
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|end|>"],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TOKENIZER_TEXT, trainer)
    assert tokenizer.get_vocab_size() == 300
    return tokenizer


def randomize(model, generator):
    """Norms near one, matrices such that logits are of order one to ten and attention is far from uniform."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name:
                parameter.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_(0.25 * noise)


def sampled_logits(model, prompts, positions=None, top=0):
    """Per prompt: ids, positions, columns, and at each position logits of the columns, log-sum-exp, rms, top values."""
    rng = np.random.default_rng(SEED)
    result = []
    for ids in prompts:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].double()
        chosen = list(range(len(ids))) if positions is None else [p % len(ids) for p in positions]
        columns = sorted(rng.choice(logits.shape[1], SAMPLED_COLUMNS, replace=False).tolist())
        rows = logits[chosen]
        entry = {
            "ids": ids,
            "positions": chosen,
            "columns": columns,
            "logits": [[float(f"{v:.8g}") for v in row] for row in rows[:, columns].tolist()],
            "log_sum_exp": [float(f"{v:.9g}") for v in rows.logsumexp(-1).tolist()],
            "rms": [float(f"{v:.6g}") for v in rows.square().mean(-1).sqrt().tolist()],
        }
        if top:
            values, indices = rows.topk(top)
            entry["top_ids"] = indices.tolist()
            entry["top_logits"] = [[float(f"{v:.8g}") for v in row] for row in values.tolist()]
        result.append(entry)
    return result


def write_json(path, value):
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def tiny_prompts(vocab_size=300):
    rng = np.random.default_rng(SEED)
    return [rng.integers(0, vocab_size, n).tolist() for n in (1, 24, 17)]


def make_tiny_checkpoints():
    common = dict(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=0,
    )
    llama3 = dict(
        rope_type="llama3",
        rope_theta=10000.0,
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=64,
    )
    models = {
        "tiny_llama": (
            transformers.LlamaForCausalLM,
            transformers.LlamaConfig(**common, tie_word_embeddings=True, rms_norm_eps=1e-5),
            torch.float32,
        ),
        "tiny_llama3": (
            transformers.LlamaForCausalLM,
            transformers.LlamaConfig(
                **common, tie_word_embeddings=False, rms_norm_eps=1e-5, rope_parameters=llama3, attention_bias=True
            ),
            torch.bfloat16,
        ),
        "tiny_qwen2": (
            transformers.Qwen2ForCausalLM,
            transformers.Qwen2Config(**common, tie_word_embeddings=True, use_sliding_window=False),
            torch.bfloat16,
        ),
        "tiny_qwen3": (
            transformers.Qwen3ForCausalLM,
            transformers.Qwen3Config(**common, tie_word_embeddings=True, head_dim=12),
            torch.bfloat16,
        ),
        "tiny_qwen3_moe": (
            transformers.Qwen3MoeForCausalLM,
            transformers.Qwen3MoeConfig(
                **common, tie_word_embeddings=True, head_dim=12, moe_intermediate_size=24, num_experts=5,
                num_experts_per_tok=2, norm_topk_prob=True,
            ),
            torch.bfloat16,
        ),
    }
    tokenizer = tiny_tokenizer()
    generator = torch.Generator().manual_seed(SEED)
    kept = {}
    for name, (model_class, config, dtype) in models.items():
        model = model_class(config).eval()
        randomize(model, generator)
        model = model.to(dtype)
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        # Two shards for one of them, so that an index is read.
        model.save_pretrained(folder, max_shard_size="40KB" if name == "tiny_qwen3" else "1GB")
        (folder / "generation_config.json").unlink(missing_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        # Loaded anew: casting a model to bfloat16 rounds its rotary frequencies too, which loading does not.
        model = model_class.from_pretrained(folder, dtype=torch.float32).eval()
        write_json(
            HERE / f"{name}_logits.json",
            {
                "provenance": provenance(f"float32 logits of {name}, weights stored as {dtype}", LOGIT_TOLERANCE),
                "prompts": sampled_logits(model, tiny_prompts()),
            },
        )
        kept[name] = model
    return kept, tokenizer


def interleaved(weight, heads):
    """Rows as llama.cpp keeps them for the llama architecture: row 2 j + s of a head is its row s Dh / 2 + j."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def make_tiny_gguf(model, tokenizer):
    """tiny_llama as GGUF with one stored type a kind of layer; expected logits from transformers reading that file."""
    config = model.config
    path = HERE / "tiny.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    spec = json.loads(tokenizer.to_str())
    tokens = sorted(spec["model"]["vocab"], key=spec["model"]["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token == "<|end|>" else 1 for token in tokens])
    writer.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in spec["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    types = {
        "token_embd": "Q8_0",
        "attn_q": "Q4_1",
        "attn_k": "Q4_0",
        "attn_v": "Q5_1",
        "attn_output": "Q5_0",
        "ffn_gate": "Q8_0",
        "ffn_up": "F16",
        "ffn_down": "BF16",
    }
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        gguf_name = names.get_name(name, try_suffixes=(".weight",))
        weight = tensor.float().numpy()
        if "q_proj" in name:
            weight = interleaved(weight, config.num_attention_heads)
        if "k_proj" in name:
            weight = interleaved(weight, config.num_key_value_heads)
        kind = gguf.GGMLQuantizationType[types.get(gguf_name.split(".")[-2], "F32")]
        stored = gguf.quants.quantize(np.ascontiguousarray(weight), kind)
        writer.add_tensor(gguf_name, stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    loaded = transformers.AutoModelForCausalLM.from_pretrained(HERE, gguf_file="tiny.gguf", dtype=torch.float32).eval()
    write_json(
        HERE / "tiny_gguf_logits.json",
        {
            "provenance": provenance("float32 logits of tiny.gguf as transformers dequantizes it", LOGIT_TOLERANCE),
            "prompts": sampled_logits(loaded, tiny_prompts()),
        },
    )


def make_dequantized():
    """Random blocks and what the gguf package makes of them, both as hexadecimal little-endian bytes."""
    rng = np.random.default_rng(SEED)
    half_fields = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208]}
    half_fields |= {"Q5_K": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "TQ1_0": [52], "TQ2_0": [64]}
    types = {}
    for name, fields in half_fields.items():
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (4, size), dtype=np.uint8)
        for row, scale in enumerate((1.0, 0.01, 6e-8, 300.0)):  # 6e-8 is a subnormal half
            for field in fields:
                value = np.float16(rng.normal() * scale)
                blocks[row, field : field + 2] = np.frombuffer(value.tobytes(), np.uint8)
        if name == "MXFP4":
            blocks[:, 0] = (0, 1, 120, 254)  # The scale is an exponent; the first two are subnormal.
        values = gguf.quants.dequantize(blocks.reshape(4, -1), kind).astype(np.float32)
        types[name] = {"blocks": blocks.tobytes().hex(), "values": values.tobytes().hex()}
    write_json(
        HERE / "dequantized.json",
        {
            "provenance": provenance("dequantized random blocks", "none: equal to the bit, one rounding an operation")
            | {"date": "2026-11-27"},
            "types": types,
        },
    )


def make_smollm2(path):
    path = Path(path)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    texts = [
        "The capital of France is",
        "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
        "Water boils at a lower temperature on a mountain because",
        "".join(f"{i} plus {i + 1} is {2 * i + 1}. " for i in range(1, 41)),
    ]
    prompts = [tokenizer(text)["input_ids"] for text in texts]
    write_json(
        HERE / "smollm2_logits.json",
        {
            "provenance": provenance(
                f"float32 logits of {path.name} (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}) as transformers "
                "dequantizes it",
                LOGIT_TOLERANCE,
            ),
            "prompts": sampled_logits(model, prompts, positions=(0, 2, -1), top=TOP),
        },
    )


def make_lab():
    """One rung a family of examples/knowledge-lab/models, as transformers loads it: model and tokenizer."""
    for name in ("lab-qwen3-123k", "lab-llama-123k", "lab-moe-518k"):
        folder = HERE.parents[2] / "examples/knowledge-lab/models" / name
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        items = [
            json.loads(line)["question"]
            for task in ("lab_fact", "lab_rule", "lab_swap")
            for line in (HERE.parents[2] / f"configs/tasks/lab/{task}.jsonl").read_text().splitlines()[:2]
        ]
        prompts = [tokenizer(" " + item)["input_ids"] for item in items]
        assert all(ids[0] == 0 and len(ids) == 1 + len(item.split()) for ids, item in zip(prompts, items))
        write_json(
            HERE / f"{folder.name}_logits.json",
            {
                "provenance": provenance(f"float32 logits of examples/knowledge-lab/models/{folder.name}", LOGIT_TOLERANCE) | {"date": LAB_DATE},
                "texts": [" " + item for item in items],
                "prompts": sampled_logits(model, prompts),
            },
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["dequantized"]:
        make_dequantized()
        sys.exit()
    if sys.argv[1:] == ["lab"]:
        make_lab()
        sys.exit()
    torch.manual_seed(SEED)
    models, tokenizer = make_tiny_checkpoints()
    make_tiny_gguf(models["tiny_llama"], tokenizer)
    make_dequantized()
    if len(sys.argv) > 1:
        make_smollm2(sys.argv[1])
