"""Writes a checkpoint of random bfloat16 weights in the shape of a Qwen3 model, for measuring and for nothing else.

Usage: python make_model.py --shape 0.6b|8b|tiny|moe|tiny-moe --tokenizer DIR --out DIR [--layers N]
                           [--device cuda|cpu] [--seed N]

DIR of the tokenizer holds tokenizer.json and tokenizer_config.json of Qwen3. Weights are normal with standard deviation
0.02, those of norms 1 + 0.02 normal: activations, logits and Hessians have the size that they have in a model at the
start of its training. `--layers` keeps only the first so many blocks, whose weights are the same. The same shape, seed and kind of device give the same bytes; a GPU draws other numbers than a
CPU.

The 8B takes 16.4 GB. Shards are written by several threads, so that memory (/dev/shm) or the disk sets the pace.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import threading
import time

import torch

# hidden, layers, heads, key-value heads, head dimension, feed-forward width, tied embeddings
SHAPES = {
    "0.6b": (1024, 28, 16, 8, 128, 3072, True),
    "8b": (4096, 36, 32, 8, 128, 12288, False),
    "tiny": (128, 2, 4, 2, 32, 256, True),
    "moe": (1024, 2, 16, 4, 128, 512, True),
    "tiny-moe": (64, 2, 2, 1, 32, 32, True),
}
# experts, of which so many a token; the feed-forward width is one expert's
EXPERTS = {"moe": (64, 8), "tiny-moe": (4, 2)}
VOCABULARY = 151936
SHARD_BYTES = 2 << 30
WRITERS = 8


def sizes_of(shape, layers=None):
    hidden, all_layers, *others = SHAPES[shape]
    return (hidden, layers or all_layers, *others)


def config_of(shape, layers=None):
    hidden, layers, heads, kv_heads, head_dim, ffn, tied = sizes_of(shape, layers)
    experts = {}
    if shape in EXPERTS:
        count, chosen = EXPERTS[shape]
        experts = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_experts": count,
                   "num_experts_per_tok": chosen, "moe_intermediate_size": ffn, "norm_topk_prob": True,
                   "decoder_sparse_step": 1, "mlp_only_layers": []}
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 151643, "eos_token_id": 151645, "head_dim": head_dim, "hidden_act": "silu",
        "hidden_size": hidden, "initializer_range": 0.02, "intermediate_size": ffn, "max_position_embeddings": 40960,
        "max_window_layers": layers, "num_attention_heads": heads, "num_hidden_layers": layers,
        "num_key_value_heads": kv_heads, "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000,
        "sliding_window": None, "tie_word_embeddings": tied, "torch_dtype": "bfloat16",
        "transformers_version": "4.51.0", "use_cache": True, "use_sliding_window": False, "vocab_size": VOCABULARY,
        **experts}


def tensors_of(shape, layers=None):
    """(name, shape of the tensor) in the order in which they are written; one-dimensional ones belong to norms."""
    hidden, layers, heads, kv_heads, head_dim, ffn, tied = sizes_of(shape, layers)
    yield "model.embed_tokens.weight", (VOCABULARY, hidden)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", (hidden,)
        yield at + "self_attn.q_proj.weight", (heads * head_dim, hidden)
        yield at + "self_attn.k_proj.weight", (kv_heads * head_dim, hidden)
        yield at + "self_attn.v_proj.weight", (kv_heads * head_dim, hidden)
        yield at + "self_attn.q_norm.weight", (head_dim,)
        yield at + "self_attn.k_norm.weight", (head_dim,)
        yield at + "self_attn.o_proj.weight", (hidden, heads * head_dim)
        yield at + "post_attention_layernorm.weight", (hidden,)
        parts = ["mlp."]
        if shape in EXPERTS:
            yield at + "mlp.gate.weight", (EXPERTS[shape][0], hidden)
            parts = [f"mlp.experts.{expert}." for expert in range(EXPERTS[shape][0])]
        for part in parts:
            yield at + part + "gate_proj.weight", (ffn, hidden)
            yield at + part + "up_proj.weight", (ffn, hidden)
            yield at + part + "down_proj.weight", (hidden, ffn)
    yield "model.norm.weight", (hidden,)
    if not tied:
        yield "lm_head.weight", (VOCABULARY, hidden)


def size_bytes(dimensions):
    count = 2  # of a bfloat16
    for dimension in dimensions:
        count *= dimension
    return count


def shards_of(shape, layers=None):
    """Lists of (name, dimensions), each of at most SHARD_BYTES, but for a single larger tensor."""
    shards, filled = [[]], 0
    for name, dimensions in tensors_of(shape, layers):
        if shards[-1] and filled + size_bytes(dimensions) > SHARD_BYTES:
            shards.append([])
            filled = 0
        shards[-1].append((name, dimensions))
        filled += size_bytes(dimensions)
    return shards


def draw(dimensions, generator, device):
    values = torch.empty(dimensions, dtype=torch.bfloat16, device=device).normal_(0.0, 0.02, generator=generator)
    return values.add_(1.0) if len(dimensions) == 1 else values


def write_at(file, offset, tensor, free):
    try:
        rest = memoryview(tensor.view(torch.uint8).numpy()).cast("B")
        while rest:
            written = os.pwrite(file, rest[: 256 << 20], offset)
            rest, offset = rest[written:], offset + written
    finally:
        free.release()


def write_shard(path, shard, generator, device, pool, free):
    """Draws the shard's tensors in order and leaves their writing to the pool. Returns the open file and its writes."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, dimensions in shard:
        end = offset + size_bytes(dimensions)
        header[name] = {"dtype": "BF16", "shape": list(dimensions), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
    os.pwrite(file, len(text).to_bytes(8, "little") + text, 0)
    base, writes = 8 + len(text), []
    for name, dimensions in shard:
        free.acquire()  # At most so many tensors wait in memory.
        tensor = draw(dimensions, generator, device).cpu()
        writes.append(pool.submit(write_at, file, base + header[name]["data_offsets"][0], tensor, free))
    return file, writes


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", required=True, choices=SHAPES)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--tokenizer", required=True, type=pathlib.Path)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()

    began = time.monotonic()
    given.out.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator(given.device).manual_seed(given.seed)
    shards, free = shards_of(given.shape, given.layers), threading.Semaphore(2 * WRITERS)
    weight_map, total, open_files = {}, 0, []
    with torch.inference_mode(), concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        for number, shard in enumerate(shards, 1):
            one = len(shards) == 1
            name = "model.safetensors" if one else f"model-{number:05}-of-{len(shards):05}.safetensors"
            open_files.append(write_shard(given.out / name, shard, generator, given.device, pool, free))
            weight_map.update({tensor: name for tensor, _ in shard})
            total += sum(size_bytes(dimensions) for _, dimensions in shard)
        for file, writes in open_files:
            for write in writes:
                write.result()
            os.close(file)

    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (given.out / "model.safetensors.index.json").write_text(json.dumps(index))
    (given.out / "config.json").write_text(json.dumps(config_of(given.shape, given.layers), indent=2))
    (given.out / "generation_config.json").write_text(json.dumps({"bos_token_id": 151643, "eos_token_id": 151645}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(given.tokenizer / name, given.out / name)
    took = time.monotonic() - began
    print(f"{given.out}: shape {given.shape}, {total / 1e9:.2f} GB in {took:.1f} s, drawn on {given.device}")


if __name__ == "__main__":
    main()
