"""Runs programs for measure.py and parity.py: bitlaw of one build tree, with time, output and memory of the device."""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import threading
import time


class Failed(Exception):
    """A program ended badly or took too long; the text holds its command line and its last lines."""


def run(words, timeout_s, env=None):
    """stdout of a program. Throws Failed."""
    words = [str(word) for word in words]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, env=env, errors="replace")
    except subprocess.TimeoutExpired as late:
        said = late.stderr or ""
        said = said if isinstance(said, str) else said.decode(errors="replace")
        raise Failed(f"{shlex.join(words)}\nstopped after {timeout_s:.0f} s\n" + last_lines(said)) from None
    if done.returncode != 0:
        raise Failed(f"{shlex.join(words)}\nexit code {done.returncode}\n" + last_lines(done.stderr + done.stdout))
    return done.stdout


def last_lines(text, count=15):
    return "\n".join(line[:400] for line in text.strip().split("\n")[-count:])


def torch_libraries():
    """The folder of the libraries of this Python's package torch, found without importing it; null if there is none."""
    import importlib.util

    spec = importlib.util.find_spec("torch")
    folder = pathlib.Path(spec.origin).parent / "lib" if spec and spec.origin else None
    return folder if folder and folder.is_dir() else None


class Bitlaw:
    """The program of a build or install tree. A tree that was moved to another machine finds its libraries in lib/, in
    `library_paths`, or beside the Python package torch."""

    def __init__(self, tree, library_paths=()):
        self.program = pathlib.Path(tree).resolve() / "bin" / "bitlaw"
        if not self.program.exists():
            raise Failed(f"{self.program}: no such file. Build with the preset 'cuda', or name a tree with --build.")
        self.env = dict(os.environ)
        self.env.pop("PYTHONPATH", None)
        found = [str(path) for path in library_paths]
        self.version, refusal = None, ""
        for more in ([], [str(self.program.parent.parent / "lib")],
                     [str(self.program.parent.parent / "lib"), str(torch_libraries() or "")]):
            paths = [path for path in found + more + [os.environ.get("LD_LIBRARY_PATH", "")] if path]
            self.env["LD_LIBRARY_PATH"] = ":".join(paths)
            try:
                self.libraries = self.find_libraries()
                # --version alone is answered without libtorch, and with another one than that of the build.
                run([self.program, "plugins", "list"], 60, self.env)
                self.version = run([self.program, "--version"], 60, self.env).strip()
                break
            except Failed as failed:
                refusal = str(failed)
        if self.version is None:
            raise Failed(f"bitlaw does not start:\n{refusal}")

    def find_libraries(self):
        """Names of all shared libraries that bitlaw's tensor half loads. Throws Failed if some are not found."""
        found = sorted(self.program.parent.parent.glob("lib*/libbitlaw_tensor.so*"))
        if not found:
            raise Failed(f"{self.program.parent.parent}/lib: holds no libbitlaw_tensor.so")
        text = run(["ldd", found[0]], 60, self.env)
        if missing := sorted({line.split("=>")[0].strip() for line in text.split("\n") if "not found" in line}):
            raise Failed(f"{found[0]}: {', '.join(missing)}: not found. Name the folder with --library-path.")
        return [line.split("=>")[0].strip() for line in text.split("\n") if "=>" in line]

    def json(self, words, timeout_s):
        """What a verb prints as JSON."""
        return json.loads(run([self.program, *words], timeout_s, self.env))

    def run(self, words, timeout_s):
        return run([self.program, *words], timeout_s, self.env)

    def evaluate(self, model, tasks, words, timeout_s):
        """The verb's JSON, with `answers`: for each task in the order given, {item: {"values", "answers"}}.

        A task that is named twice stands there twice.
        """
        with tempfile.TemporaryDirectory() as scratch:
            samples = pathlib.Path(scratch) / "samples.jsonl"
            named = [word for task in tasks for word in ("--task", task)]
            result = self.json(["evaluate", model, *named, *words, "--json", "-", "--samples", samples], timeout_s)
            result |= result.get("device_use", {})
            result["answers"] = samples_of(samples, [task["task"] for task in result["tasks"]])
        return result


def samples_of(path, tasks):
    runs = [(task, {}) for task in tasks]
    at = 0
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            # A task's items stand together; the next task begins with another name, or with an item seen before.
            while row["task"] != runs[at][0] or row["item"] in runs[at][1]:
                at += 1
            runs[at][1][row["item"]] = {"values": row["values"], "answers": row["answers"]}
    return [items for _, items in runs]


class DeviceMemory:
    """Largest memory in use on the first visible GPU while the block runs, less what was in use before, in bytes.

    Read from nvidia-smi every 0.2 s; `peak_bytes` stays null where there is none.
    """

    def __init__(self):
        self.peak_bytes = None

    def __enter__(self):
        first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
        words = ["nvidia-smi", "-i", first, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        try:
            before = int(run(words, 20).split()[0])
            self.reader = subprocess.Popen([*words, "-lms", "200"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                           text=True)
        except (OSError, Failed, ValueError, IndexError):
            self.reader = None
            return self
        self.thread = threading.Thread(target=self.read, args=(before,), daemon=True)
        self.thread.start()
        return self

    def read(self, before):
        for line in self.reader.stdout:
            if line.strip().isdigit():
                self.peak_bytes = max(self.peak_bytes or 0, (int(line) - before) << 20)

    def __exit__(self, *_):
        if self.reader:
            self.reader.terminate()
            self.reader.wait()
            self.thread.join(2)


class Clock:
    """Seconds since it was made, and what is left of its limit."""

    def __init__(self, limit_s=float("inf")):
        self.began, self.limit_s = time.monotonic(), limit_s

    def seconds(self):
        return time.monotonic() - self.began

    def left(self):
        if self.limit_s - self.seconds() < 1:
            raise Failed(f"no time is left of {self.limit_s:.0f} s")
        return self.limit_s - self.seconds()


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "--has-cuda":
        sys.exit("Usage: program.py --has-cuda TREE [LIBRARY_PATH...]: exit code 0 if bitlaw of that tree loads CUDA's "
                 "part of libtorch, 3 if it does not")
    try:
        libraries = Bitlaw(sys.argv[2], sys.argv[3:]).libraries
    except Failed as failed:
        sys.exit(f"gpu: {failed}")
    sys.exit(0 if any("libtorch_cuda" in name for name in libraries) else 3)


if __name__ == "__main__":
    main()
