"""What parity.py, program.py and measure.py say of results that differ: made by hand, without bitlaw."""

import csv
import json
import pathlib
import shutil
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import measure
import more_parts
import parity
import program


def scored(*nats, value=1.0):
    return {"values": [{"metric": "acc", "value": value}], "answers": [{"loglikelihood_nats": one} for one in nats]}


def write_tensors(path, tensors):
    header, body = {"__metadata__": {"about": "{}"}}, b""
    for name, content in tensors.items():
        header[name] = {"dtype": "U8", "shape": [len(content)], "data_offsets": [len(body), len(body) + len(content)]}
        body += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


class Answers(unittest.TestCase):
    def test_counts_scores_and_keeps_the_largest_distance(self):
        ours = {"0": scored(-1.0, -2.0), "1": scored(-1.0, -2.5, value=0.0)}
        theirs = {"0": scored(-1.25, -2.0), "1": scored(-1.0, -3.0)}
        self.assertEqual(parity.compare_answers(ours, theirs),
                         {"items": 2, "scores_differ": 1, "largest_nats": 0.5, "texts_differ": 0})

    def test_not_a_number_is_no_small_distance(self):
        found = parity.compare_answers({"0": scored(float("nan"), -2.0)}, {"0": scored(-1.0, -2.0)})
        self.assertEqual(found["largest_nats"], float("inf"))

    def test_counts_generated_texts(self):
        ours = {"0": {"values": [], "answers": [{"text": " a"}]}, "1": {"values": [], "answers": [{"text": " b"}]}}
        theirs = {"0": {"values": [], "answers": [{"text": " a"}]}, "1": {"values": [], "answers": [{"text": " c"}]}}
        self.assertEqual(parity.compare_answers(ours, theirs)["texts_differ"], 1)

    def test_refuses_other_items(self):
        with self.assertRaisesRegex(program.Failed, "items differ: 1 and 2 of them"):
            parity.compare_answers({"0": scored(-1.0)}, {"0": scored(-1.0), "1": scored(-1.0)})


class Experts(unittest.TestCase):
    def row(self, device="cuda", one_by_one=1.0, host=0.93, relative=0.001):
        return {"device": device, "one by one": {"equal_codes": one_by_one}, "host": {"equal_codes": host},
                "relative": relative}

    def test_of_a_device_may_turn_over_as_against_the_host(self):
        self.assertTrue(more_parts.experts_ok(self.row(one_by_one=0.93)))
        self.assertFalse(more_parts.experts_ok(self.row(one_by_one=0.49)))
        self.assertFalse(more_parts.experts_ok(self.row(host=0.49)))
        self.assertFalse(more_parts.experts_ok(self.row(relative=0.006)))

    def test_of_the_host_are_the_same(self):
        self.assertTrue(more_parts.experts_ok(self.row(device="cpu")))
        self.assertFalse(more_parts.experts_ok(self.row(device="cpu", one_by_one=0.9999)))


class Streams(unittest.TestCase):
    def test_read_ahead_changes_nothing(self):
        same = {"scores_differ": 0, "largest_nats": 0.0}
        self.assertTrue(more_parts.stream_ok({"read ahead": same}))
        self.assertFalse(more_parts.stream_ok({"read ahead": {"scores_differ": 1, "largest_nats": 0.0}}))
        self.assertFalse(more_parts.stream_ok({"read ahead": {"scores_differ": 0, "largest_nats": 0.001}}))


class Cards(unittest.TestCase):
    def test_must_both_have_worked_and_nothing_may_be_done_again(self):
        row = {"devices": ["cuda:0", "cuda:1"], "records": 6, "used": ["cuda:0", "cuda:1"], "done_again": 0}
        self.assertTrue(more_parts.cards_ok(row))
        self.assertFalse(more_parts.cards_ok(row | {"used": ["cuda:0"]}))
        self.assertFalse(more_parts.cards_ok(row | {"done_again": 1}))
        self.assertFalse(more_parts.cards_ok(row | {"records": 0}))

    def test_are_told_by_the_timings(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "timings" / "0a"
            path.mkdir(parents=True)
            (path / "0a1.json").write_text(json.dumps({"device": "cuda:1", "elapsed_s": 1}))
            self.assertEqual([device for device, _ in more_parts.devices_of(folder).values()], ["cuda:1"])


class Samples(unittest.TestCase):
    def test_a_task_named_twice_stands_there_twice(self):
        rows = [{"task": task, "item": item, "values": [], "answers": [at]}
                for at, (task, item) in enumerate([("x", "0"), ("x", "1"), ("x", "0"), ("x", "1"), ("y", "0")])]
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "samples.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            runs = program.samples_of(path, ["x", "x", "y"])
        answers = [[row["answers"] for row in items.values()] for items in runs]
        self.assertEqual(answers, [[[0], [1]], [[2], [3]], [[4]]])


class Codes(unittest.TestCase):
    def compare(self, ours, theirs):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder) / name for name in ("ours", "theirs")]
            for path, tensors in zip(paths, (ours, theirs)):
                write_tensors(path, tensors)
            return parity.compare_codes(*paths)

    def test_shares_of_equal_bytes(self):
        found = self.compare({"a.codes": b"\1\2\3\4", "a.scales": b"\1\1"},
                             {"a.codes": b"\1\2\3\5", "a.scales": b"\1\2"})
        self.assertEqual(found, {"equal_codes": 0.75, "equal_parameters": 0.5})

    def test_codes_of_gptq_need_both_their_bytes_and_their_error(self):
        def passes(quantizer, equal_codes, relative):
            return parity.codes_ok({"quantizer": quantizer, "equal_codes": equal_codes, "relative": relative})

        self.assertTrue(passes("gptq", 0.87, 7e-4))
        self.assertFalse(passes("gptq", 0.71, 7e-4))
        self.assertFalse(passes("gptq", 0.87, 9e-3))
        self.assertFalse(passes("gptq", 0.87, float("nan")))
        self.assertTrue(passes("rtn", 1.0, None))
        self.assertFalse(passes("rtn", 0.99, None))
        self.assertFalse(passes("hqq", 0.99, None))

    def test_refuses_files_without_codes_and_with_other_layers(self):
        with self.assertRaisesRegex(program.Failed, "the files of codes hold none"):
            self.compare({"a.scales": b"\1"}, {"a.scales": b"\1"})
        with self.assertRaisesRegex(program.Failed, "hold other tensors: \\['b.codes'\\]"):
            self.compare({"a.codes": b"\1"}, {"a.codes": b"\1", "b.codes": b"\1"})


class Recipes(unittest.TestCase):
    def trial(self, digest="d", error=0.5, nats="-1 -2", acc="1"):
        return {"digest": digest, "hessian_error": error,
                "items": {("lab_recall", "0"): {"acc": acc, "loglikelihoods": nats}}}

    def row(self, recipe, ours):
        (row,) = parity.compare_records({recipe: ours}, {recipe: self.trial()})
        return row

    def test_same_codes_must_give_the_same_scores_and_likelihoods(self):
        self.assertTrue(self.row("gptq nf4", self.trial())["ok"])
        self.assertFalse(self.row("gptq nf4", self.trial(acc="0"))["ok"])
        self.assertFalse(self.row("gptq nf4", self.trial(nats="-1 -2.001"))["ok"])
        self.assertFalse(self.row("gptq nf4", self.trial(nats="nan -2"))["ok"])

    def test_other_codes_of_gptq_pass_by_their_error_only(self):
        self.assertTrue(self.row("gptq nf4", self.trial(digest="e", error=0.501, nats="-1 -2.5"))["ok"])
        self.assertFalse(self.row("gptq nf4", self.trial(digest="e", error=0.503, nats="-1 -2.5"))["ok"])

    def test_rounding_to_nearest_gives_the_same_codes(self):
        self.assertFalse(self.row("rtn nf4", self.trial(digest="e"))["ok"])
        self.assertFalse(self.row("rtn activations mxfp4 token", self.trial(digest="e"))["ok"])
        self.assertTrue(self.row("rtn activations tensor", self.trial(digest="e"))["ok"])  # A range is of sums.

    def test_names_what_tells_recipes_apart(self):
        self.assertEqual(parity.recipe_of({"recipe": {}}), "none")
        recipe = {"transforms": [{"name": "awq"}], "activations": {"per": "group", "bits": 8}, "kv_cache": {}}
        self.assertEqual(parity.recipe_of({"quantizer": "rtn", "recipe": recipe}), "rtn activations group kv_cache awq")
        recipe = {"activations": {"per": "token", "format": "mxfp4"}}
        self.assertEqual(parity.recipe_of({"quantizer": "rtn", "recipe": recipe}), "rtn activations mxfp4 token")

    def test_reads_records_of_a_study(self):
        with tempfile.TemporaryDirectory() as folder:
            home = pathlib.Path(folder) / "records" / "00"
            home.mkdir(parents=True)
            key = {"quantizer": "gptq", "recipe": {"grid": {"name": "nf4"}}}
            layers = [{"diagnostics": {"hessian_error": 0.25}}, {"diagnostics": {"hessian_error": 0.75}}]
            (home / "q.json").write_text(json.dumps({"kind": "quantization", "key": key, "layers": layers,
                                                     "quantization": {"codes_digest": "d"}}))
            (home / "t.json").write_text(json.dumps({"kind": "task", "key": key, "quantization": {"codes_digest": "d"},
                                                     "task": {"name": "lab_recall"}}))
            with open(home / "t.items.csv", "w", newline="", encoding="utf-8") as lines:
                csv.writer(lines).writerows([["id", "acc", "loglikelihoods"], ["0", "1", "-1 -2"]])
            found = parity.records_of(folder)
        row = found["gptq nf4"].pop("items")[("lab_recall", "0")]
        self.assertEqual(found, {"gptq nf4": {"digest": "d", "hessian_error": 0.5}})
        self.assertEqual((row["acc"], row["loglikelihoods"]), ("1", "-1 -2"))


class Start(unittest.TestCase):
    def start(self, script):
        """A tree whose program is a shell script, and whose library is one that needs nothing but libc."""
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder)
            (tree / "bin").mkdir()
            (tree / "lib").mkdir()
            shutil.copy("/bin/sh", tree / "lib" / "libbitlaw_tensor.so")
            (tree / "bin" / "bitlaw").write_text("#!/bin/sh\n" + script, encoding="utf-8")
            (tree / "bin" / "bitlaw").chmod(0o755)
            return program.Bitlaw(tree)

    def test_looks_in_the_trees_own_lib(self):
        found = self.start('case $LD_LIBRARY_PATH in */lib*) echo 0.1.0 ;; *) exit 4 ;; esac')
        self.assertEqual(found.version, "0.1.0")

    def test_a_version_is_no_start(self):
        with self.assertRaisesRegex(program.Failed, "(?s)does not start:.*plugins list\nexit code 4\nno libtorch"):
            self.start('[ "$1" = --version ] && echo 0.1.0 && exit; echo no libtorch >&2; exit 4')


class Verdict(unittest.TestCase):
    def test_a_comparison_that_could_not_be_made_is_not_passed(self):
        found = {"evaluation": [{"ok": True}], "quantize": [], "recipes": [], "errors": []}
        self.assertTrue(parity.ok(found))
        self.assertFalse(parity.ok(found | {"errors": ["quantize: ..."]}))
        self.assertFalse(parity.ok({"evaluation": [], "quantize": [], "recipes": [], "errors": []}))

    def test_agreement_counts_items_whose_likeliest_choice_is_the_same(self):
        entry = {"loglikelihoods": [-1.0, -2.0, -4.0, -5.0, -3.0], "choices": [3, 2]}
        found = measure.agreement(entry, {"loglikelihoods": [-1.5, -2.0, -3.0, -4.5, -5.0]})
        self.assertEqual(found, {"mean_nats": 0.8, "largest_nats": 2.0, "mean_size_nats": 3.2, "same_choice": 0.5})


if __name__ == "__main__":
    unittest.main()
