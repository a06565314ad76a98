#!/usr/bin/env python3
"""Loads exports into vLLM's own model classes as if on an H100, without one, and compares the weights that arrive.

    check_vllm_rules.py BUILD [WORD]   BUILD: a build or an install, whose bin/bitlaw quantizes and exports
                                       WORD: only cases that have it in their format or name

Run by hand where `pip install vllm` is; needs gcc, no GPU: a driver library of three empty functions stands for
libcuda.so.1, and the platform says capability 9.0. vLLM reads config.json, picks scheme and kernel of each fused layer,
makes its parameters and loads the folder with its own loader, which refuses unknown names, other shapes and parameters
without a tensor. What the parameters say is then multiplied out as the scheme documents and compared with the dense
export's weights. Kernels do not run, nor what repacks weights for them (process_weights_after_loading): both need the
card. Mixtures of experts are not among the cases.

Prints one line a case and fails where it is not what CASES says. Seen with vLLM 0.33.0 (its wheel, compressed-tensors
0.17.0, humming-kernels 0.1.19), torch 2.15, transformers 5.24; flashinfer was not installed. vLLM's own tests of the
choice of schemes (tests/quantization/test_compressed_tensors.py, test_auto_gptq.py: the 31 that need no checkpoint)
pass on this stand-in.
"""
import ctypes
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch

ROOT = pathlib.Path(__file__).resolve().parents[3]
LAB = ROOT / "examples/knowledge-lab/models"
TEXT = ROOT / "examples/knowledge-lab/text/lab_general.jsonl"
FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


# Keys and values in FP8 with a static scale a layer or head: KV.format("tensor").
KV = " ".join(f"kv_cache.{what}_format=fp8_e4m3 kv_cache.{what}_per={{0}}" for what in ("key", "value"))


@dataclasses.dataclass
class Case:
    name: str
    options: str
    scheme: str  # What vLLM takes it as, scheme/kernel; or a part of its refusal.
    form: str = "compressed_tensors"
    export: str = ""  # Options of the exporter.
    model: str = ""  # One of the lab's in place of a Llama block of 512 channels.
    off: float = 0  # Largest difference of a weight, of the largest weight, that vLLM's rule for fused layers makes.


CASES = [
    Case("W4A16 symmetric, groups of 32", "bits=4 group_size=32 symmetric=true",
         "CompressedTensorsWNA16/HummingLinearKernel"),
    Case("W4A16 symmetric, groups of 64", "bits=4 group_size=64 symmetric=true",
         "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W4A16 symmetric, groups of 128", "bits=4 group_size=128 symmetric=true",
         "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W4A16 symmetric, rows", "bits=4 group_size=row symmetric=true", "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W4A16, groups of 16", "bits=4 group_size=16", "CompressedTensorsWNA16/HummingLinearKernel"),
    Case("W4A16, groups of 32, Qwen3", "bits=4 group_size=32", "CompressedTensorsWNA16/HummingLinearKernel",
         model="lab-qwen3-492k"),
    Case("W4A16, groups of 128", "bits=4 group_size=128", "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W4A16, rows", "bits=4 group_size=row", "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W2A16 symmetric", "bits=2 group_size=128 symmetric=true", "CompressedTensorsWNA16/HummingLinearKernel"),
    Case("W2A16", "bits=2 group_size=128", "CompressedTensorsWNA16/HummingLinearKernel"),
    Case("W3A16 symmetric", "bits=3 group_size=128 symmetric=true", "CompressedTensorsWNA16/HummingLinearKernel"),
    Case("W3A16", "bits=3 group_size=128", "CompressedTensorsWNA16/HummingLinearKernel"),
    Case("W5A16", "bits=5 group_size=128", "CompressedTensorsWNA16/HummingLinearKernel"),
    Case("W8A16 symmetric", "bits=8 group_size=128 symmetric=true", "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W8A16", "bits=8 group_size=128", "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W4A16, static order", "bits=4 group_size=128 act_order=true group_params=static",
         "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W4A16, groups scattered", "bits=4 group_size=128 act_order=true group_params=ref",
         "group/dynamic activation ordering", export="g_idx=true"),
    Case("W4A16, down_proj W8", 'bits=4 group_size=128 overrides=[{"match":"*.down_proj","bits":8}]',
         "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W4A16, q_proj W8", 'bits=4 group_size=128 overrides=[{"match":"*.q_proj","bits":8}]', "AssertionError"),
    Case("W8A8 a token", "bits=8 group_size=row symmetric=true activations.bits=8",
         "CompressedTensorsW8A8Int8/CutlassInt8ScaledMMLinearKernel"),
    Case("W8A8 a token, asymmetric inputs",
         "bits=8 group_size=row symmetric=true activations.bits=8 activations.symmetric=false",
         "CompressedTensorsW8A8Int8/CutlassInt8ScaledMMLinearKernel"),
    Case("W8A8 static", "bits=8 group_size=row symmetric=true activations.bits=8 activations.per=tensor",
         "CompressedTensorsW8A8Int8/CutlassInt8ScaledMMLinearKernel"),
    Case("W8A8 static, asymmetric inputs",
         "bits=8 group_size=row symmetric=true activations.bits=8 activations.per=tensor activations.symmetric=false",
         "CompressedTensorsW8A8Int8/CutlassInt8ScaledMMLinearKernel"),
    Case("W8A8, asymmetric weights", "bits=8 group_size=row activations.bits=8",
         "No compressed-tensors compatible scheme"),
    Case("W8A8, groups of 128", "bits=8 group_size=128 symmetric=true activations.bits=8",
         "No compressed-tensors compatible scheme"),
    Case("W4A8 symmetric, groups of 128", "bits=4 group_size=128 symmetric=true activations.bits=8",
         "CompressedTensorsWNA8Int/MacheteLinearKernel"),
    Case("W4A8, groups of 128", "bits=4 group_size=128 activations.bits=8",
         "CompressedTensorsWNA8Int/MacheteLinearKernel"),
    Case("W4A8 symmetric, rows", "bits=4 group_size=row symmetric=true activations.bits=8",
         "CompressedTensorsWNA8Int/MacheteLinearKernel"),
    Case("W4A8 static", "bits=4 group_size=128 symmetric=true activations.bits=8 activations.per=tensor",
         "No compressed-tensors compatible scheme"),
    Case("W4A4 symmetric, groups of 128", "bits=4 group_size=128 symmetric=true activations.bits=4",
         "CompressedTensorsWNA4Int/MacheteLinearKernel"),
    Case("W4, FP8 inputs", "bits=4 group_size=128 symmetric=true activations.format=fp8_e4m3",
         "CompressedTensorsW4A8Fp8/HummingLinearKernel"),
    Case("FP8 weights, rows", "grid=fp8 group_size=row", "CompressedTensorsW8A16Fp8/HummingFP8ScaledMMLinearKernel"),
    Case("FP8 weights, one scale", "weights.grid=fp8 group_size=row weights.scale=tensor",
         "CompressedTensorsW8A16Fp8/HummingFP8ScaledMMLinearKernel"),
    Case("FP8 weights, one scale a site", "weights.grid=fp8 group_size=row weights.scale=site",
         "CompressedTensorsW8A16Fp8/HummingFP8ScaledMMLinearKernel"),
    Case("FP8 static, one scale a site",
         "weights.grid=fp8 group_size=row weights.scale=site activations.format=fp8_e4m3 activations.per=tensor",
         "CompressedTensorsW8A8Fp8/CutlassFP8ScaledMMLinearKernel"),
    Case("FP8 weights, groups of 128", "grid=fp8 group_size=128", "has no attribute 'num_bits'"),
    Case("FP8 a token", "grid=fp8 group_size=row activations.format=fp8_e4m3",
         "CompressedTensorsW8A8Fp8/CutlassFP8ScaledMMLinearKernel"),
    Case("FP8 static",
         "weights.grid=fp8 group_size=row weights.scale=tensor activations.format=fp8_e4m3 activations.per=tensor",
         "CompressedTensorsW8A8Fp8/CutlassFP8ScaledMMLinearKernel", off=0.026),
    Case("NVFP4 weights", "grid=nvfp4 group_size=16", "CompressedTensorsW4A4Fp4/HummingNvFp4LinearKernel"),
    Case("NVFP4 weights, Qwen3", "grid=nvfp4 group_size=16", "CompressedTensorsW4A4Fp4/HummingNvFp4LinearKernel",
         model="lab-qwen3-492k"),
    Case("NVFP4 weights, a scale a layer", "weights.grid=nvfp4 group_size=16 weights.tensor_scale=layer",
         "CompressedTensorsW4A4Fp4/HummingNvFp4LinearKernel", off=0.78),
    Case("NVFP4", "grid=nvfp4 group_size=16 activations.format=nvfp4",
         "CompressedTensorsW4A4Fp4/HummingNvFp4LinearKernel"),
    Case("FP8, FP8 keys and values", f"grid=fp8 group_size=row activations.format=fp8_e4m3 {KV.format('tensor')}",
         "CompressedTensorsW8A8Fp8/CutlassFP8ScaledMMLinearKernel"),
    Case("W4A16, FP8 keys and values, a scale a head", f"bits=4 group_size=128 {KV.format('head')}",
         "CompressedTensorsWNA16/MacheteLinearKernel"),
    Case("W4A16, INT8 keys and values", "bits=4 group_size=128 kv_cache.key_bits=8 kv_cache.value_bits=8 "
         "kv_cache.symmetric=true kv_cache.key_per=tensor kv_cache.value_per=tensor",
         "received num_bits=8, type=int"),
    Case("MXFP4 weights", "grid=mxfp4 group_size=32", "CompressedTensorsW4A4Mxfp4/HummingMxFp4LinearKernel"),
    Case("MXFP4", "grid=mxfp4 group_size=32 activations.format=mxfp4 activations.scale_rule=round",
         "CompressedTensorsW4A4Mxfp4/HummingMxFp4LinearKernel"),
    Case("MXFP8 weights", "grid=mxfp8 group_size=32", "CompressedTensorsW8A8Mxfp8/HummingMxfp8LinearKernel"),
    Case("MXFP8", "grid=mxfp8 group_size=32 activations.format=mxfp8 activations.scale_rule=round",
         "CompressedTensorsW8A8Mxfp8/HummingMxfp8LinearKernel"),
    Case("W4 symmetric, groups of 128", "bits=4 group_size=128 symmetric=true",
         "AutoGPTQLinearMethod/MacheteLinearKernel", form="gptq_v2"),
    Case("W4 symmetric, checkpoint_format gptq", "bits=4 group_size=128 symmetric=true",
         "AutoGPTQLinearMethod/MacheteLinearKernel", form="gptq_v2", export="checkpoint_format=gptq"),
    Case("W4 symmetric, groups of 32, Qwen3", "bits=4 group_size=32 symmetric=true",
         "AutoGPTQLinearMethod/HummingLinearKernel", form="gptq_v2", model="lab-qwen3-492k"),
    Case("W4 symmetric, rows", "bits=4 group_size=row symmetric=true", "AutoGPTQLinearMethod/MacheteLinearKernel",
         form="gptq_v2"),
    Case("W8 symmetric", "bits=8 group_size=128 symmetric=true", "AutoGPTQLinearMethod/MacheteLinearKernel",
         form="gptq_v2"),
    Case("W4 symmetric, static order", "bits=4 group_size=128 symmetric=true act_order=true group_params=static",
         "AutoGPTQLinearMethod/MacheteLinearKernel", form="gptq_v2"),
    Case("W4 symmetric, desc_act", "bits=4 group_size=128 symmetric=true act_order=true group_params=ref",
         "group activation ordering (desc_act=True)", form="gptq_v2"),
    Case("W4", "bits=4 group_size=128", "Unsupported quantization config: bits=4, sym=False", form="gptq_v2"),
    Case("W8", "bits=8 group_size=128", "Unsupported quantization config: bits=8, sym=False", form="gptq_v2"),
    Case("W2 symmetric", "bits=2 group_size=128 symmetric=true", "Unsupported quantization config: bits=2, sym=True",
         form="gptq_v2"),
    Case("W3 symmetric", "bits=3 group_size=128 symmetric=true", "Unsupported quantization config: bits=3, sym=True",
         form="gptq_v2"),
]


def make_block(folder):
    """One Llama block of random weights, of sizes that every kernel takes: 512, 1024, 8 heads, 4 of keys and values."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(14)
    config = LlamaConfig(vocab_size=2083, hidden_size=512, intermediate_size=1024, num_hidden_layers=1,
                         num_attention_heads=8, num_key_value_heads=4, head_dim=64, dtype="bfloat16",
                         max_position_embeddings=512, bos_token_id=0, eos_token_id=0)
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    with torch.no_grad():  # Projections that are fused differ in size, as those of trained models do.
        for name, weight in model.named_parameters():
            weight.mul_({"q_proj": 2.0, "v_proj": 0.5, "up_proj": 1.5}.get(name.split(".")[-2], 1.0))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(LAB / "lab-qwen3-492k" / name, folder / name)


def without_a_card(place):
    """vLLM's CUDA platform on a machine that has no card; must come before anything else of vLLM is imported."""
    names = ("cuGetProcAddress_v2", "cuPointerGetAttribute", "cuTensorMapEncodeTiled")
    source = "".join(f"int {name}(void) {{ return 1; }}\n" for name in names)
    library = place / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-x", "c", "-", "-o", library],
                   input=source, text=True, check=True)
    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import vllm.platforms
    from vllm.platforms.cuda import CudaPlatformBase
    from vllm.platforms.interface import DeviceCapability

    class Hopper(CudaPlatformBase):
        get_device_capability = classmethod(lambda cls, device_id=0: DeviceCapability(9, 0))
        get_device_name = classmethod(lambda cls, device_id=0: "NVIDIA H100 80GB HBM3")
        get_device_total_memory = classmethod(lambda cls, device_id=0: 80 << 30)
        num_compute_units = classmethod(lambda cls, device_id=0: 132)
        device_count = classmethod(lambda cls: 1)

    vllm.platforms._current_platform = Hopper()


def load(folder, dtype):
    """vLLM's model with the folder's tensors in it."""
    from vllm.config import CompilationConfig, CompilationMode, ModelConfig, VllmConfig, set_current_vllm_config
    from vllm.config.quantization import resolve_quantization_config
    from vllm.distributed import init_distributed_environment, initialize_model_parallel
    from vllm.model_executor.model_loader.default_loader import DefaultModelLoader
    from vllm.model_executor.model_loader.utils import initialize_model

    model_config = ModelConfig(model=str(folder), tokenizer=str(folder), dtype=dtype)
    model_config.quantization_config = resolve_quantization_config(model_config.quantization,
                                                                   model_config.quantization_config)
    config = VllmConfig(model_config=model_config, compilation_config=CompilationConfig(mode=CompilationMode.NONE))
    with set_current_vllm_config(config):
        if not torch.distributed.is_initialized():
            init_distributed_environment(1, 0, f"file://{folder.parent}/rendezvous", 0, backend="gloo")
            initialize_model_parallel(1, 1)
        before = torch.get_default_dtype()
        torch.set_default_dtype(model_config.dtype)
        try:
            model = initialize_model(vllm_config=config)
        finally:
            torch.set_default_dtype(before)
        loader = DefaultModelLoader(config.load_config)
        loader.enable_weights_track = True  # Every parameter must come from the file.
        loader.load_weights(model, model_config)
    return model


def linears(model):
    from vllm.model_executor.layers.linear import LinearBase

    return {name: module for name, module in model.named_modules() if isinstance(module, LinearBase)}


def kernel_of(module):
    scheme = getattr(module, "scheme", None)
    holder = scheme if scheme is not None else module.quant_method
    names = [name for name in ("kernel", "fp8_linear", "linear_kernel") if hasattr(holder, name)]
    kernel = getattr(holder, names[0]) if names else None
    return f"{type(holder).__name__}/{type(kernel).__name__}"


def unpacked(words, bits):
    """[R, W] int32 -> [R, 32 W / bits]: codes one after the other from the lowest bit, across words. compressed-tensors
    0.17's own packing, whose shapes vLLM does not take, leaves bits of a word empty at 3, 5, 6 and 7 bits."""
    stream = ((words[:, :, None] >> torch.arange(32)) & 1).flatten(1)
    return (stream.unflatten(1, (-1, bits)) << torch.arange(bits)).sum(2)


def by_groups(codes, scales):
    """[C_out, C_in] times scales [C_out, groups]."""
    return (codes.float().unflatten(1, (scales.shape[1], -1)) * scales.float()[:, :, None]).flatten(1)


def weights_of(module):
    """What a fused layer's parameters stand for, [C_out, C_in]: of each part, and by vLLM's rule for the whole."""
    p = dict(module.named_parameters(recurse=False))
    if "qweight" in p:  # vLLM reads symmetric files only, and not their qzeros: the middle code is 0.
        bits = module.quant_method.quant_config.weight_bits
        values = by_groups(unpacked(p["qweight"].t(), bits) - 2**(bits - 1), p["scales"].t())
    elif "weight_packed" in p and p["weight_packed"].dtype == torch.int32:
        bits = getattr(module.scheme, "num_bits", 4)
        scales = p["weight_scale"]
        codes = unpacked(p["weight_packed"], bits)
        if "weight_zero_point" in p:
            zeros = unpacked(p["weight_zero_point"].t(), bits).t()
            codes -= zeros.repeat_interleave(codes.shape[1] // scales.shape[1], 1)
        else:
            codes -= 2**(bits - 1)
        values = by_groups(codes, scales)
    elif "weight_packed" in p:
        low, high = p["weight_packed"] & 15, p["weight_packed"] >> 4
        values = FP4[torch.stack((low, high), 2).flatten(1).long()]
        if "weight_global_scale" in p:
            values = by_groups(values, p["weight_scale"])
            divisors = torch.cat([one.expand(width) for one, width in
                                  zip(p["weight_global_scale"], module.logical_widths)])
            return values / divisors[:, None], values / p["weight_global_scale"].max()
        values = by_groups(values, torch.exp2(p["weight_scale"].float() - 127))
    elif p["weight_scale"].dtype == torch.uint8:
        values = by_groups(p["weight"], torch.exp2(p["weight_scale"].float() - 127))
    elif p["weight_scale"].dim() == 1:  # One a part.
        values = torch.cat([part.float() * scale for part, scale in
                            zip(p["weight"].split(module.logical_widths), p["weight_scale"])])
        if type(module.scheme).__name__.endswith("W8A8Fp8"):  # requantize_with_max_scale
            largest = p["weight_scale"].max()
            return values, (values / largest).to(torch.float8_e4m3fn).float() * largest
    else:
        values = by_groups(p["weight"], p["weight_scale"])
    return values, values


def compare(model, folder, dense):
    """Largest difference of a weight from the dense export's, of the largest: as loaded, and by vLLM's rule."""
    from safetensors.torch import load_file

    expected = load_file(dense / "model.safetensors")
    stored = load_file(folder / "model.safetensors")
    parts = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
    loaded, fused = 0.0, 0.0
    for name, module in linears(model).items():
        parent, leaf = name.rsplit(".", 1)
        names = [f"{parent}.{part}" for part in parts.get(leaf, (leaf,))]
        truth = torch.cat([expected[one + ".weight"] for one in names])
        for number, found in enumerate(weights_of(module)):
            difference = ((found - truth).abs().max() / truth.abs().max()).item()
            if number == 0:
                loaded = max(loaded, difference)
            else:
                fused = max(fused, difference)
        for key in ("input_scale", "input_zero_point", "input_global_scale"):  # vLLM keeps one of the parts'.
            found = [stored[one + "." + key] for one in names if one + "." + key in stored]
            assert all(torch.equal(one, found[0]) for one in found), f"{name}: {key} of its parts differ"
    for name, module in model.named_modules():  # Static scales of keys and values, before they become buffers.
        for key in ("k_scale", "v_scale"):
            own = f"{name.removesuffix('.attn')}.{key}"
            if name.endswith(".attn") and own in stored:
                assert torch.equal(getattr(module, key), stored[own].flatten()), f"{own} did not arrive"
                assert not (stored[own] == 1).any()  # What stands there without a file.
    return loaded, fused


def bitlaw(build, *words):
    done = subprocess.run([build / "bin/bitlaw", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(case, build, block, place):
    model = LAB / case.model if case.model else block
    options = [word for option in case.options.split() for word in ("--option", option)]
    needs_text = any(word in case.options for word in ("act_order", "per=", "format=nvfp4"))
    text = ["--corpus", TEXT, "--sequences", 8, "--tokens", 64] if needs_text else []
    bitlaw(build, "quantize", model, *text, "--quantizer", "gptq" if "act_order" in case.options else "rtn", *options,
           "--output", place / "codes.safetensors")
    more = [word for option in case.export.split() for word in ("--option", option)]
    for form, choices in ((case.form, more), ("dense", ["--option", "dtype=float32", "--option", "weights_only=true"])):
        bitlaw(build, "export", place / "codes.safetensors", "--model", model, "--format", form, "--output",
               place / form, *choices)
    about = json.loads((place / case.form / "config.json").read_text())["quantization_config"]
    try:
        model = load(place / case.form, "float16")
    except Exception as error:  # noqa: BLE001: whatever vLLM refuses with.
        return about, f"{type(error).__name__}: " + " ".join(str(error).split()), None
    kernels = sorted({kernel_of(module) for module in linears(model).values()})
    return about, ", ".join(kernels), compare(model, place / case.form, place / "dense")


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    wrong = 0
    with tempfile.TemporaryDirectory() as top:
        top = pathlib.Path(top)
        without_a_card(top)
        make_block(top / "block")
        words = sys.argv[2:]
        for number, case in enumerate(CASES):
            if words and not any(word in f"{case.form} {case.name}" for word in words):
                continue
            place = top / str(number)
            place.mkdir()
            try:
                about, taken, differences = run(case, build, top / "block", place)
            except AssertionError as error:
                about, taken, differences = {}, str(error).strip(), None
            is_right = case.scheme in taken if differences is None else (
                case.scheme == taken and differences[0] <= 1e-6 and abs(differences[1] - case.off) <= 1e-2)
            wrong += not is_right
            shown = "refused" if differences is None else "off by {:.2g}, fused {:.2g}".format(*differences)
            print("ok   " if is_right else "WRONG", case.form, about.get("format", ""), case.name, "|", shown, "|",
                  taken[:600], flush=True)
            shutil.rmtree(place)
        torch.distributed.destroy_process_group()
    return 1 if wrong else 0


sys.exit(main())
