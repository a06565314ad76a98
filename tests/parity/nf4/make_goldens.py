#!/usr/bin/env python3
"""Writes goldens.json: NF4 codes, scales and values by programs that nobody here wrote.

levels   the table of bitsandbytes' functional.py (get_4bit_type), read from its source: importing it needs torch
codes    onnxruntime's quantize_matmul_bnb4, C++ of its own, group by group, with its absmax

Generated with bitsandbytes 0.43.3, onnxruntime 1.32.0, numpy 2.4.6:
    pip install numpy onnxruntime; pip download --no-deps bitsandbytes==0.43.3
    make_goldens.py bitsandbytes-0.43.3-*.whl > goldens.json
No tolerance: weights are float32, a code is a comparison of w / absmax with midpoints of levels, and the seed below
draws no weight that lies at one.
"""
import json
import re
import sys
import zipfile

import numpy as np
import onnxruntime
from onnxruntime.capi import _pybind_state

SEED = 20230523
NF4 = 1  # onnxruntime's number of the type


def bitsandbytes_levels(wheel):
    source = zipfile.ZipFile(wheel).read("bitsandbytes/functional.py").decode()
    body = source[source.index("def get_4bit_type"):]
    table = body[body.index('typename == "nf4"'):]
    numbers = re.search(r"data = \[(.*?)\]", table, re.S).group(1)
    numbers = re.sub(r"#.*", "", numbers)
    return [float(text) for text in numbers.split(",") if text.strip()]


def quantized(weight, group_size):
    rows, columns = weight.shape
    packed = np.zeros(rows * columns // 2, np.uint8)
    absmax = np.zeros(rows * columns // group_size, np.float32)
    _pybind_state.quantize_matmul_bnb4(packed, np.ascontiguousarray(weight), absmax, group_size, NF4, rows, columns)
    codes = np.stack([packed >> 4, packed & 15], axis=1).reshape(rows, columns)
    return codes, absmax.reshape(rows, columns // group_size)


def main():
    levels = bitsandbytes_levels(sys.argv[1])
    rng = np.random.default_rng(SEED)
    cases = []
    for group_size, draw in [(32, rng.standard_normal), (64, lambda size: rng.standard_t(3, size))]:
        weight = (0.05 * draw((5, 128))).astype(np.float32)
        codes, absmax = quantized(weight, group_size)
        cases.append({"group_size": group_size,
                      "weight": [[float(w) for w in row] for row in weight],
                      "codes": codes.tolist(),
                      "absmax": [[float(a) for a in row] for row in absmax]})
    json.dump({"about": f"make_goldens.py; levels bitsandbytes 0.43.3, codes onnxruntime {onnxruntime.__version__}, "
                        f"numpy {np.__version__}, seed {SEED}",
               "levels": levels, "cases": cases}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
