#!/usr/bin/env python3
"""Writes published.json: what published laws predict from the coefficients that their papers print.

    python3 make_published.py published.json

Each formula is written here once more, by hand from the paper's notation, not from the law file. `printed` are numbers that a paper prints
and that follow from its coefficients. Formula against formula is asked to 1e-12 relative; printed numbers to the digits printed.
"""
import json
import math
import sys


def experts(e, start, limit):
    return 1 / (1 / (e - 1 + 1 / (1 / start - 1 / limit)) + 1 / limit)


def repeated(n, d, u):
    """Muennighoff et al.: parameters and tokens that count, of what the unique tokens can use."""
    a, b, alpha, rd, rn = 520.82495, 1487.7161, .3526596, 15.387756, 5.309743
    ud = min(u, d)
    un = min(n, ud * (a / b)**(1 / alpha))
    n_counts = un + un * rn * (1 - math.exp(-(n / un - 1) / rn))
    d_counts = ud + ud * rd * (1 - math.exp(-(d / ud - 1) / rd))
    return 1.8691437 + a / n_counts**alpha + b / d_counts**alpha


def vocabulary(n_nv, v, d, h):
    """Tao et al., with the units of their script: millions, thousands, billions."""
    thousands = v / 1000
    tokens = h / 1e9 * (.00639222 * math.log(thousands)**2 - .15811069 * math.log(thousands) + 1.20470122)
    return (-5.5327846803 + 1.831385156 / (n_nv / 1e6)**.4466063415 + .195842384 / (thousands * d / 1000)**.670737468
            + 2.1241123120 / tokens**.4466063415)


def cases():
    for u in (1e8, 4e9, 1e11):
        for n, d in ((1.4e8, 1e9), (2.8e9, 5.5e10), (8.7e9, 1.8e11)):
            yield "data_constrained", {}, {"N": n, "D": d, "U": u}, repeated(n, d, u), "2305.16264"
    for n_nv, v, d, h in ((3.3e7, 4096, 512, 1.8e8), (1.1e9, 32768, 2048, 4e10), (3e9, 96256, 3200, 5e11)):
        yield "vocabulary", {}, {"N_nv": n_nv, "V": v, "d": d, "H": h}, vocabulary(n_nv, v, d, h), "2407.13623"
    for n, d in ((1e8, 1e9), (7e10, 1.4e12), (2.8e11, 3e11)):
        yield "chinchilla", {}, {"N": n, "D": d}, 1.8172 + 482.01 / n**.3478 + 2085.43 / d**.3658, "2404.10102"
        hoffmann = {"E": 1.69, "A": 406.4, "alpha": .34, "B": 410.7, "beta": .28}
        yield "chinchilla", hoffmann, {"N": n, "D": d}, 1.69 + 406.4 / n**.34 + 410.7 / d**.28, "2203.15556"
        of_tex = {"E": 1.69337, "A": 406.4014, "alpha": .33917084, "B": 410.7222, "beta": .2849083}
        yield ("chinchilla", of_tex, {"N": n, "D": d}, 1.69337 + 406.4014 / n**.33917084 + 410.7222 / d**.2849083,
               "2203.15556 source of the text")
        base = {"E": 1.9279, "A": 237.7042, "alpha": .3022, "B": 596.249, "beta": .3022}
        yield ("chinchilla", base, {"N": n, "D": d}, 1.9279 + 237.7042 * n**-.3022 + 596.249 * d**-.3022,
               "2505.14302 without quantization")
        for p in (3, 4, 8):
            yield ("precision_post_training", {}, {"N": n, "D": d, "P": p},
                   .0598 * d**.5068 / n**.3439 * math.exp(-p / .5907) * math.exp(1.1277), "2411.04330 Table K")
            effective = n * (1 - math.exp(-p / 2.6745 + .3037)) * (1 - math.exp(-8 / 2.2102 + 1.4072)) * (1 - math.exp(-8 / .9578 + 2.4185))
            yield ("precision_effective_parameters", {}, {"N": n, "D": d, "P_w": p, "P_a": 8, "P_kv": 8},
                   4299 * effective**-.4965 + 18060 * d**-.4965 + 2.7648, "2411.04330 Table K")
            effective = (n * (1 - math.exp(-p / 2.8111 + .124)) * (1 - math.exp(-8 / 2.2102 + 1.4072))
                         * (1 - math.exp(-8 / .9578 + 2.4185)))
            yield ("precision_effective_parameters", {"gamma_w": 2.8111, "n_w": .124},
                   {"N": n, "D": d, "P_w": p, "P_a": 8, "P_kv": 8},
                   4299 * effective**-.4965 + 18060 * d**-.4965 + 2.7648, "2411.04330 float weights")
            yield "qid", {}, {"N": n, "D": d, "P": p}, .017 * d**.5251 / n**.2261 / p**5.4967, "2411.17691 joint fit"
        for g in (32, 256):
            for k, gn, gd, gg in ((.1582, .2186, .0745, .7779), (.2522, .3589, .1610, .3533), (.1004, .1816, .0331, .9812),
                                  (.3519, .2637, .0964, .3407), (.1273, .2347, .0827, .4491)):
                yield ("qat_group", {"k": k, "gamma_N": gn, "gamma_D": gd, "gamma_G": gg}, {"N": n, "D": d, "G": g},
                       k * d**gd * math.log(g, 2)**gg * n**-gn, "2505.14302")
        yield ("float_format", {}, {"N": n, "D": d, "e_bits": 4, "m_bits": 3, "block": 128},
               69.2343 * n**-.2368 + 68973.0621 * d**-.5162 + 1.9061
               + d**.5162 / n**.2368 * 7 / (11334.5197 * 4.5**3.1926 * 3.5**2.9543), "2501.02423")
        for e in (1, 8, 32):
            eh = experts(e, 2.0732, 290.4521)
            yield ("moe_joint", {}, {"N_active": n, "D": d, "E": e},
                   35.91 * eh**-.2285 * n**(-.1889 + .0098 * math.log(eh)) + 35.98 * eh**.5529 * d**(-.1775 - .0259 * math.log(eh)) + 1.3637,
                   "2502.05172")
            for name, a, b, c, dd, start, limit in (("S-BASE", -.082, -.108, .009, 1.104, 1.847, 314.478),
                                                    ("RL-R", -.083, -.126, .012, 1.111, 1.88, 469.982),
                                                    ("HASH", -.087, -.136, .012, 1.157, 4.175, 477.741)):
                eh = experts(e, start, limit)
                yield ("moe_routed", {"a": a, "b": b, "c": c, "d": dd, "E_start": start, "E_max": limit}, {"N": n, "E": e},
                       a * math.log10(n) + b * math.log10(eh) + c * math.log10(n) * math.log10(eh) + dd, "2202.01169 " + name)
        for g in (1, 16):
            yield ("moe_granularity", {}, {"N": n, "D": d, "granularity": g},
                   .47 + (2.1 * g**-.58 + 18.1) * n**-.115 + 30.8 * d**-.147, "2402.07871")
        dense = {"g": 0, "a": 16.3, "alpha": .126, "b": 26.7, "beta": .127, "c": .47}
        yield ("moe_granularity", dense, {"N": n, "D": d, "granularity": 1}, .47 + 16.3 / n**.126 + 26.7 / d**.127,
               "2402.07871 dense")
        yield ("moe_sparsity", {}, {"N": n, "D": d, "S": .9},
               16612.5 / n**.5962 + 5455.67 / d**.3954 + .4598 / .1**-.1666 + 17.26 / (.1**.1603 * n**.1595) + .94, "2501.12370")
    for alpha in (.22, 2.42, .73):
        yield "compression_multiplier", {"P0": 1.05, "alpha": alpha}, {"score_dense": .6, "r": .3}, .6 * 1.05 * .7**alpha, "2504.04342v2"
    for tokens, bits in ((4e10, 4), (1e12, 2)):
        s = tokens / (4e8 * bits / 8)
        yield ("qat_fraction", {}, {"D": tokens, "parameters_total": 4e8, "B": bits},
               math.exp(math.log(s) - 6.7297 / math.log(s)) / s, "2509.22935")


def main():
    golden = {"provenance": {"generator": "tests/parity/fit/make_published.py", "date": "2026-11-29",
                             "what": "published laws at their printed coefficients; tolerance 1e-12 relative",
                             "python": sys.version.split()[0]},
              "cases": [{"law": law, "theta": theta, "x": x, "expected": value, "source": source}
                        for law, theta, x, value, source in cases()],
              # Table 4 of 2502.05172: for E experts the law is m N^mu + n D^nu + c.
              "printed": {"moe_joint_table4": {"1": [30.364, -.1817, 53.9838, -.1965], "2": [27.7982, -.178, 66.8401, -.2065],
                                               "4": [24.8462, -.1731, 87.7022, -.2192], "8": [21.833, -.1676, 119.9126, -.2338],
                                               "16": [19.0159, -.1617, 167.5073, -.2494], "32": [16.5424, -.1557, 234.6726, -.2652]}}}
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(golden, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
