#!/usr/bin/env python3
"""Times bitlaw's refits beside NumPy, SciPy and statsmodels on the same rows and the same resamples, in one run.

    cmake --build build/release --target fit_simulation
    python3 tests/simulation/peer_benchmark.py build/release/bin/fit_simulation

Needs numpy, scipy and statsmodels. Rows: four strata of 293 configurations that fit_simulation makes (its own seed). A
refit takes a resample's rows and fits the four-factor law to them as a user's script would; iterative ones start at the
solution on all rows and stop at their own default tolerance, 1e-8. The libraries are given the drawn row numbers;
bitlaw's time has the drawing, the 293 jackknife refits of BCa and the intervals in it, over 2,000 refits a stratum.

One thread: processor time of one core. Two: wall time, bitlaw with two threads, the libraries in two processes. Each
figure is the least of several rounds.
"""
import csv
import multiprocessing
import os
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

ROUNDS = 3


def law(x, a, alpha, beta, gamma, delta):
    return a * x[0]**alpha * np.log2(x[1])**beta * np.log2(x[2])**gamma * x[3]**delta


def jacobian(x, a, alpha, beta, gamma, delta):
    power = x[0]**alpha * np.log2(x[1])**beta * np.log2(x[2])**gamma * x[3]**delta
    return np.stack([power] + [a * power * np.log(column) for column in (x[0], np.log2(x[1]), np.log2(x[2]), x[3])], 1)


def read(folder, stratum):
    with open(os.path.join(folder, f"{stratum}_rows.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    x = np.array([[float(row[name]) for row in rows] for name in ("N", "B", "Cb", "G")])
    load = lambda name, kind: np.loadtxt(os.path.join(folder, f"{stratum}_{name}.csv"), delimiter=",", dtype=kind)
    fitted = {name: load(name, float) for name in ("ols", "least_squares")}
    return x, -np.log([float(row["acc_adj"]) for row in rows]), load("resamples", int), fitted


def design_of(x):
    return np.stack([np.ones(x.shape[1]), np.log(x[0]), np.log(np.log2(x[1])), np.log(np.log2(x[2])), np.log(x[3])], 1)


def peers(x, y):
    """Method, name, how many resamples a round, and a refit of the rows with these numbers."""
    design, target = design_of(x), np.log(y)
    start = np.linalg.lstsq(design, target, rcond=None)[0]
    start[0] = np.exp(start[0])
    best, _ = curve_fit(law, x, y, p0=start, maxfev=5000)
    bounds = ([0, -np.inf, -np.inf, -np.inf, -np.inf], np.inf)

    def amplitude(theta):
        return np.concatenate([[np.exp(theta[0])], theta[1:]])

    return [
        ("ols", "statsmodels OLS(...).fit().params", 400,
         lambda i: amplitude(sm.OLS(target[i], design[i]).fit().params)),
        ("ols", "scipy.linalg.lstsq", 400, lambda i: amplitude(scipy.linalg.lstsq(design[i], target[i])[0])),
        ("ols", "numpy.linalg.lstsq", 400, lambda i: amplitude(np.linalg.lstsq(design[i], target[i], rcond=None)[0])),
        ("least_squares", "scipy least_squares, numeric Jacobian, x_scale='jac'", 40,
         lambda i: least_squares(lambda p: law(x[:, i], *p) - y[i], best, x_scale="jac").x),
        ("least_squares", "curve_fit with bounds, numeric Jacobian", 40,
         lambda i: curve_fit(law, x[:, i], y[i], p0=best, bounds=bounds, max_nfev=5000)[0]),
        ("least_squares", "curve_fit, numeric Jacobian", 150,
         lambda i: curve_fit(law, x[:, i], y[i], p0=best, maxfev=5000)[0]),
        ("least_squares", "curve_fit, exact Jacobian", 150,
         lambda i: curve_fit(law, x[:, i], y[i], p0=best, jac=jacobian, maxfev=5000)[0]),
    ]


def batched(x, y, resamples):
    """All refits at once by normal equations, which is what NumPy can do for OLS."""
    design = design_of(x)
    design /= np.linalg.norm(design, axis=0)
    target, n = np.log(y), len(y)
    times = np.stack([np.bincount(rows, minlength=n) for rows in resamples]).astype(float)
    products = (design[:, :, None] * design[:, None, :]).reshape(n, -1)
    gram = (times @ products).reshape(len(resamples), 5, 5)
    return np.linalg.solve(gram, (times @ (design * target[:, None]))[:, :, None])


def refit_all(job):
    """Wall time of one process's share, for two of them side by side."""
    stratum, which, barrier_at = job
    x, y, resamples, _ = STRATA[stratum]
    _, _, count, refit = peers(x, y)[which]
    time.sleep(max(0, barrier_at - time.monotonic()))
    begin = time.monotonic()
    for rows in resamples[:count]:
        refit(rows)
    return (time.monotonic() - begin) / count


def main():
    global STRATA
    with tempfile.TemporaryDirectory() as folder:
        output = subprocess.run([sys.argv[1], "speed", folder], check=True, capture_output=True, text=True).stdout
        STRATA = [read(folder, stratum) for stratum in range(4)]
    ours = {}
    for line in output.splitlines():
        method, *pairs = line.split()
        values = dict(pair.split("=") for pair in pairs)
        key = "processor_s" if values["threads"] == "1" else "wall_s"
        ours[method, int(values["threads"])] = float(values[key]) / int(values["refits"])
    print(f"numpy {np.__version__}, scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, "
          f"load average {os.getloadavg()[0]:.1f}")
    for (method, threads), seconds in ours.items():
        print(f"bitlaw {method}, {threads} thread(s): {1e6 * seconds:.2f} us a refit")

    spent, differences = {}, {}
    for x, y, resamples, fitted in STRATA:
        for method, name, count, refit in peers(x, y):
            least = np.inf
            for _ in range(ROUNDS):
                begin = time.process_time()
                found = [refit(rows) for rows in resamples[:count]]
                least = min(least, (time.process_time() - begin) / count)
            spent.setdefault((method, name), []).append(least)
            off = np.max(np.abs(np.array(found) / fitted[method][:count] - 1), axis=1)
            differences.setdefault((method, name), []).extend(off)
        least = np.inf
        for _ in range(ROUNDS):
            begin = time.process_time()
            batched(x, y, resamples)
            least = min(least, (time.process_time() - begin) / len(resamples))
        spent.setdefault(("ols", "numpy, all resamples in one matrix product"), []).append(least)
    two = {}
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for which, (method, name, _, _) in enumerate(peers(*STRATA[0][:2])):
            rounds = []
            for _ in range(ROUNDS):
                jobs = [(stratum, which, time.monotonic() + 0.05) for stratum in (0, 1)]
                rounds.append(max(pool.map(refit_all, jobs, chunksize=1)) / 2)
            two[method, name] = min(rounds)
    print("us a refit, times bitlaw's; the same of two processes beside two threads; median difference of parameters")
    for (method, name), seconds in spent.items():
        mean = sum(seconds) / len(seconds)
        text = f"{method:14} {name}: {1e6 * mean:.1f} us, {mean / ours[method, 1]:.1f} times"
        if (method, name) in two:
            wall, off = two[method, name], np.array(differences[method, name])
            text += (f"; {1e6 * wall:.1f} us, {wall / ours[method, 2]:.1f} times; "
                     f"{np.median(off):.1e} (largest {off.max():.1e})")
        print(text)


if __name__ == "__main__":
    main()
