"""Makes architectures/*.json: tiny models of every architecture and rotary scaling, and their logits.

    python make_architectures.py [NAME ...]

A file holds a configuration, the names and shapes of the tensors as transformers stores them, and logits. Weights are not
in it: both sides make them by the formula of weight_values(), from a tensor's name alone. Needs torch, transformers,
safetensors, numpy. Written on 2026-11-27.
"""

import datetime
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
import transformers

SEED = 20261127
HERE = Path(__file__).parent
COLUMNS = 6
TOLERANCE = (
    "1e-4 of max(|logit|, root mean square of the row): both sides compute in float32 and differ in the order of their "
    "sums; 1e-4 is a thousand units in the last place and far below any fault of the architecture."
)

SIZES = dict(vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=512, bos_token_id=0, eos_token_id=0, pad_token_id=None)
EXACT = dict(SIZES, tie_word_embeddings=False)
FACTORS = dict(short_factor=[1.0, 1.1, 1.3], long_factor=[1.2, 2.5, 6.0])
GEMMA = dict(SIZES, head_dim=12, query_pre_attn_scalar=10, sliding_window=12, bos_token_id=2, eos_token_id=1, pad_token_id=0)


def rope(kind, **more):
    return {"rope_type": kind, "rope_theta": 10000.0, **more}


# name: class, configuration, lengths of the prompts
MODELS = {
    "llama_linear": ("Llama", dict(SIZES, rope_parameters=rope("linear", factor=4.0)), (24,)),
    "llama_dynamic": ("Llama", dict(SIZES, max_position_embeddings=32, rope_parameters=rope("dynamic", factor=4.0)), (24, 90)),
    "llama_yarn": ("Llama", dict(EXACT, mlp_bias=True, rope_parameters=rope(
        "yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=4.0, beta_slow=1.0)), (24, 90)),
    "qwen2_yarn": ("Qwen2", dict(SIZES, rope_parameters=rope(
        "yarn", factor=2.0, original_max_position_embeddings=40, mscale=0.7, mscale_all_dim=1.2, truncate=False)), (90,)),
    "qwen2_window": ("Qwen2", dict(SIZES, num_hidden_layers=3, use_sliding_window=True, sliding_window=12,
                                   max_window_layers=1), (24, 90)),
    "qwen3_longrope": ("Qwen3", dict(SIZES, head_dim=6, rope_parameters=rope(
        "longrope", factor=4.0, original_max_position_embeddings=32, **FACTORS)), (24, 90)),
    "mistral": ("Mistral", dict(EXACT, head_dim=12, sliding_window=12), (24, 90)),
    "mixtral": ("Mixtral", dict(EXACT, num_local_experts=5, num_experts_per_tok=2, sliding_window=None), (24,)),
    # Experts in block 1 alone: every second block has them, the last but for its being listed.
    "qwen3_moe_dense_blocks": ("Qwen3Moe", dict(
        EXACT, num_hidden_layers=4, head_dim=12, moe_intermediate_size=24, num_experts=5, num_experts_per_tok=2,
        norm_topk_prob=True, decoder_sparse_step=2, mlp_only_layers=[3]), (24, 60)),
    "qwen2_moe": ("Qwen2Moe", dict(
        EXACT, num_hidden_layers=3, moe_intermediate_size=24, shared_expert_intermediate_size=40, num_experts=5,
        num_experts_per_tok=2, mlp_only_layers=[1], use_sliding_window=True, sliding_window=12, max_window_layers=3),
        (24, 60)),
    "smollm3": ("SmolLM3", dict(SIZES, num_hidden_layers=4, no_rope_layer_interval=2), (24, 60)),
    "smollm3_window": ("SmolLM3", dict(EXACT, num_hidden_layers=3, no_rope_layers=[1, 0, 1], use_sliding_window=True,
                                       sliding_window=12, attention_bias=True), (60,)),
    "olmo2": ("Olmo2", dict(EXACT), (24, 60)),
    "gemma": ("Gemma", dict(SIZES, head_dim=12, bos_token_id=2, eos_token_id=1, pad_token_id=0), (24,)),
    "gemma2": ("Gemma2", dict(GEMMA, num_hidden_layers=3, attn_logit_softcapping=3.0, final_logit_softcapping=8.0), (24, 90)),
    "gemma3": ("Gemma3", dict(GEMMA, num_hidden_layers=4, layer_types=[
        "sliding_attention", "sliding_attention", "full_attention", "sliding_attention"], rope_parameters=dict(
            full_attention={"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
            sliding_attention={"rope_type": "default", "rope_theta": 10000.0})), (24, 90)),
    # A model of images and text: the text's part is read. Its sizes that are transformers' defaults are left out of the file.
    "gemma3_images": ("Gemma3Conditional", dict(GEMMA, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=4,
                                                layer_types=["sliding_attention", "full_attention"] * 2), (24,)),
    "phi3": ("Phi3", dict(EXACT, sliding_window=12), (24, 60)),
    "phi3_longrope": ("Phi3", dict(SIZES, head_dim=None, max_position_embeddings=128, original_max_position_embeddings=32,
                                   rope_parameters=rope("longrope", partial_rotary_factor=0.75, **FACTORS)), (24, 90)),
}


def weight_values(name, shape, center, scale):
    """center + scale u, u in [-1, 1) from the upper 24 bits of splitmix64, begun at the name's FNV-1a hash."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0
    return (center + scale * unit).astype(np.float32).reshape(shape)


def spread(name, shape, adds_one):
    """Norms near one, matrices such that logits are of order one to ten and attention is far from uniform."""
    if "norm" in name:
        return (0.0 if adds_one else 1.0), 0.375
    return 0.0, (0.375 if len(shape) == 1 else 0.4375)


def sampled(model, ids, rng):
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    # All of a short text; of a long one the first, those about the window and the original context, and the last.
    positions = [p for p in range(len(ids)) if p < 3 or 10 <= p < 14 or 30 <= p < 34 or p % 13 == 5 or p >= len(ids) - 3]
    columns = sorted(rng.choice(logits.shape[1], COLUMNS, replace=False).tolist())
    rows = logits[positions]
    return {
        "ids": ids,
        "positions": positions,
        "columns": columns,
        "logits": [[float(f"{v:.8g}") for v in row] for row in rows[:, columns].tolist()],
        "log_sum_exp": [float(f"{v:.9g}") for v in rows.logsumexp(-1).tolist()],
        "rms": [float(f"{v:.6g}") for v in rows.square().mean(-1).sqrt().tolist()],
    }


def make(name):
    kind, settings, lengths = MODELS[name]
    is_gemma3 = kind.startswith("Gemma3")
    config_class = getattr(transformers, "Gemma3TextConfig" if is_gemma3 else kind + "Config")
    model_class = getattr(transformers, "Gemma3ForConditionalGeneration" if kind == "Gemma3Conditional" else kind + "ForCausalLM")
    settings = {key: value for key, value in settings.items() if value is not None or key in ("sliding_window", "pad_token_id")}
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        chosen = config_class(**settings)
        if kind == "Gemma3Conditional":
            vision = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
            chosen = transformers.Gemma3Config(text_config=chosen.to_dict(), vision_config=vision, mm_tokens_per_image=4,
                                               image_token_index=299, boi_token_index=297, eoi_token_index=298)
        model_class(chosen).save_pretrained(folder)
        stored = safetensors.numpy.load_file(folder / "model.safetensors")
        tensors = [[tensor, list(value.shape), *spread(tensor, value.shape, kind.startswith("Gemma"))]
                   for tensor, value in sorted(stored.items())]
        safetensors.numpy.save_file({t[0]: weight_values(*t) for t in tensors}, folder / "model.safetensors",
                                    metadata={"format": "pt"})
        config = json.loads((folder / "config.json").read_text())
        prompts = []
        for length in lengths:
            # A model of its own for each: some rotary scalings remember the longest text.
            model = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
            prompts.append(sampled(model, rng.integers(0, 300, length).tolist(), rng))
    for key in ("dtype", "transformers_version", "initializer_range", "use_cache", "attention_dropout"):
        config.pop(key, None)
        config.get("text_config", {}).pop(key, None)
    if kind == "Gemma3Conditional":
        for key in ("num_attention_heads", "num_key_value_heads", "architectures"):
            config["text_config"].pop(key, None)
    provenance = {
        "what": f"float32 logits of {model_class.__name__}, weights by the formula of the generator",
        "generator": "tests/parity/logits/make_architectures.py", "seed": SEED, "date": datetime.date.today().isoformat(),
        "versions": {m.__name__: m.__version__ for m in (torch, transformers)}, "tolerance": TOLERANCE,
    }
    text = json.dumps({"provenance": provenance, "config": config, "tensors": tensors, "prompts": prompts},
                      separators=(",", ":"))
    (HERE / "architectures" / f"{name}.json").write_text(text + "\n")


for chosen in sys.argv[1:] or MODELS:
    make(chosen)
