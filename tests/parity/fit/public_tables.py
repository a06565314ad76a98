#!/usr/bin/env python3
"""Makes the table of Muennighoff et al. (2305.16264) that published_test.cc reads when BITLAW_DATA_CONSTRAINED_CSV names it.

    git clone https://github.com/huggingface/datablations
    python3 public_tables.py datablations/utils/parametric_fit.ipynb runs.csv

The notebook (Apache-2.0) keeps its 182 runs as a map from names such as 2b855b11b (parameters, tokens, unique tokens) to losses. Nothing of it
is kept in this repository. The other public tables are CSV files already: data/svg_extracted_data.csv of epoch-research/analyzing-chinchilla
(BITLAW_CHINCHILLA_CSV) and exp_data.csv of sail-sg/scaling-with-vocab (BITLAW_VOCABULARY_CSV).
"""
import ast
import csv
import json
import sys


def maps_of(notebook):
    """The dictionaries of the cell that has all three of them and 182 runs, as many as the paper fits; others have more or fewer."""
    wanted = ("NAMES_TO_VAL_LOSSES", "TOKENS_MAP", "PARAMS_MAP")
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or not all(name + " = {" in source for name in wanted):
            continue
        source = "\n".join(line for line in source.split("\n") if not line.startswith(("!", "%")))
        found = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(source).body
                 if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in wanted}
        if len(runs_of(found)) == 182:
            return found
    raise SystemExit("no cell of this notebook has 182 runs and " + ", ".join(wanted))


def runs_of(maps):
    return [(name, loss) for name, loss in maps["NAMES_TO_VAL_LOSSES"].items() if loss != 0 and not name.endswith("dedup")]


def numbers_of(name, tokens, params):
    """Parameters, tokens, unique tokens: a name is a key of `params`, then two counts in billions with b for the point."""
    def billions(text):
        return 1e9 * (tokens[text] if text in tokens else float(text.replace("b", ".").strip(".")))

    start = next(i for i in range(2, len(name)) if name[:i] in params)
    unique = name[-4:] if name[-1] in "bm" or name[-2] not in "bm" else name[-3:]
    while unique.count("b") > 1 or unique.count("m") > 1:
        unique = unique[1:]
    return params[name[:start]], billions(name[start:-len(unique)]), billions(unique)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        maps = maps_of(json.load(file))
    with open(sys.argv[2], "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("N", "D", "U", "loss"))
        for name, loss in runs_of(maps):
            table.writerow([repr(float(x)) for x in (*numbers_of(name, maps["TOKENS_MAP"], maps["PARAMS_MAP"]), loss)])


if __name__ == "__main__":
    main()
