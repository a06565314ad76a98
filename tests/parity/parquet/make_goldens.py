#!/usr/bin/env python3
"""Writes the Parquet files of this folder and, in goldens.json, the rows that public readers give for them.

    pip install datasets==5.2.0 pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.1 fastparquet==2026.9.0
    python make_goldens.py

The rows are those of datasets.Dataset.to_json where `datasets` wrote the file, and elsewhere those of to_pylist of pyarrow,
with moments as milliseconds since 1970 (what to_json gives for them) and NaN as null. Compared exactly.
"""
import datetime
import decimal
import importlib.metadata
import io
import json
import math
import os
import pathlib
import tempfile

import datasets
import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
goldens = {}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if isinstance(value, datetime.datetime):
        return (value.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)) // datetime.timedelta(milliseconds=1)
    if isinstance(value, datetime.date):
        return (value - datetime.date(1970, 1, 1)).days * 86400000
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 2**63 - 1:
        return str(value)  # as integers of JSON lines that int64 does not hold
    return value


def keep(name, writer, note):
    rows = [plain(row) for row in pq.ParquetFile(HERE / name).read().to_pylist()]
    goldens[name] = {"writer": writer, "what": note, "rows": rows}


def write(name, table, note, **options):
    pq.write_table(table, HERE / name, **options)
    keep(name, f"pyarrow {pa.__version__}, {options}", note)


def of_datasets(name, rows, note, features=None):
    data = datasets.Dataset.from_list(rows, features=features)
    data.to_parquet(HERE / name)
    buffer = io.BytesIO()
    data.to_json(buffer)
    lines = [json.loads(line) for line in buffer.getvalue().decode().splitlines()]
    goldens[name] = {"writer": f"datasets {datasets.__version__}", "what": note, "rows": lines}


def mixed(count):
    """Numbers and texts that repeat, are missing, and need several bits."""
    return pa.table({
        "n": pa.array([None if i % 7 == 3 else i * i % 101 for i in range(count)], pa.int32()),
        "big": pa.array([(-1) ** i * (i * 2**40 + i) for i in range(count)], pa.int64()),
        "text": pa.array([None if i % 11 == 5 else f"word {i % 13}" for i in range(count)]),
        "other": pa.array([f"prefix of {i // 3} and {'x' * (i % 5)}" for i in range(count)]),
        "flag": pa.array([None if i % 5 == 4 else i % 3 == 0 for i in range(count)], pa.bool_()),
        "real": pa.array([i / 8 - 3 for i in range(count)], pa.float64()),
    })


choices = {"text": datasets.List(datasets.Value("string")), "label": datasets.List(datasets.Value("string"))}
of_datasets("arc.parquet", [
    {"id": "a1", "question": "Which is a solid?", "answerKey": "B",
     "choices": {"text": ["water", "ice", "steam"], "label": ["A", "B", "C"]}},
    {"id": "a2", "question": "Größe – \"quoted\",\nsecond line?", "answerKey": "1",
     "choices": {"text": ["größer", "kleiner"], "label": ["1", "2"]}},
    {"id": "a3", "question": "", "answerKey": "A", "choices": {"text": ["only"], "label": ["A"]}},
], "ARC's columns: a struct of two lists", datasets.Features({
    "id": datasets.Value("string"), "question": datasets.Value("string"), "choices": choices,
    "answerKey": datasets.Value("string")}))
of_datasets("labels.parquet", [
    {"sentence": f"sentence {i}", "label": i % 2, "idx": i, "endings": [f"a {i}", f"b {i}"],
     "answers": [{"aliases": [f"x{i}"] * (i % 3), "value": f"v{i}"}]} for i in range(40)],
    "a ClassLabel, lists of texts, a list of structs with lists", datasets.Features({
        "sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"]),
        "idx": datasets.Value("int32"), "endings": datasets.List(datasets.Value("string")),
        "answers": [{"aliases": datasets.List(datasets.Value("string")), "value": datasets.Value("string")}]}))

kinds = pa.table({
    "b": pa.array([True, None, False]),
    "i8": pa.array([-128, None, 127], pa.int8()), "u8": pa.array([0, None, 255], pa.uint8()),
    "i16": pa.array([-32768, None, 32767], pa.int16()), "u16": pa.array([0, None, 65535], pa.uint16()),
    "i32": pa.array([-2**31, None, 2**31 - 1], pa.int32()), "u32": pa.array([0, None, 2**32 - 1], pa.uint32()),
    "i64": pa.array([-2**63, None, 2**63 - 1], pa.int64()), "u64": pa.array([0, None, 2**64 - 1], pa.uint64()),
    "f32": pa.array([0.1, None, math.inf], pa.float32()), "f64": pa.array([0.1, None, math.nan], pa.float64()),
    "text": pa.array(["", None, "ä\0b"]), "large": pa.array(["x", None, "y"], pa.large_string()),
    "nothing": pa.array([None, None, None], pa.null()),
    "category": pa.array(["p", None, "p"]).dictionary_encode(),
    "ms": pa.array([1, None, -1], pa.timestamp("ms")), "us": pa.array([1500, None, 3000000], pa.timestamp("us")),
    "ns": pa.array([2000000, None, 3000000], pa.timestamp("ns", tz="UTC")), "day": pa.array([1, None, -1], pa.date32()),
})
write("kinds.parquet", kinds, "every type of a column", compression="zstd", data_page_version="2.0")
write("kinds_v1.parquet", kinds.drop(["ns"]), "the same, by format 1.0", compression="none", version="1.0")

nested = pa.table({
    "lists": pa.array([[[1, 2], [], None, [3]], None, [], [[None]], [[4], [5, 6]]] * 4, pa.list_(pa.list_(pa.int16()))),
    "structs": pa.array([{"a": {"b": "x", "c": None}}, {"a": None}, None, {"a": {"b": None, "c": [1]}},
                         {"a": {"b": "y", "c": [2, None]}}] * 4,
                        pa.struct([("a", pa.struct([("b", pa.string()), ("c", pa.list_(pa.int64()))]))])),
    "both": pa.array([[{"q": "x", "n": [1]}, None, {"q": None, "n": []}], [], None, [{"q": "z", "n": None}],
                      [{"q": "w", "n": [1, 2, 3]}]] * 4,
                     pa.list_(pa.struct([("q", pa.string()), ("n", pa.list_(pa.int32()))]))),
    "fixed": pa.array([[1, 2], None, [3, 4], [5, None], [7, 8]] * 4, pa.list_(pa.int32(), 2)),
    "flat": pa.array(range(20)),
})
write("nested.parquet", nested, "lists and structs within each other, in three row groups", row_group_size=7)
write("nested_v2.parquet", nested, "the same, pages of version 2 of a few values each", data_page_version="2.0",
      compression="gzip", data_page_size=16, write_batch_size=2, use_dictionary=False)
write("pages.parquet", mixed(300), "many pages, dictionaries, two row groups", data_page_size=64, write_batch_size=16,
      row_group_size=200)
write("plain.parquet", mixed(60), "no dictionary, nothing packed", use_dictionary=False, compression="none")
write("delta.parquet", mixed(300), "differences", use_dictionary=False, compression="zstd", column_encoding={
    "n": "DELTA_BINARY_PACKED", "big": "DELTA_BINARY_PACKED", "text": "DELTA_LENGTH_BYTE_ARRAY",
    "other": "DELTA_BYTE_ARRAY", "flag": "RLE", "real": "PLAIN"}, data_page_version="2.0")
write("delta_pages.parquet", mixed(150), "differences, page by page", use_dictionary=False, compression="snappy",
      column_encoding={"n": "DELTA_BINARY_PACKED", "big": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY",
                       "other": "DELTA_LENGTH_BYTE_ARRAY"}, data_page_size=64, write_batch_size=16)
write("empty.parquet", mixed(0), "no rows")
write("late_dictionary.parquet", pa.table({"t": [f"{i:040d}" for i in range(60)]}),
      "a dictionary that grew too large, plain pages after it", dictionary_pagesize_limit=400, data_page_size=200,
      write_batch_size=8)

polars.from_arrow(mixed(80).append_column("list", pa.array([["a", f"b{i}"][: i % 3] for i in range(80)]))).write_parquet(
    HERE / "polars.parquet")
keep("polars.parquet", f"polars {polars.__version__}", "another writer")
duck = mixed(80)  # noqa: F841, duckdb finds it by its name
duckdb.sql("select *, [text, other] as list, {'a': n, 'b': [big]} as struct from duck").write_parquet(
    str(HERE / "duckdb.parquet"), compression="zstd")
keep("duckdb.parquet", f"duckdb {duckdb.__version__}", "another writer")
mixed(80).to_pandas().to_parquet(HERE / "fastparquet.parquet", engine="fastparquet", index=False)
keep("fastparquet.parquet", f"fastparquet {importlib.metadata.version('fastparquet')}", "another writer")

refused = {
    "brotli.parquet": (pa.table({"a": [1]}), {"compression": "brotli"}),
    "decimal.parquet": (pa.table({"a": pa.array([decimal.Decimal("1.5")])}), {}),
    "map.parquet": (pa.table({"a": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32()))}), {}),
    "bytes.parquet": (pa.table({"image": pa.array([{"bytes": b"\x89PNG\xff", "path": None}])}), {}),
    "split.parquet": (pa.table({"a": pa.array([1.0])}), {"use_byte_stream_split": ["a"], "use_dictionary": False}),
}
for name, (table, options) in refused.items():
    pq.write_table(table, HERE / name, **options)

(HERE / "goldens.json").write_text(json.dumps({
    "provenance": f"make_goldens.py, 2026-11-28: pyarrow {pa.__version__}, datasets {datasets.__version__}, polars "
                  f"{polars.__version__}, duckdb {duckdb.__version__}, pandas {pandas.__version__}; no tolerance",
    "files": goldens}, ensure_ascii=False, separators=(",", ":")).replace('},{', '},\n{') + "\n")
