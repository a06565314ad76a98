"""Parts of measure.py beside those that are timed against a peer: experts, stream, cards. Each returns a row that says `ok`
and is printed by its *_lines()."""

import json
import pathlib
import subprocess

import parity
import program

LAB = parity.LAB
# The same weights and requests in other pieces of work: nothing may differ but the last bits of sums.
STREAM_NATS = 1e-6
# Of experts in rows of 1024 weights: a code that turns over moves all later ones of its row, so that longer rows keep fewer
# than parity.py's. Measured on a card: 68 % of the host's, the error 3e-4 apart.
EQUAL_CODES = 0.5

CARDS_STUDY = """bitlaw: 1
study: gpu-cards
output: {output}
compute: {{dtype: float32, devices: {devices}}}
models: [{lab}/models/lab-llama-492k, {lab}/models/lab-qwen3-985k]
corpora:
  general: {{type: text, path: {lab}/text/lab_general.jsonl, mode: concatenate, separator: eos}}
quantize:
  - quantizer: gptq
    bits: [3, 4]
    group_size: 32
    calibration: {{corpus: general, sequences: 16, tokens: 128}}
data_paths: [{lab}/data]
tasks:
  - {{name: lab_fact, limit: 40}}
laws: []
"""


def experts(bitlaw, model, corpus, device, scratch, clock, tiny):
    """A mixture's experts quantized together and one after another on the device, and on the host; float32."""
    sequences, tokens, group = (4, 128, 32) if tiny else (32, 1024, 128)
    runs, files = {}, {}
    sides = {"together": ["--device", device], "one by one": ["--device", device, "--no-overlap"],
             "host": ["--device", "cpu"]}
    for side, words in sides.items():
        files[side] = pathlib.Path(scratch) / f"experts_{side.replace(' ', '_')}.safetensors"
        runs[side] = bitlaw.json(
            ["quantize", model, "--quantizer", "gptq", "--option", "bits=4", "--option", f"group_size={group}",
             "--option", "on_unseen=rtn", "--allow-fallback", "--corpus", corpus, "--sequences", sequences, "--tokens",
             tokens, "--dtype", "float32", *words, "--json", "--output", files[side]], clock.left())
    row = {"device": device, "sequences": sequences, "tokens": tokens, "layers": runs["together"]["layers"],
           "quantize_s": {side: run["time"]["quantize_s"] for side, run in runs.items()},
           "total_s": {side: run["time"]["total_s"] for side, run in runs.items()},
           "peak_device_bytes": {side: run.get("peak_device_memory_bytes") for side, run in runs.items()},
           "hessian_error": {side: run.get("hessian_error_mean") for side, run in runs.items()},
           "one by one": parity.compare_codes(files["together"], files["one by one"]),
           "host": parity.compare_codes(files["together"], files["host"])}
    errors = row["hessian_error"]
    row["relative"] = parity.relative(errors["together"], errors["host"])
    row["ok"] = experts_ok(row)
    return row


def experts_ok(row):
    """On a device libraries factor several matrices in another order than one: codes may turn over as they do against the
    host, but not more of them. On the host they may not."""
    one_by_one = 1.0 if row["device"] == "cpu" else EQUAL_CODES
    return (row["one by one"]["equal_codes"] >= one_by_one and row["host"]["equal_codes"] >= EQUAL_CODES
            and row["relative"] <= parity.HESSIAN_ERROR)


def gib(size):
    return f"{size / 2**30:.2f}" if size else "-"


def experts_lines(row):
    together, alone = (row["quantize_s"][side] for side in ("together", "one by one"))
    verdict = "ok" if row["ok"] else "DIFFERS"
    yield (f"experts, GPTQ 4 bits, float32, {row['layers']} layers, {row['sequences']} x {row['tokens']} tokens: "
           f"{together:.2f} s together, {alone:.2f} s one by one ({alone / max(together, 1e-9):.1f} times), "
           f"host {row['quantize_s']['host']:.2f} s")
    yield (f"  peak device {gib(row['peak_device_bytes']['together'])} and "
           f"{gib(row['peak_device_bytes']['one by one'])} GiB; equal bytes of codes {row['one by one']['equal_codes']:.2%} "
           f"one by one, {row['host']['equal_codes']:.2%} of the host; Hessian error {row['relative']:.1e} apart  {verdict}")


def stream(bitlaw, model, task, words, clock):
    """A task with all blocks in memory, streamed with the next block read ahead, and streamed without."""
    sides = {"held": [], "read ahead": ["--stream-blocks"], "when due": ["--stream-blocks", "--no-overlap"]}
    runs = {side: bitlaw.evaluate(model, [task], [*words, *more], clock.left()) for side, more in sides.items()}
    row = {"task": task, "items": len(runs["held"]["answers"][0]),
           "elapsed_s": {side: run["tasks"][0]["elapsed_s"] for side, run in runs.items()},
           "peak_device_bytes": {side: run.get("peak_device_memory_bytes") for side, run in runs.items()},
           "peak_host_bytes": {side: run["peak_memory_bytes"] for side, run in runs.items()},
           "read ahead": parity.compare_answers(runs["read ahead"]["answers"][0], runs["when due"]["answers"][0]),
           "held": parity.compare_answers(runs["read ahead"]["answers"][0], runs["held"]["answers"][0])}
    row["ok"] = stream_ok(row)
    return row


def stream_ok(row):
    """Reading ahead changes nothing. Against held blocks passes may be cut otherwise, since budgets come from what is free."""
    return row["read ahead"]["scores_differ"] == 0 and row["read ahead"]["largest_nats"] <= STREAM_NATS


def stream_lines(row):
    seconds, peak = row["elapsed_s"], row["peak_device_bytes"]
    yield (f"blocks streamed, bfloat16, {row['items']} items of {row['task']}: {seconds['read ahead']:.2f} s read ahead, "
           f"{seconds['when due']:.2f} s read when due, {seconds['held']:.2f} s held (without loading)")
    yield (f"  peak device {gib(peak['read ahead'])}, {gib(peak['when due'])} and {gib(peak['held'])} GiB; ahead and due "
           f"{row['read ahead']['largest_nats']:.1e} nats apart, ahead and held {row['held']['largest_nats']:.1e}  "
           + ("ok" if row["ok"] else "DIFFERS"))


def cards_here():
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.split("\n"))


def devices_of(folder):
    """{file: (device, when it was written)} of a study's timings, one a record."""
    return {str(path): (json.loads(path.read_text(encoding="utf-8")).get("device"), path.stat().st_mtime_ns)
            for path in sorted(pathlib.Path(folder, "timings").glob("*/*.json"))}


def cards(bitlaw, devices, scratch, clock):
    """A study on two cards, which both must work; and again on the second one alone, which must find all of it done."""
    folder, spec = pathlib.Path(scratch) / "cards", pathlib.Path(scratch) / "cards.yaml"

    def run(names):
        spec.write_text(CARDS_STUDY.format(output=folder, devices=json.dumps(names), lab=LAB))
        return bitlaw.run(["run", spec, "--quiet", "--no-fit"], clock.left())

    run(devices)
    first = devices_of(folder)
    run(devices[-1:])
    row = {"devices": devices, "records": len(first), "used": sorted({device for device, _ in first.values()}),
           "done_again": sum(first.get(path) != entry for path, entry in devices_of(folder).items())}
    row["ok"] = cards_ok(row)
    return row


def cards_ok(row):
    return row["records"] > 0 and row["used"] == sorted(row["devices"]) and row["done_again"] == 0


def cards_lines(row):
    yield (f"several cards: {row['records']} records of a study on {', '.join(row['devices'])}, made on "
           f"{', '.join(map(str, row['used']))}; {row['done_again']} made again on {row['devices'][-1]} alone  "
           + ("ok" if row["ok"] else "DIFFERS"))
