#!/usr/bin/env python3
"""Writes cluster.json: cluster-robust covariances, degrees of freedom and tests of (weighted) least squares.

    python3 make_cluster_goldens.py cluster.json

cr1   statsmodels, cov_type="cluster" with its small-sample factor. Asked for: 1e-8 relative.
cr2   the formulas of Bell and McCaffrey (2002), Imbens and Kolesar (2016) and Pustejovsky and Tipton (2018), written out with
      the whole n x n matrices: A_u by an eigendecomposition of I - H_uu, degrees of freedom and the HTZ test from the covariances
      of the units' parts one by one. Asked for: 1e-8 relative.
Designs: balanced and unbalanced units, a regressor that is constant within units (model size), weights, and an intercept for each
unit, whose leverage is 1 (no error there, but one for what varies within).
"""
import json
import sys

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import stats

SEED = 20261127


def inverse_root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag([v ** -0.5 if v > 1e-9 else 0.0 for v in values]) @ vectors.T


def cr2(x, y, units, weights, hypotheses):
    root = np.sqrt(weights)
    x, y = x * root[:, None], y * root
    n, k = x.shape
    m = np.linalg.inv(x.T @ x)
    beta = m @ x.T @ y
    residuals = y - x @ beta
    annihilator = np.eye(n) - x @ m @ x.T
    parts = []  # [k, n] each: what the unit adds to the estimate as a function of the errors of all rows.
    for u in np.unique(units):
        rows = np.flatnonzero(units == u)
        a = inverse_root(np.eye(len(rows)) - x[rows] @ m @ x[rows].T)
        parts.append(m @ x[rows].T @ a @ annihilator[rows])
    covariance = sum(np.outer(p @ y, p @ y) for p in parts)
    df = []
    for j in range(k):
        t = np.array([[p[j] @ q[j] for q in parts] for p in parts])
        whole = np.trace(t) > 0.99 * m[j, j]
        df.append(np.trace(t) ** 2 / np.sum(t * t) if whole else None)
    tests = []
    for columns in hypotheses:
        c = np.eye(k)[columns]
        omega = inverse_root(c @ m @ c.T)
        moved = [omega @ c @ p for p in parts]  # [q, n]
        q = len(columns)
        total = 0.0
        for p in moved:
            for r in moved:
                t = p @ r.T
                for s in range(q):
                    for v in range(q):
                        total += t[s, s] * t[v, v] + t[s, v] * t[v, s]
        eta = q * (q + 1) / total
        b = c @ beta
        wald = b @ np.linalg.solve(c @ covariance @ c.T, b)
        f, df2 = (eta - q + 1) / (eta * q) * wald, eta - q + 1
        tests.append({"columns": columns, "f": f, "df2": df2, "p": stats.f.sf(f, q, df2)})
    return beta, covariance, df, tests


def problem(name, x, y, units, weights=None, hypotheses=()):
    w = np.ones(len(y)) if weights is None else weights
    fit = sm.WLS(y, x, weights=w).fit(cov_type="cluster", cov_kwds={"groups": units})
    beta, covariance, df, tests = cr2(x, y, units, w, hypotheses)
    errors = [float(np.sqrt(covariance[j, j])) if df[j] is not None else None for j in range(x.shape[1])]
    return {"name": name, "x": x.tolist(), "y": y.tolist(), "units": units.tolist(),
            "weights": [] if weights is None else w.tolist(), "coefficients": beta.tolist(),
            "cr1": np.asarray(fit.cov_params()).ravel().tolist(), "cr2_errors": errors, "df": df, "tests": tests}


def main():
    rng = np.random.default_rng(SEED)
    problems = []
    sizes = np.log(np.array([1.35e8, 3.6e8, 1e9, 1.7e9, 3e9, 7e9, 8e9, 1.3e10]))
    rows = [(1, sizes[i], np.log(np.log2(b)), np.log(g), i) for i in range(8) for b in (3, 4, 8) for g in (32, 64, 128)]
    a = np.array(rows)
    level = 0.1 * rng.normal(size=8)
    y = 4 - 0.25 * a[:, 1] - a[:, 2] + 0.07 * a[:, 3] + level[a[:, 4].astype(int)] + 0.05 * rng.normal(size=len(a))
    problems.append(problem("eight models", a[:, :4], y, a[:, 4].astype(int), None, [[3], [2, 3], [1, 2, 3]]))
    keep = np.sort(rng.choice(len(a), 41, replace=False))
    problems.append(problem("unbalanced", a[keep, :4], y[keep], a[keep, 4].astype(int), None, [[1], [2, 3]]))
    w = rng.uniform(0.2, 5, size=len(a))
    problems.append(problem("weighted", a[:, :4], y, a[:, 4].astype(int), w, [[2, 3]]))
    dummies = np.column_stack([(a[:, 4] == i).astype(float) for i in range(8)] + [a[:, 2], a[:, 3]])
    problems.append(problem("own intercepts", dummies, y, a[:, 4].astype(int), None, [[8], [8, 9]]))
    singles = np.arange(len(a))
    problems.append(problem("every row a unit (HC2)", a[:, :4], y, singles, None, [[1, 2]]))
    few = a[:, 4] < 4
    problems.append(problem("four models", a[few, :4], y[few], a[few, 4].astype(int), None, [[2, 3]]))
    golden = {"provenance": f"make_cluster_goldens.py, seed {SEED}, statsmodels {statsmodels.__version__}, "
                            f"numpy {np.__version__}, scipy {scipy.__version__}", "problems": problems}
    with open(sys.argv[1], "w") as file:
        json.dump(golden, file)
        file.write("\n")


main()
