#!/usr/bin/env python3
"""Writes methods.json: weighted least squares, a binomial likelihood, Huber losses, profile intervals.

    python3 make_method_goldens.py methods.json

wls       statsmodels WLS. Asked for: 1e-8 relative.
binomial  statsmodels GLM with the complementary log-log link on wrong answers: with chance 0, p(wrong) = 1 - exp(-exp(eta)) is the
          four-factor law on counts. Errors scaled by Pearson's X^2 over its degrees of freedom. Asked for: 1e-6 relative (both
          iterate to about 1e-9).
huber     scipy.optimize.least_squares(loss="huber"), residuals of the logarithm, tolerances 1e-15. Asked for: 1e-5 relative.
profile   lmfit.conf_interval (F test on the sum of squares). Asked for: 2e-3 of the interval's width; lmfit interpolates.
"""
import json
import sys

import lmfit
import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy.optimize import least_squares

SEED = 20261123


def wls(rng):
    n, k = 40, 4
    x = np.column_stack([np.ones(n), rng.normal(size=(n, k - 1))])
    w = rng.uniform(0.2, 5, size=n)
    y = x @ np.array([1, -2, 0.5, 0.1]) + rng.normal(size=n) / np.sqrt(w)
    fit = sm.WLS(y, x, weights=w).fit()
    return {"x": x.tolist(), "y": y.tolist(), "weights": w.tolist(), "coefficients": fit.params.tolist(),
            "standard_errors": fit.bse.tolist(), "r2": fit.rsquared, "adjusted_r2": fit.rsquared_adj, "f": fit.fvalue,
            "log_likelihood": fit.llf, "aic": fit.aic, "bic": fit.bic}


def binomial(rng):
    grid = [(n, b, c, g) for n in (6e8, 1.7e9, 4e9, 1.4e10) for b in (3, 4, 8) for c in (8, 128) for g in (32, 128)]
    x = np.array(grid, dtype=float)
    eta = np.log(1500) - 0.36 * np.log(x[:, 0]) - 1.07 * np.log(np.log2(x[:, 1])) - 0.03 * np.log(np.log2(x[:, 2])) \
        + 0.07 * np.log(x[:, 3])
    total = rng.integers(200, 1200, size=len(x)).astype(float)
    correct = rng.binomial(total.astype(int), np.exp(-np.exp(eta + 0.1 * rng.normal(size=len(x))))).astype(float)
    design = np.column_stack([np.ones(len(x)), np.log(x[:, 0]), np.log(np.log2(x[:, 1])), np.log(np.log2(x[:, 2])), np.log(x[:, 3])])
    model = sm.GLM(np.column_stack([total - correct, correct]), design,
                   family=sm.families.Binomial(link=sm.families.links.CLogLog()))
    plain = model.fit(tol=1e-14, maxiter=200)
    wrong = plain.mu  # statsmodels leaves the item counts out of its own scale="X2".
    dispersion = float(np.sum((total - correct - total * wrong) ** 2 / (total * wrong * (1 - wrong))) / (len(x) - 5))
    return {"formula": "A * N^alpha * log2(B)^beta * log2(C)^gamma * G^delta", "columns": ["N", "B", "C", "G"],
            "parameters": ["A", "alpha", "beta", "gamma", "delta"], "x": x.tolist(), "correct": correct.tolist(),
            "total": total.tolist(), "coefficients": plain.params.tolist(),
            "standard_errors": (plain.bse * np.sqrt(dispersion)).tolist(), "dispersion": dispersion, "deviance": float(plain.deviance), "null_deviance": float(plain.null_deviance),
            "log_likelihood": float(plain.llf)}


def huber(rng):
    x = np.array([(n, d) for n in (0.1, 0.3, 1, 3, 10) for d in (1, 3, 10, 30, 100)], dtype=float)
    f = lambda t: t[0] + t[1] * x[:, 0] ** -t[2] + t[3] * x[:, 1] ** -t[4]
    truth = np.array([1.7, 0.4, 0.35, 0.9, 0.4])
    y = f(truth) * np.exp(0.003 * rng.standard_t(2, size=len(x)))
    out = []
    for delta in (1e-2, 1e-3):
        best = None
        for start in (truth, truth * 1.2, truth * 0.8):
            fit = least_squares(lambda t: np.log(f(t)) - np.log(y), start, loss="huber", f_scale=delta, xtol=1e-15, ftol=1e-15,
                                gtol=1e-15, max_nfev=20000, bounds=([0] * 5, [10, 10, 2, 10, 2]))
            if best is None or fit.cost < best.cost:
                best = fit
        out.append({"delta": delta, "estimate": best.x.tolist(), "objective": best.cost})
    return {"formula": "E + A * N^-a + B * D^-b", "columns": ["N", "D"], "parameters": ["E", "A", "a", "B", "b"],
            "bounds": [[0, 10], [0, 10], [0, 2], [0, 10], [0, 2]], "x": x.tolist(), "y": y.tolist(), "fits": out}


def profile(rng):
    x = np.linspace(0.5, 6, 25)
    y = 2.0 * np.exp(-0.7 * x) + 0.5 + 0.05 * rng.normal(size=len(x))
    def residual(p):
        return p["a"] * np.exp(-p["k"] * x) + p["c"] - y
    p = lmfit.Parameters()
    for name, value in (("a", 2.0), ("k", 0.7), ("c", 0.5)):
        p.add(name, value=value)
    mini = lmfit.Minimizer(residual, p)
    result = mini.leastsq(xtol=1e-14, ftol=1e-14)
    intervals = {}
    for level in (0.9, 0.95):
        ci = lmfit.conf_interval(mini, result, sigmas=[level], maxiter=1000)
        intervals[str(level)] = {name: [ci[name][0][1], ci[name][2][1]] for name in ("a", "k", "c")}
    return {"formula": "a * exp(-k * x) + c", "columns": ["x"], "parameters": ["a", "k", "c"], "x": [[v] for v in x], "y": y.tolist(),
            "estimate": [result.params[n].value for n in ("a", "k", "c")],
            "standard_errors": [result.params[n].stderr for n in ("a", "k", "c")], "intervals": intervals}


def main():
    rng = np.random.default_rng(SEED)
    golden = {"provenance": {"generator": "tests/parity/fit/make_method_goldens.py", "seed": SEED, "date": "2026-11-22",
                             "tolerance": "see the generator", "versions": {
                                 "python": sys.version.split()[0], "numpy": np.__version__, "scipy": scipy.__version__,
                                 "statsmodels": statsmodels.__version__, "lmfit": lmfit.__version__}},
              "wls": wls(rng), "binomial": binomial(rng), "huber": huber(rng), "profile": profile(rng)}
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
