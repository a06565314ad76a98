#!/usr/bin/env python3
"""Writes ols.json and nonlinear.json: what statsmodels and SciPy give for fixed random problems.

    python3 make_goldens.py FOLDER

ols.json: statsmodels OLS (pinv solution, classical standard errors). The problems are random but for two properties that
matter: designs without an intercept, and badly scaled columns. Agreement is asked to 1e-8 relative; both sides use double
precision data, and the worst condition number (columns scaled to unit length) is about 1e3.

nonlinear.json: scipy.optimize.least_squares (trf, bounds, tolerances 1e-15) with covariance s^2 (J^T J)^-1, J by the formula's
own derivatives through complex steps. Agreement is asked to 1e-6 relative for parameters: both minimizers stop where the sum of
squares is flat to rounding, which leaves about 1e-8.
"""
import json
import sys

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy.optimize import least_squares

SEED = 20261122
DATE = "2026-11-22"


def ols_problems(rng):
    for number, (n, k, intercept, scales) in enumerate([
        (12, 2, True, None), (30, 5, True, None), (8, 6, True, None), (25, 4, False, None), (40, 5, True, [1, 1e6, 1e-4, 1e3]),
        (20, 1, True, None), (20, 1, False, None), (60, 8, True, None)]):
        columns = k - 1 if intercept else k
        x = rng.normal(size=(n, columns))
        if scales is not None:
            x = x * np.array(scales)
        if columns >= 2:
            x[:, 1] += 0.9 * x[:, 0] * (scales[1] if scales else 1)  # Correlated, so that VIF is not 1.
        if intercept:
            x = np.column_stack([np.ones(n), x])
        truth = rng.normal(size=k) / np.maximum(np.abs(x).max(axis=0), 1e-12)
        y = x @ truth + 0.3 * rng.normal(size=n)
        yield f"problem {number}", x, y


def ols_golden(name, x, y):
    fit = sm.OLS(y, x).fit()
    number = lambda value: None if np.isnan(value) or np.isinf(value) else float(value)
    return {
        "name": name, "x": x.tolist(), "y": y.tolist(), "has_constant": bool(fit.k_constant),
        "coefficients": fit.params.tolist(), "standard_errors": fit.bse.tolist(), "t": fit.tvalues.tolist(),
        "p": fit.pvalues.tolist(), "f": number(fit.fvalue), "f_p": number(fit.f_pvalue), "r2": number(fit.rsquared),
        "adjusted_r2": number(fit.rsquared_adj), "log_likelihood": fit.llf, "aic": fit.aic, "bic": fit.bic, "ssr": fit.ssr,
        "covariance": fit.cov_params().ravel().tolist(),
    }


def nonlinear_problems(rng):
    grid = [(n, b, c, g) for n in (6e8, 1.7e9, 4e9, 1.4e10) for b in (3, 4, 8) for c in (8, 128) for g in (32, 128)]
    x = np.array(grid, dtype=float)
    four = lambda t, x: t[0] * x[:, 0] ** t[1] * np.log2(x[:, 1]) ** t[2] * np.log2(x[:, 2]) ** t[3] * x[:, 3] ** t[4]
    truth = np.array([1500, -0.36, -1.07, -0.03, 0.07])
    yield ("four_factor", "A * N^alpha * log2(B)^beta * log2(C)^gamma * G^delta", ["A", "alpha", "beta", "gamma", "delta"],
           ["N", "B", "C", "G"], x, four(truth, x) * np.exp(0.05 * rng.normal(size=len(x))), four, truth,
           ([0, -5, -5, -5, -5], [1e9, 5, 5, 5, 5]))
    x2 = np.array([(n, d) for n in (0.1, 0.3, 1, 3, 10) for d in (1, 3, 10, 30, 100)], dtype=float)
    additive = lambda t, x: t[0] + t[1] * x[:, 0] ** -t[2] + t[3] * x[:, 1] ** -t[4]
    truth2 = np.array([1.7, 0.4, 0.35, 0.9, 0.4])
    yield ("chinchilla_form", "E + A * N^-a + B * D^-b", ["E", "A", "a", "B", "b"], ["N", "D"], x2,
           additive(truth2, x2) + 0.002 * rng.normal(size=len(x2)), additive, truth2, ([0, 0, 0, 0, 0], [10, 10, 2, 10, 2]))
    x3 = np.linspace(-4, 6, 25)[:, None]
    logistic = lambda t, x: t[0] + (t[1] - t[0]) / (1 + np.exp(-t[2] * (x[:, 0] - t[3])))
    truth3 = np.array([0.25, 0.85, 1.3, 0.7])
    yield ("sigmoid", "low + (high - low) * sigmoid(k * (s - s0))", ["low", "high", "k", "s0"], ["s"], x3,
           logistic(truth3, x3) + 0.01 * rng.normal(size=len(x3)), logistic, truth3, ([0, 0, 0.01, -4], [1, 1, 20, 6]))


def nonlinear_golden(name, formula, parameters, columns, x, y, f, truth, bounds):
    def jacobian(t):
        steps = []
        for j in range(len(t)):
            shifted = t.astype(complex)
            shifted[j] += 1e-30j
            steps.append(np.imag(f(shifted, x)) / 1e-30)
        return np.column_stack(steps)

    fit = least_squares(lambda t: f(t, x) - y, truth, jac=jacobian, bounds=bounds, x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15,
                        max_nfev=20000)
    # Gauss-Newton steps to the bottom: the trust region stops a little early on flat problems.
    t = fit.x
    for _ in range(50):
        t = t - np.linalg.lstsq(jacobian(t), f(t, x) - y, rcond=None)[0]
    residual = f(t, x) - y
    ssr = float(residual @ residual)
    j = jacobian(t)
    covariance = np.linalg.inv(j.T @ j / np.outer(np.linalg.norm(j, axis=0), np.linalg.norm(j, axis=0)))
    covariance = covariance / np.outer(np.linalg.norm(j, axis=0), np.linalg.norm(j, axis=0)) * ssr / (len(y) - len(t))
    assert ssr <= float(2 * fit.cost) * (1 + 1e-9)
    return {
        "name": name, "formula": formula, "parameters": parameters, "columns": columns, "x": x.tolist(), "y": y.tolist(),
        "bounds": [list(map(float, pair)) for pair in zip(*bounds)], "estimate": t.tolist(),
        "standard_errors": np.sqrt(np.diag(covariance)).tolist(), "ssr": ssr,
        "r2": 1 - ssr / float(((y - y.mean()) ** 2).sum()),
    }


def write(path, what, problems, generator="tests/parity/fit/make_goldens.py"):
    provenance = {"generator": generator, "what": what, "seed": SEED, "date": DATE,
                  "versions": {"python": sys.version.split()[0], "numpy": np.__version__, "scipy": scipy.__version__,
                               "statsmodels": statsmodels.__version__}}
    with open(path, "w", encoding="utf-8") as file:
        file.write('{\n "provenance": ' + json.dumps(provenance) + ',\n "problems": [\n')
        file.write(",\n".join("  " + json.dumps(problem) for problem in problems) + "\n ]\n}\n")


def main():
    rng = np.random.default_rng(SEED)
    write(sys.argv[1] + "/ols.json", "statsmodels OLS; tolerance 1e-8 relative", [ols_golden(*p) for p in ols_problems(rng)])
    write(sys.argv[1] + "/nonlinear.json", "scipy least_squares; tolerance 1e-6 relative",
          [nonlinear_golden(*p) for p in nonlinear_problems(rng)])


if __name__ == "__main__":
    main()
