"""Checks bitlaw on a GPU against the CPU and times it beside lm-evaluation-harness; called by run.sh, which says how.

Parts, in this order: parity; arc, mmlu and gsm8k (0.6B); gptq-0.6b; gptq-8b; eval-8b; experts; stream; cards. One that
fails is printed and costs no other. The peer answers what bitlaw answered, after it, so that the two never share the GPU.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import more_parts
import parity
import program

HERE = pathlib.Path(__file__).resolve().parent
PARTS = ("parity", "arc", "mmlu", "gsm8k", "gptq-0.6b", "gptq-8b", "eval-8b", "experts", "stream", "cards")
# Of each part, in seconds; those of a part are cut by what is left of the whole.
LIMIT_S = {"parity": 150, "model": 120, "arc": 90, "mmlu": 90, "gsm8k": 90, "peer": 150, "gptq-0.6b": 90,
           "gptq-8b": 200, "eval-8b": 150, "experts": 60, "stream": 60, "cards": 60}


@dataclasses.dataclass
class Task:
    items: int
    batch_sizes: tuple  # that the peer tries
    goal: float         # times as fast as the peer
    new_tokens: int = 0


# Items and batch sizes of each model; calibration as sequences and tokens. 'tiny' tries the flow on any machine.
SMALL = {"arc_easy": Task(1000, (256, 128, 512), 5), "mmlu_5shot": Task(285, (32, 64, 16), 5),
         "gsm8k": Task(32, (32, 16), 2, new_tokens=64)}
LARGE = {"arc_easy": Task(300, (128, 64, 256), 5), "mmlu_5shot": Task(285, (16, 32, 8), 5)}
TINY = {"arc_easy": Task(20, (16, 32), 5), "mmlu_5shot": Task(10, (4, 8), 5), "gsm8k": Task(2, (2,), 2, new_tokens=8)}
TASK_OF_PART = {"arc": "arc_easy", "mmlu": "mmlu_5shot", "gsm8k": "gsm8k"}
GPTQ_GOAL = {"8b": (45, 24)}  # seconds, GiB of device memory


class Session:
    def __init__(self, given):
        self.given, self.tiny = given, given.shape == "tiny"
        self.bitlaw = program.Bitlaw(given.build, given.library_path)
        self.out = pathlib.Path(given.out or os.environ.get("OUT") or tempfile.mkdtemp(prefix="bitlaw_gpu_"))
        self.out.mkdir(parents=True, exist_ok=True)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="bitlaw_gpu_scratch_", dir=given.scratch))
        self.fast = self.scratch
        self.models, self.results, self.parts, self.clock = {}, {}, [], program.Clock()
        self.large = None

    def close(self):
        if self.large and self.large[0].poll() is None:
            self.large[0].kill()
            self.large[0].wait()
        for folder in {self.scratch, self.fast}:
            shutil.rmtree(folder, ignore_errors=True)

    # Checkpoints.

    def place(self):
        """Memory for checkpoints where it has room for 20 GB, else the folder for temporary files."""
        if not self.given.scratch and shutil.disk_usage("/dev/shm").free > 20e9:
            self.fast = pathlib.Path(tempfile.mkdtemp(prefix="bitlaw_gpu_", dir="/dev/shm"))

    def start_model(self, shape):
        drawn = shape if not self.tiny else "tiny-moe" if shape == "moe" else "tiny"
        words = [sys.executable, HERE / "make_model.py", "--shape", drawn, "--out",
                 self.fast / shape, "--tokenizer", self.given.carry / "tokenizer", "--device", self.given.device]
        # What it says goes into a file: nobody reads a pipe while other parts run.
        log = open(self.scratch / f"make_{shape}.log", "w+", encoding="utf-8")
        return subprocess.Popen([str(word) for word in words], stdout=log, stderr=subprocess.STDOUT), log

    def finish_model(self, shape, started, clock):
        process, log = started
        try:
            code = process.wait(clock.left())
        except subprocess.TimeoutExpired:
            process.kill()
            raise program.Failed(f"making the {shape} checkpoint took longer than the part may") from None
        log.seek(0)
        said = log.read()
        if code != 0:
            raise program.Failed(f"making the {shape} checkpoint failed:\n{program.last_lines(said)}")
        print(said.strip(), flush=True)
        self.models[shape] = self.fast / shape
        return self.models[shape]

    def model(self, shape, clock):
        if shape not in self.models:
            if shape == "8b" and self.large:
                return self.finish_model("8b", self.large, clock)
            return self.finish_model(shape, self.start_model(shape), clock)
        return self.models[shape]

    # Parts.

    def part(self, name, limit_s, work):
        """Runs work(clock) and keeps its verdict; the clock holds the part's limit, and that of the whole."""
        print(f"\n== {name}", flush=True)
        slow = 4 if self.given.device == "cpu" else 1
        verdict, clock = "FAILED", program.Clock(min(limit_s, self.given.budget_s - self.clock.seconds() / slow) * slow)
        try:
            clock.left()
            said = work(clock)
            verdict = "DIFFERS" if said is False else said if isinstance(said, str) else "ok"
        except Exception as failed:  # Whatever it was, the other parts go on.
            print(f"FAILED: {type(failed).__name__}: {program.last_lines(str(failed))}")
        self.parts.append((name, clock.seconds(), verdict))
        print(f"== {name}: {verdict}, {clock.seconds():.0f} s", flush=True)

    def write(self, name, content):
        (self.out / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def parity(self, clock):
        limit = self.given.items or (20 if self.tiny else 200)
        found = parity.all_comparisons(self.bitlaw, self.given.device, self.scratch, clock, limit)
        self.results["parity"] = found
        self.write("parity", found)
        print("\n".join(parity.lines_of(found, self.given.device)))
        return parity.ok(found)

    def tasks(self, shape):
        return TINY if self.tiny else SMALL if shape == "0.6b" else LARGE

    def evaluate(self, shape, name, clock):
        """bitlaw's two runs of a task in one process, the second one warm; and the requests for the peer."""
        task = self.tasks(shape)[name]
        words = ["--data", self.given.carry / "data", "--dtype", "bfloat16", "--device", self.given.device, "--limit",
                 self.given.items or task.items, *shlex.split(self.given.evaluate_options)]
        if task.new_tokens:
            words += ["--option", f"{name}.max_new_tokens={task.new_tokens}"]
        model = self.model(shape, clock)
        with program.DeviceMemory() as memory:
            result = self.bitlaw.evaluate(model, [name, name], words, clock.left())
        first, warm = result["tasks"]
        items = result.pop("answers")[1]
        own = result.get("peak_device_memory_bytes")
        entry = {"shape": shape, "task": name, "items": len(items), "goal": task.goal, "first_s": first["elapsed_s"],
                 "warm_s": warm["elapsed_s"], "tokens_requested": warm["tokens_requested"],
                 "tokens_computed": warm["tokens_computed"], "peak_device_bytes": own or memory.peak_bytes,
                 "peak_from": "bitlaw" if own else "nvidia-smi", "peak_host_bytes": result["peak_memory_bytes"]}
        answers = [answer for item in items.values() for answer in item["answers"]]
        request = {"task": name, "batch_sizes": task.batch_sizes}
        if task.new_tokens:
            request |= {"kind": "generate", "requests": [answer["context"] for answer in answers],
                        "until": ["Question:", "</s>", "<|im_end|>"], "max_new_tokens": task.new_tokens}
            entry["texts"] = [answer["text"] for answer in answers]
            entry["tokens"] = [answer["tokens"] for answer in answers]
        else:
            request |= {"kind": "loglikelihood",
                        "requests": [[answer["context"], answer["continuation"]] for answer in answers]}
            entry["loglikelihoods"] = [answer["loglikelihood_nats"] for answer in answers]
            entry["choices"] = [len(item["answers"]) for item in items.values()]
        print(f"{shape} {name}: {entry['items']} items, first {entry['first_s']:.2f} s, warm {entry['warm_s']:.2f} s, "
              f"{warm['tokens_computed']} of {warm['tokens_requested']} requested tokens computed", flush=True)
        self.results.setdefault(f"eval-{shape}", {}).setdefault("tasks", {})[name] = (entry, request)

    def peer(self, shape, names, clock):
        """The peer on what bitlaw answered; the tasks' entries get `peer`."""
        found = self.results.get(f"eval-{shape}", {}).get("tasks", {})
        chosen = {name: found[name] for name in names if name in found}
        if not chosen:
            raise program.Failed("bitlaw answered none of the requests")
        requests, answers = self.scratch / f"requests_{shape}.jsonl", self.scratch / f"peer_{shape}.json"
        requests.write_text("".join(json.dumps(request) + "\n" for _, request in chosen.values()), encoding="utf-8")
        failed = None
        try:
            program.run([sys.executable, HERE / "peer.py", "--model", self.model(shape, clock), "--requests", requests,
                         "--json", answers, "--device", self.given.device, "--budget-s", self.given.peer_budget_s],
                        clock.left())
        except program.Failed as error:
            failed = error
        if answers.exists():
            output = json.loads(answers.read_text(encoding="utf-8"))
            self.results["versions"] = output["versions"] | {"attention": output["attention"]}
            for name, measured in output["tasks"].items():
                entry = chosen[name][0]
                entry["peer"] = measured
                entry["agreement"] = agreement(entry, measured)
                print(f"{shape} {name}: HFLM " + ", ".join(
                    f"{seconds:.2f} s (batch {size})" for size, seconds in measured["seconds"].items()), flush=True)
        self.write(f"eval-{shape}", {name: entry for name, (entry, _) in found.items()})
        if failed:
            raise failed

    def gptq(self, shape, clock):
        sequences, tokens = (4, 128) if self.tiny else (128, 2048)
        words = ["quantize", self.model(shape, clock), "--quantizer", "gptq", "--option", "bits=4", "--option",
                 "group_size=128", "--corpus", self.given.carry / "text" / "calibration.txt", "--sequences", sequences,
                 "--tokens", tokens, "--dtype", "bfloat16", "--device", self.given.device,
                 *shlex.split(self.given.quantize_options), "--json"]
        wall = program.Clock()
        with program.DeviceMemory() as memory:
            result = self.bitlaw.json(words, clock.left())
        own = result.get("peak_device_memory_bytes")
        entry = {"shape": shape, "sequences": sequences, "tokens": tokens, "wall_s": wall.seconds(),
                 "time": result["time"], "layers": result["layers"],
                 "hessian_error_mean": result.get("hessian_error_mean"),
                 "hessian_error_rtn_mean": result.get("hessian_error_rtn_mean"),
                 "peak_device_bytes": own or memory.peak_bytes, "peak_from": "bitlaw" if own else "nvidia-smi",
                 "sampled_device_bytes": memory.peak_bytes, "peak_host_bytes": result["peak_memory_bytes"]}
        self.results[f"gptq-{shape}"] = entry
        self.write(f"gptq-{shape}", entry | {"per_layer": result["per_layer"]})
        print("\n".join(gptq_lines(entry)), flush=True)

    def experts(self, clock):
        row = more_parts.experts(self.bitlaw, self.model("moe", clock), self.given.carry / "text" / "calibration.txt",
                                 self.given.device, self.scratch, clock, self.tiny)
        return self.keep("experts", row, more_parts.experts_lines)

    def stream(self, clock):
        """Of the 8B, where another part has made it."""
        shape = "8b" if "8b" in self.models else "0.6b"
        words = ["--data", self.given.carry / "data", "--dtype", "bfloat16", "--device", self.given.device, "--limit",
                 self.given.items or self.tasks(shape)["arc_easy"].items]
        row = more_parts.stream(self.bitlaw, self.model(shape, clock), "arc_easy", words, clock)
        return self.keep("stream", {"shape": shape} | row, more_parts.stream_lines)

    def cards(self, clock):
        count = more_parts.cards_here() if self.given.device != "cpu" else 0
        if count < 2:
            print(f"skipped: a study on several cards needs two; here {'is' if count == 1 else 'are'} {count}")
            return "skipped"
        row = more_parts.cards(self.bitlaw, ["cuda:0", "cuda:1"], self.scratch, clock)
        return self.keep("cards", row, more_parts.cards_lines)

    def keep(self, name, row, lines_of):
        self.results[name] = row
        self.write(name, row)
        print("\n".join(lines_of(row)), flush=True)
        return row["ok"]

    def large_tasks(self, clock):
        for name in LARGE:
            self.evaluate("8b", name, clock)
        self.peer("8b", list(LARGE), clock)


def agreement(entry, measured):
    """How far the answers of the two programs are apart, in the numbers that summary_lines() prints."""
    if entry.get("texts") is not None:
        pairs = list(zip(entry["texts"], measured["texts"], strict=True))
        return {"equal_texts": sum(one == other for one, other in pairs), "texts": len(pairs),
                "tokens": sum(entry["tokens"]), "peer_tokens": measured["tokens"]}
    reference = measured.get("loglikelihoods_float32_softmax") or measured["loglikelihoods"]
    apart = [abs(one - other) for one, other in zip(entry["loglikelihoods"], reference, strict=True)]
    same, at = 0, 0
    for choices in entry["choices"]:
        one, other = entry["loglikelihoods"][at : at + choices], reference[at : at + choices]
        same += one.index(max(one)) == other.index(max(other))
        at += choices
    return {"mean_nats": statistics.fmean(apart), "largest_nats": max(apart),
            "mean_size_nats": statistics.fmean(map(abs, reference)), "same_choice": same / len(entry["choices"])}


def gib(size):
    return f"{size / 2**30:.1f}" if size else "-"


def gptq_lines(entry):
    phases = "  ".join(f"{name.removesuffix('_s')} {seconds:.2f}" for name, seconds in entry["time"].items()
                       if name.endswith("_s"))
    shape = entry["shape"]
    yield (f"  {shape}: wall {entry['wall_s']:.1f} s; {phases} s; {entry['sequences']} x {entry['tokens']} tokens, "
           f"{entry['layers']} layers")
    outside = entry["wall_s"] - entry["time"].get("total_s", entry["wall_s"])
    device, sampled, host = (gib(entry[f"{kind}_bytes"]) for kind in ("peak_device", "sampled_device", "peak_host"))
    yield (f"  {shape}: start, opening, drawing tokens {outside:.1f} s; peak device {device} GiB "
           f"(by {entry['peak_from']}; sampled {sampled}), host {host} GiB; "
           f"Hessian error {entry['hessian_error_mean']:.5f}, of rounding {entry['hessian_error_rtn_mean']:.5f}")
    if shape in GPTQ_GOAL:
        seconds, memory = GPTQ_GOAL[shape]
        fast = entry["wall_s"] <= seconds
        peak = entry["peak_device_bytes"]
        small = "not measured" if not peak else "met" if peak <= memory * 2**30 else "MISSED"
        yield f"  {shape}: goals {seconds} s {'met' if fast else 'MISSED'}, {memory} GiB {small}"


def summary_lines(session):
    results = session.results
    if "parity" in results:
        yield from parity.lines_of(results["parity"], session.given.device)
    evaluated = [results.get(f"eval-{shape}", {}).get("tasks", {}) for shape in ("0.6b", "8b")]
    entries = [entry for tasks in evaluated for entry, _ in tasks.values()]
    if entries:
        versions = results.get("versions", {})
        yield "evaluation in bfloat16, seconds without loading; HFLM: " + (
            ", ".join(f"{name} {version}" for name, version in versions.items()) or "not measured")
        yield (f"  {'model':<6}{'task':<12}{'items':>6}{'HFLM':>9}{'(batch)':>8}{'first':>9}{'warm':>9}{'times':>7}"
               f"{'goal':>6}{'device GiB':>12}  agreement")
    for entry in entries:
        peer = entry.get("peer")
        ratio = peer["best_s"] / entry["warm_s"] if peer else None
        text = f"  {entry['shape']:<6}{entry['task']:<12}{entry['items']:>6}"
        text += f"{peer['best_s']:>9.2f}{peer['batch_size']:>8}" if peer else f"{'-':>9}{'-':>8}"
        text += f"{entry['first_s']:>9.2f}{entry['warm_s']:>9.2f}"
        text += f"{ratio:>7.1f}" if peer else f"{'-':>7}"
        text += f"{entry['goal']:>6}{gib(entry['peak_device_bytes']):>12}  "
        found = entry.get("agreement")
        if found and "texts" in found:
            text += (f"{found['equal_texts']} of {found['texts']} texts equal; {found['tokens']} and "
                     f"{found['peer_tokens']} tokens")
        elif found:
            text += (f"nats apart {found['mean_nats']:.3f} mean, {found['largest_nats']:.3f} largest of "
                     f"{found['mean_size_nats']:.0f}; same choice {found['same_choice']:.1%}")
        yield text + ("" if not peer else "  met" if ratio >= entry["goal"] else "  MISSED")
    if any(f"gptq-{shape}" in results for shape in ("0.6b", "8b")):
        yield "GPTQ, 4 bits, groups of 128, bfloat16"
    for shape in ("0.6b", "8b"):
        if f"gptq-{shape}" in results:
            yield from gptq_lines(results[f"gptq-{shape}"])
    for name, lines_of in (("experts", more_parts.experts_lines), ("stream", more_parts.stream_lines),
                           ("cards", more_parts.cards_lines)):
        if name in results:
            yield from lines_of(results[name])
    yield "parts: " + ", ".join(f"{name} {verdict} {seconds:.0f} s" for name, seconds, verdict in session.parts)


def machine_line(session):
    try:
        card = program.run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"], 20)
    except (OSError, program.Failed):
        card = "no GPU"
    try:
        session.doctor = session.bitlaw.run(["doctor"], 60)
    except program.Failed as failed:
        session.doctor = f"doctor: {failed}"
    doctor = [line.split(None, 1) for line in session.doctor.split("\n")]
    torch = next((rest[1] for rest in doctor if len(rest) == 2 and rest[0] == "libtorch"), "unknown")
    card, date = card.strip().splitlines()[0], time.strftime("%Y-%m-%d")
    return f"{card}; bitlaw {session.bitlaw.version}, libtorch {torch}; {date}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--carry", type=pathlib.Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", default="full", choices=("full", "tiny"))
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--items", type=int)
    parser.add_argument("--out")
    parser.add_argument("--scratch")
    parser.add_argument("--library-path", action="append", default=[])
    parser.add_argument("--evaluate-options", default="")
    parser.add_argument("--quantize-options", default="")
    parser.add_argument("--budget-s", type=float, default=420)
    parser.add_argument("--peer-budget-s", type=float, default=15)
    given = parser.parse_args()
    chosen = given.only.split(",")
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"--only {unknown[0]}: no such part. Parts: {', '.join(PARTS)}")
    if set(chosen) - {"parity", "cards"} and not (given.carry and (given.carry / "tokenizer" / "tokenizer.json").exists()):
        parser.error(f"--carry {given.carry}: needs tokenizer/, data/ and text/calibration.txt (tests/gpu/README.md)")
    if given.carry:
        given.carry = given.carry.resolve()

    session = Session(given)
    try:
        machine = machine_line(session)
        print(machine + "\n" + session.doctor.strip(), flush=True)
        session.place()
        if {"gptq-8b", "eval-8b"} & set(chosen):
            session.large = session.start_model("8b")
        if "parity" in chosen:
            session.part("parity", LIMIT_S["parity"], session.parity)
        # From here on times count, and nothing else may run.
        if session.large:
            session.part("8b checkpoint", LIMIT_S["model"], lambda clock: session.model("8b", clock) and None)
        small = [name for name in TASK_OF_PART if name in chosen]
        for name in small:
            session.part(name, LIMIT_S[name],
                         lambda clock, name=name: session.evaluate("0.6b", TASK_OF_PART[name], clock))
        if small:
            tasks = [TASK_OF_PART[name] for name in small]
            session.part("HFLM 0.6b", LIMIT_S["peer"], lambda clock: session.peer("0.6b", tasks, clock))
        for shape in ("0.6b", "8b"):
            if (name := f"gptq-{shape}") in chosen:
                session.part(name, LIMIT_S[name], lambda clock, shape=shape: session.gptq(shape, clock))
        if "eval-8b" in chosen:
            session.part("eval-8b", LIMIT_S["eval-8b"], session.large_tasks)
        for name, work in (("experts", session.experts), ("stream", session.stream), ("cards", session.cards)):
            if name in chosen:
                session.part(name, LIMIT_S[name], work)
        seconds = session.clock.seconds()
        print(f"\n==== summary: {machine}; {seconds:.0f} s in all")
        lines = list(summary_lines(session))
        print("\n".join(lines))
        session.write("summary", {"machine": machine, "seconds": seconds, "parts": session.parts, "lines": lines})
        print(f"numbers: {session.out}", flush=True)
    finally:
        session.close()
    sys.exit(0 if all(verdict in ("ok", "skipped") for _, _, verdict in session.parts) else 1)


if __name__ == "__main__":
    main()
