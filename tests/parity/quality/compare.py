"""Perplexity of one model after bitlaw's quantizers and after their peers', same weights, tokens and settings.

Usage: python compare.py SmolLM2-135M-Instruct.Q4_1.gguf --bitlaw BIN --text wikitext2_valid.txt --data DIR --work DIR
                         [--bits 4 3 2] [--group 64] [--sequences 32] [--tokens 512] [--windows 6] [--threads 2]
                         [--draws 1] [--all] [--device cpu] [--jobs 1] [--compressor PYTHON] [--gptqmodel PYTHON] [--hqq PYTHON]

PYTHON is an interpreter (with PYTHONPATH before it, as in "PYTHONPATH=/x python") that has torch, transformers, gguf and
the peer: llmcompressor 0.14, GPTQModel 7.7, hqq 0.2.8. A peer without one is left out. DIR of the data holds
text/wikitext2_test.txt (docs/evaluation.md, section Data).

The GGUF becomes a folder of float32 weights, which all begin with. Calibration is on the same windows of TEXT, of which
each is --tokens long when it is cut anew from its text; every further draw takes the windows that follow. Grids are
asymmetric, with groups of --group columns; damp is 0.01. Every model is evaluated by bitlaw in float32, with the task wikitext2: bitlaw's own codes, checkpoints that
llm-compressor and GPTQModel saved as they pack them, and what hqq dequantizes. With --device cuda all of them quantize and
evaluate on a GPU, still in float32; --jobs cells are worked on at once, which makes their seconds worthless. Results are kept in
--work and not computed again; the table is printed at the end: the geometric mean over draws, its range, and the seconds of the first.
"""

import argparse
import concurrent.futures
import itertools
import json
import math
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"


def plain_folder(gguf, folder):
    """The weights of the GGUF as float32 safetensors, with its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    if hasattr(read.config, "quantization_config"):
        del read.config.quantization_config
    plain = AutoModelForCausalLM.from_config(read.config, dtype=torch.float32)
    plain.load_state_dict(read.state_dict())
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    # What transformers makes of this GGUF's tokenizer leaves out that digits stand alone, and decodes as Llama 2's does.
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    letters = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, letters]}
    tokenizer["decoder"], tokenizer["normalizer"] = letters, None
    tokenizer["model"] |= {"byte_fallback": False, "fuse_unk": False}
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


def windows(folder, text, count, tokens):
    """Texts that become exactly `tokens` tokens each: windows of the text's tokens that survive being text."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(pathlib.Path(text).read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    found, at = [], 0
    while len(found) < count:
        window = ids[at:at + tokens]
        if len(window) < tokens:
            raise SystemExit(f"{text}: too short for {count} windows of {tokens} tokens")
        said = tokenizer.decode(window, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if tokenizer(said, add_special_tokens=False)["input_ids"] == window:
            found.append(said)
            at += tokens
        else:
            at += 1
    return found


def windows_of(given, draw):
    return given.work / f"windows{draw}.jsonl"


def rows_of(given, tokenizer):
    lines = windows_of(given, given.draw).read_text(encoding="utf-8").splitlines()
    return [tokenizer(json.loads(line)["text"], add_special_tokens=False)["input_ids"] for line in lines]


def by_compressor(given, method, bits, out):
    import torch
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.pipelines.cache import IntermediatesCache
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(given.work / "plain", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(given.work / "plain")
    rows = rows_of(given, tokenizer)
    data = torch.utils.data.DataLoader(
        [{"input_ids": torch.tensor(row), "attention_mask": torch.ones(len(row), dtype=torch.int64)} for row in rows])
    weights = {"num_bits": bits, "type": "int", "symmetric": False, "strategy": "group", "group_size": given.group}
    if not torch.cuda.is_available():  # Version 0.14 pins memory, which a torch built for CUDA refuses without a driver.
        IntermediatesCache.pin_memory = lambda *_, **__: None
    groups = {"config_groups": {"all": {"targets": ["Linear"], "weights": weights}}, "ignore": ["lm_head"]}
    recipe = {"gptq": lambda: [GPTQModifier(dampening_frac=0.01, **groups)],
              "gptq as stored": lambda: [GPTQModifier(dampening_frac=0.01, actorder=None, **groups)],
              "awq": lambda: [AWQModifier(), QuantizationModifier(**groups)]}[method]()
    began = time.monotonic()
    oneshot(model=model, processor=tokenizer, dataset=data, recipe=recipe, num_calibration_samples=len(rows),
            max_seq_length=given.tokens, shuffle_calibration_samples=False)
    seconds = time.monotonic() - began
    model.save_pretrained(out, save_compressed=True)
    tokenizer.save_pretrained(out)
    return seconds


def by_gptqmodel(given, method, bits, out):
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(given.work / "plain")
    data = [{"input_ids": row, "attention_mask": [1] * len(row)} for row in rows_of(given, tokenizer)]
    more = {"gptq": {}, "gptq as stored": {"act_group_aware": False, "desc_act": False},
            "gptq, desc_act": {"act_group_aware": False, "desc_act": True}}[method]
    config = QuantizeConfig(bits=bits, group_size=given.group, sym=False, damp_percent=0.01, format="gptq_v2",
                            device=given.device, **more)
    model = GPTQModel.load(str(given.work / "plain"), config)
    began = time.monotonic()
    model.quantize(data, batch_size=1, backend=BACKEND.TORCH)
    seconds = time.monotonic() - began
    model.save(str(out))
    tokenizer.save_pretrained(out)
    return seconds


def by_hqq(given, method, bits, out):
    import torch
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(given.work / "plain", dtype=torch.float32).to(given.device)
    config = BaseQuantizeConfig(nbits=bits, group_size=given.group, axis=1)
    began = time.monotonic()
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and not name.endswith("lm_head"):
            made = HQQLinear(layer, config, compute_dtype=torch.float32, device=given.device, del_orig=False)
            layer.weight.data = made.dequantize().to(torch.float32)
    seconds = time.monotonic() - began
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(given.work / "plain").save_pretrained(out)
    return seconds


PEERS = {"llm-compressor": by_compressor, "GPTQModel": by_gptqmodel, "hqq": by_hqq}
CELLS = (  # (who, method, words of bitlaw quantize)
    ("bitlaw", "gptq", ["gptq"]),
    ("llm-compressor", "gptq", None),
    ("GPTQModel", "gptq", None),
    ("bitlaw", "awq", ["rtn", "transforms=[{transform: awq, scaling: inputs_and_weights}]"]),
    ("bitlaw", "awq, ranges", ["rtn", "transforms=[awq]", "range_search=outputs"]),
    ("llm-compressor", "awq", None),
    ("bitlaw", "hqq", ["hqq"]),
    ("hqq", "hqq", None),
)
UNCALIBRATED = ("hqq", "rtn")
MORE_CELLS = (  # With --all, after those.
    ("bitlaw", "rtn", ["rtn"]),
    ("bitlaw", "gptq, preset ist", ["gptq", "preset=ist"]),
    ("llm-compressor", "gptq as stored", None),
    ("GPTQModel", "gptq as stored", None),
)


def perplexity(given, model, more=()):
    words = [given.bitlaw, "evaluate", model, "--task", "wikitext2", "--data", given.data, "--limit", given.windows,
             "--threads", given.threads, "--device", given.device, "--json", "-", *more]
    done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
    (task,) = json.loads(done.stdout)["tasks"]
    return next(metric["value"] for metric in task["metrics"] if metric["name"] == "perplexity")


def place_of(given, *cell):
    """A folder, or a file's name, that no other cell uses."""
    return given.work / "made" / re.sub(r"\W+", "_", " ".join(str(word) for word in cell))


def by_bitlaw(given, options, bits, draw):
    codes = place_of(given, "bitlaw", options, bits, draw).with_suffix(".safetensors")
    quantizer, *more = options
    words = [given.bitlaw, "quantize", given.work / "plain", "--quantizer", quantizer, "--corpus",
             windows_of(given, draw), "--corpus-option", "mode=documents", "--sequences", given.sequences,
             "--tokens", given.tokens, "--threads", given.threads, "--device", given.device, "--json", "--output", codes]
    for option in (f"bits={bits}", f"group_size={given.group}", *more):
        words += ["--option", option]
    done = subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True)
    value = perplexity(given, given.work / "plain", ["--quantized", codes])
    codes.unlink()
    return value, json.loads(done.stdout)["time"]["total_s"]


def by_peer(given, python, who, method, bits, draw):
    out = place_of(given, who, method, bits, draw)
    shutil.rmtree(out, ignore_errors=True)
    words = ["env", *shlex.split(python), str(pathlib.Path(__file__).resolve()), str(given.gguf), "--bitlaw",
             given.bitlaw,
             "--text", str(given.text), "--data", str(given.data), "--work", str(given.work), "--group", given.group,
             "--tokens", given.tokens, "--threads", given.threads, "--device", given.device, "--draw", draw, "--one", who,
             method, bits, out]
    subprocess.run([str(word) for word in words], check=True, cwd=given.work)  # llm-compressor writes logs where it is.
    seconds = json.loads((out / "seconds.json").read_text())
    value = perplexity(given, out)
    shutil.rmtree(out)
    return value, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=pathlib.Path)
    for name in ("--bitlaw", "--text", "--data", "--work"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 3, 2])
    for name, value in (("--group", 64), ("--sequences", 32), ("--tokens", 512), ("--windows", 6), ("--threads", 2),
                        ("--draws", 1), ("--jobs", 1)):
        parser.add_argument(name, type=int, default=value)
    for name in ("--compressor", "--gptqmodel", "--hqq"):
        parser.add_argument(name)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--draw", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        import torch

        torch.set_num_threads(given.threads)
        who, method, bits, out = given.one
        seconds = PEERS[who](given, method, int(bits), pathlib.Path(out))
        (pathlib.Path(out) / "seconds.json").write_text(json.dumps(seconds))
        return
    given.work.mkdir(parents=True, exist_ok=True)
    if not (given.work / "plain").is_dir():
        plain_folder(given.gguf, given.work / "plain")
    if not all(windows_of(given, draw).exists() for draw in range(given.draws)):
        texts = windows(given.work / "plain", given.text, given.sequences * given.draws, given.tokens)
        for draw in range(given.draws):
            lines = [json.dumps({"text": text}) + "\n" for text in texts[draw * given.sequences:(draw + 1) * given.sequences]]
            windows_of(given, draw).write_text("".join(lines))
    pythons = {"llm-compressor": given.compressor, "GPTQModel": given.gptqmodel, "hqq": given.hqq}
    kept = given.work / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    if "none" not in results:
        results["none"] = [perplexity(given, given.work / "plain"), 0]
    (given.work / "made").mkdir(exist_ok=True)
    cells = [(bits, who, method, options, draw) for some in (CELLS, MORE_CELLS)[:1 + given.all]
             for draw, bits, (who, method, options) in itertools.product(range(given.draws), given.bits, some)
             if name_of(bits, who, method, draw) not in results and (options is not None or pythons[who])
             and not (draw > 0 and method in UNCALIBRATED)]

    def value_of(bits, who, method, options, draw):
        if options:
            return by_bitlaw(given, options, bits, draw)
        return by_peer(given, pythons[who], who, method, bits, draw)

    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        jobs = {pool.submit(value_of, *cell): name_of(cell[0], cell[1], cell[2], cell[4]) for cell in cells}
        for job in concurrent.futures.as_completed(jobs):
            name = jobs[job]
            try:
                results[name] = job.result()
            except subprocess.CalledProcessError as failed:
                print(f"{name}: exit code {failed.returncode}\n{(failed.stderr or '')[-600:]}", file=sys.stderr)
                continue
            print(name, results[name], flush=True)
            kept.write_text(json.dumps(results, indent=1))
    print(f"unquantized {results['none'][0]:.3f}")
    print(f"{'who':<16}{'method':<20}" + "".join(f"{bits:>10} bits{'range':>18}{'s':>8}" for bits in given.bits))
    for who, method, _ in (*CELLS, *MORE_CELLS):
        print(f"{who:<16}{method:<20}" + "".join(cell_of(given, results, bits, who, method) for bits in given.bits))


def name_of(bits, who, method, draw):
    return f"{bits} {who} {method}" + (f", draw {draw}" if draw else "")


def cell_of(given, results, bits, who, method):
    found = [results[name] for draw in range(given.draws) if (name := name_of(bits, who, method, draw)) in results]
    if not found:
        return f"{'-':>15}{'-':>18}{'-':>8}"
    values = [value for value, _ in found]
    mean = math.exp(sum(math.log(value) for value in values) / len(values))
    return f"{mean:>15.3f}{f'{min(values):.2f}-{max(values):.2f}':>18}{found[0][1]:>8.1f}"


if __name__ == "__main__":
    main()
