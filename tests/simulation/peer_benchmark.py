#!/usr/bin/env python3
"""Times bitlaw's refits beside NumPy, SciPy and statsmodels on the same rows in one run: processor seconds, one thread each.

    cmake --build build/release --target fit_simulation
    python3 tests/simulation/peer_benchmark.py build/release/bin/fit_simulation

Needs numpy, scipy and statsmodels. Rows: four strata of 293 configurations that fit_simulation makes (its own seed). A refit is a resample of the
rows and the four-factor law fitted to it, as a user's script would: the libraries start at the solution on all rows. bitlaw's time has the
293 jackknife refits of BCa in each stratum too, and is divided by all of them.
"""
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import scipy
import scipy.linalg
import statsmodels
import statsmodels.api as sm
from scipy.optimize import curve_fit, least_squares


def law(x, a, alpha, beta, gamma, delta):
    return a * x[0]**alpha * np.log2(x[1])**beta * np.log2(x[2])**gamma * x[3]**delta


def jacobian(x, a, alpha, beta, gamma, delta):
    power = x[0]**alpha * np.log2(x[1])**beta * np.log2(x[2])**gamma * x[3]**delta
    return np.stack([power] + [a * power * np.log(column) for column in (x[0], np.log2(x[1]), np.log2(x[2]), x[3])], 1)


def read(path):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    x = np.array([[float(row[name]) for row in rows] for name in ("N", "B", "Cb", "G")])
    return x, -np.log([float(row["acc_adj"]) for row in rows])


def peers(x, y):
    """Name, how often it is timed, and a refit of the rows with these indices."""
    design = np.stack([np.ones(len(y)), np.log(x[0]), np.log(np.log2(x[1])), np.log(np.log2(x[2])), np.log(x[3])], 1)
    target = np.log(y)
    start = np.linalg.lstsq(design, target, rcond=None)[0]
    start[0] = np.exp(start[0])
    best, _ = curve_fit(law, x, y, p0=start, maxfev=5000)
    lower = ([0, -np.inf, -np.inf, -np.inf, -np.inf], np.inf)
    return [
        ("ols", "statsmodels OLS(...).fit().params", 500, lambda i: sm.OLS(target[i], design[i]).fit().params),
        ("ols", "scipy.linalg.lstsq", 1000, lambda i: scipy.linalg.lstsq(design[i], target[i])),
        ("ols", "numpy.linalg.lstsq", 1000, lambda i: np.linalg.lstsq(design[i], target[i], rcond=None)),
        ("least_squares", "curve_fit, numeric Jacobian", 150, lambda i: curve_fit(law, x[:, i], y[i], p0=best, maxfev=5000)),
        ("least_squares", "curve_fit, exact Jacobian", 150, lambda i: curve_fit(law, x[:, i], y[i], p0=best, jac=jacobian, maxfev=5000)),
        ("least_squares", "least_squares, numeric Jacobian", 50,
         lambda i: least_squares(lambda p: law(x[:, i], *p) - y[i], best, x_scale="jac")),
        ("least_squares", "curve_fit with bounds, numeric Jacobian", 50,
         lambda i: curve_fit(law, x[:, i], y[i], p0=best, bounds=lower, max_nfev=5000)),
    ]


def batched(x, y, replicates, rng):
    """All refits at once by normal equations, which is what NumPy can do for OLS: seconds a refit."""
    design = np.stack([np.ones(len(y)), np.log(x[0]), np.log(np.log2(x[1])), np.log(np.log2(x[2])), np.log(x[3])], 1)
    design /= np.linalg.norm(design, axis=0)
    target, begin = np.log(y), time.process_time()
    times = np.stack([np.bincount(rng.integers(0, len(y), len(y)), minlength=len(y)) for _ in range(replicates)]).astype(float)
    products = (design[:, :, None] * design[:, None, :]).reshape(len(y), -1)
    gram = (times @ products).reshape(replicates, 5, 5)
    np.linalg.solve(gram, (times @ (design * target[:, None]))[:, :, None])
    return (time.process_time() - begin) / replicates


def main():
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        output = subprocess.run([sys.argv[1], "speed", folder], check=True, capture_output=True, text=True).stdout
        ours = {}
        for line in output.splitlines():
            method, *pairs = line.split()
            values = dict(pair.split("=") for pair in pairs)
            if values["threads"] == "1":
                ours[method] = float(values["processor_s"]) / int(values["refits"])
        strata = [read(os.path.join(folder, f"stratum{i}.csv")) for i in range(4)]
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, statsmodels {statsmodels.__version__}")
    for method, seconds in ours.items():
        print(f"bitlaw {method}: {1e6 * seconds:.2f} us a refit")
    spent = {}
    for x, y in strata:
        for method, name, count, refit in peers(x, y):
            refit(rng.integers(0, len(y), len(y)))
            begin = time.process_time()
            for _ in range(count):
                refit(rng.integers(0, len(y), len(y)))
            spent.setdefault((method, name), []).append((time.process_time() - begin) / count)
        spent.setdefault(("ols", "numpy, all resamples in one matrix product"), []).append(batched(x, y, 2000, rng))
    for (method, name), seconds in spent.items():
        mean = sum(seconds) / len(seconds)
        print(f"{name}: {1e6 * mean:.1f} us a refit, {mean / ours[method]:.1f} times bitlaw's {method}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
