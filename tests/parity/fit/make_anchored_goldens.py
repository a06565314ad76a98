#!/usr/bin/env python3
"""Writes anchored.json: what SciPy gives for two laws that are anchored on the unquantized accuracy.

    python3 make_anchored_goldens.py FOLDER

As nonlinear.json of make_goldens.py, whose functions it uses; the normal distribution is scipy.special.ndtr and ndtri.
"""
import sys

import numpy as np
from scipy.special import ndtr, ndtri

import make_goldens

NOISE = "exp(c) * N^a * (2^B - 1)^-k * log2(Cb)^g * G^d"


def problems(rng):
    grid = [(0.35 + 0.1 * m, 1e8 * 4.0**m, b, cb, g) for m in range(6) for b in (2, 3, 4, 8) for cb in (8, 128)
            for g in (32, 128)]
    x = np.array(grid, dtype=float)
    noise = lambda t: (np.exp(t[0]) * x[:, 1] ** t[1] * (2 ** x[:, 2] - 1) ** -t[2] * np.log2(x[:, 3]) ** t[3]
                       * x[:, 4] ** t[4])
    logistic = lambda t, x: x[:, 0] / (1 + noise(t))
    probit = lambda t, x: ndtr((ndtri(x[:, 0]) + t[5]) / np.sqrt(1 + noise(t)) - t[5])
    truth = np.array([12.5, -0.6, 2.4, -0.6, 0.5])
    columns = ["baseline_acc_adj", "N", "B", "Cb", "G"]
    yield ("anchored_logistic", "baseline_acc_adj / (1 + " + NOISE + ")", ["c", "a", "k", "g", "d"], columns, x,
           logistic(truth, x) + 0.01 * rng.normal(size=len(x)), logistic, truth,
           ([-40, -3, 0, -5, -3], [40, 3, 10, 5, 3]))
    with_threshold = np.append(truth, 1.8)
    yield ("anchored_probit", "normal_cdf((probit(baseline_acc_adj) + s) / sqrt(1 + " + NOISE + ") - s)",
           ["c", "a", "k", "g", "d", "s"], columns, x, probit(with_threshold, x) + 0.01 * rng.normal(size=len(x)), probit,
           with_threshold, ([-40, -3, 0, -5, -3, 0], [40, 3, 10, 5, 3, 20]))


def main():
    make_goldens.DATE = "2026-11-28"
    rng = np.random.default_rng(make_goldens.SEED)
    make_goldens.write(sys.argv[1] + "/anchored.json", "scipy least_squares; tolerance 1e-6 relative",
                       [make_goldens.nonlinear_golden(*p) for p in problems(rng)],
                       "tests/parity/fit/make_anchored_goldens.py")


if __name__ == "__main__":
    main()
