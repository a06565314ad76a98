#!/usr/bin/env python3
"""Makes bounds.json: fits with parameters at their bounds, solved by SciPy from many starts.

    python3 make_bounds.py bounds.json

Data are synthetic and in the file, as printed there. The optimum of each problem is the best of 6 starts of L-BFGS-B,
each polished by Nelder-Mead and L-BFGS-B in turn until neither moves it, over logarithms of amplitudes; so `objective`
is good to about 1e-9 relative and `estimate` to 1e-4. `fixed` is the same minimum over the parameters that are free,
with those at a bound written into the formula: both agree to 1e-8 (checked here), which is what a bound means.
"""
import json
import math
import sys

import numpy as np
import scipy
from scipy.optimize import minimize

SEED = 20261127


def huber(r, delta):
    size = np.abs(r)
    return np.where(size <= delta, r * r / 2, delta * (size - delta / 2))


def scale_of(r, delta):
    """The scale that is best for these residuals: sum psi(r / s) r / s = n."""
    low, high = math.log(np.abs(r).max()) - 60, math.log(np.abs(r).max()) + 10
    for _ in range(60):
        middle = (low + high) / 2
        z = np.abs(r) / math.exp(middle)
        low, high = (middle, high) if (np.minimum(z, delta) * z).sum() > len(r) else (low, middle)
    return math.exp((low + high) / 2)


def objective(problem, predict):
    loss, space, delta = problem["loss"], problem["space"], problem["delta"]
    if loss == "binomial":
        k, n = np.array(problem["correct"]), np.array(problem["total"])

        def deviance(theta):
            p = np.clip(np.exp(-predict(theta)), 1e-12, 1 - 1e-12)
            with np.errstate(divide="ignore", invalid="ignore"):
                terms = np.where(k > 0, k * np.log(k / (n * p)), 0) + np.where(n > k, (n - k) * np.log((n - k) / (n * (1 - p))), 0)
            return 2 * terms.sum()
        return deviance
    y = np.array(problem["y"])

    def value(theta):
        f = predict(theta)
        if space == "log" and not (f > 0).all():
            return 1e9
        r = np.log(f) - np.log(y) if space == "log" else f - y
        if loss == "squares":
            return (r * r).sum()
        if loss == "huber":
            return huber(r, delta).sum()
        s = scale_of(r, delta)
        normalizer = math.sqrt(2 * math.pi) * math.erf(delta / math.sqrt(2)) + 2 * math.exp(-delta * delta / 2) / delta
        return huber(r / s, delta).sum() + len(r) * math.log(normalizer * s)
    return value


def best(problem, predict, fixed, start=None):
    """Minimum over the parameters that are not in `fixed`, from `start` or 6 random starts; amplitudes by their logarithm."""
    names = problem["parameters"]
    free = [j for j in range(len(names)) if j not in fixed]
    logs = [problem["bounds"][j] == [0, None] and names[j] not in ("E",) for j in free]
    value = objective(problem, predict)

    def whole(z):
        theta = np.zeros(len(names))
        for j, number in fixed.items():
            theta[j] = number
        for at, j in enumerate(free):
            theta[j] = math.exp(min(z[at], 200)) if logs[at] else z[at]
        return theta

    def f(z):
        with np.errstate(all="ignore"):
            v = value(whole(z))
        return v if np.isfinite(v) else 1e9
    bounds = [(None, None) if logs[at] else tuple(problem["bounds"][j]) for at, j in enumerate(free)]
    rng = np.random.default_rng(SEED)
    found = None
    for _ in range(6 if start is None else 1):
        z = []
        for at, j in enumerate(free):
            low, high = problem["bounds"][j]
            z.append(rng.uniform(*problem["draw"][j]) if logs[at] else
                     rng.uniform(-2 if low is None else low, 2 if high is None else min(high, 2.5)))
        if start is not None:
            z = [math.log(start[j]) if logs[at] else start[j] for at, j in enumerate(free)]
        for _ in range(8 if start is None else 20):
            before = f(z)
            z = minimize(f, z, method="L-BFGS-B", bounds=bounds, options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-12}).x
            z = minimize(f, z, method="Nelder-Mead", bounds=bounds, options={"maxiter": 1500, "fatol": 1e-15, "xatol": 1e-11}).x
            if abs(before - f(z)) <= 1e-12 * abs(f(z)):
                break
        if found is None or f(z) < found[0]:
            found = (f(z), whole(z))
    return found


def solve(problem, predict):
    """With bounds; then those at a bound are held, which must not change the minimum."""
    value, theta = best(problem, predict, {})
    held = {}
    for j, (low, high) in enumerate(problem["bounds"]):
        for bound in (low, high):
            if bound is not None and abs(theta[j] - bound) < 1e-5:
                held[j] = bound
    fixed, theta = best(problem, predict, held, theta)
    assert len(held) == problem["active"], (problem["name"], theta, held)
    assert fixed <= value * (1 + 1e-8 * np.sign(value)) + 1e-12, (problem["name"], fixed, value)
    problem["objective"], problem["estimate"] = fixed, list(theta)
    problem["held"] = [problem["parameters"][j] for j in sorted(held)]
    print(problem["name"], problem["held"], fixed, theta, value / fixed - 1)
    return problem


def loss_rows(rng, noise):
    n, d, y = [], [], []
    for size in (2e8, 4e8, 8e8, 1.3e9, 3e9):
        for ratio in (10, 20, 50, 100, 200):
            n.append(size)
            d.append(size * ratio)
            y.append(float((1.6 + 420 * size ** -0.35 + 1900 * (size * ratio) ** -0.36) * math.exp(noise * rng.standard_t(3))))
    return n, d, y


def main():
    rng = np.random.default_rng(SEED)
    n, d, y = loss_rows(rng, 0.006)
    N, D = np.array(n), np.array(d)
    chinchilla = {"formula": "E + A * N^-alpha + B * D^-beta", "columns": ["N", "D"], "x": [list(row) for row in zip(n, d)], "y": y,
                  "parameters": ["E", "A", "alpha", "B", "beta"], "draw": [None, [2, 10], None, [2, 12], None]}

    def of_loss(t):
        return t[0] + t[1] * N ** -t[2] + t[3] * D ** -t[4]
    problems = []

    def loss_problem(name, loss, space, delta, bounds, active):
        problem = dict(chinchilla, name=name, loss=loss, space=space, delta=delta, bounds=bounds, active=active)
        problems.append(solve(problem, of_loss))
    free = [0, None]
    loss_problem("huber, lower bound", "huber", "log", 1e-3, [[1.85, None], free, [0, 2], free, [0, 2]], 1)
    loss_problem("huber, upper bound", "huber", "log", 1e-3, [free, free, [0, 0.2], free, [0, 2]], 1)
    loss_problem("huber, two bounds", "huber", "log", 1e-3, [[1.85, None], free, [0, 0.2], free, [0, 2]], 2)
    loss_problem("huber of the response", "huber", "response", 1e-2, [[0, 1.2], free, [0, 2], free, [0, 2]], 1)
    loss_problem("huber likelihood", "huber_likelihood", "log", 1.345, [[1.85, None], free, [0, 2], free, [0, 2]], 1)
    loss_problem("huber likelihood, upper bound", "huber_likelihood", "log", 0.7, [free, free, [0, 2], free, [0, 0.25]], 1)
    loss_problem("squares of the logarithm", "squares", "log", 1e-3, [[1.85, None], free, [0, 0.2], free, [0, 2]], 2)
    loss_problem("squares, linear parameters at bounds", "squares", "response", 1e-3, [[1.85, None], free, [0, 2], free, [0, 2]], 1)
    loss_problem("squares, exponent at its bound", "squares", "response", 1e-3, [free, free, [0, 0.2], free, [0, 2]], 1)

    rows, correct, total = [], [], []
    for size in (1.35e8, 5e8, 1.5e9, 7e9):
        for bits in (2, 3, 4, 8):
            for group in (32, 128):
                acc = math.exp(-40 * size ** -0.25 * math.log2(bits) ** -1.1 * group ** 0.06)
                rows.append([size, bits, group])
                total.append(1000.0)
                correct.append(float(rng.binomial(1000, acc)))
    X = np.array(rows)

    def power(t):
        return t[0] * X[:, 0] ** t[1] * np.log2(X[:, 1]) ** t[2] * X[:, 2] ** t[3]
    four = {"formula": "A * N^alpha * log2(B)^beta * G^delta", "columns": ["N", "B", "G"], "x": rows, "y": [], "correct": correct,
            "total": total, "parameters": ["A", "alpha", "beta", "delta"], "draw": [[-2, 8], None, None, None], "loss": "binomial",
            "space": "response", "delta": 1e-3}
    any_ = [None, None]
    problems.append(solve(dict(four, name="binomial, lower bound", bounds=[free, any_, [-0.8, None], any_], active=1), power))
    problems.append(solve(dict(four, name="binomial, upper bound", bounds=[free, any_, any_, [None, 0]], active=1), power))
    problems.append(solve(dict(four, name="binomial, two bounds", bounds=[free, [-0.2, None], [-0.8, None], any_], active=2), power))
    for problem in problems:
        del problem["draw"], problem["active"]
    golden = {"provenance": {"generator": "tests/parity/fit/make_bounds.py", "date": "2026-11-27", "seed": SEED,
                             "scipy": scipy.__version__, "numpy": np.__version__, "python": sys.version.split()[0],
                             "tolerance": "objective 1e-8 relative, parameters 1e-3: what SciPy's best start repeats"},
              "problems": problems}
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
