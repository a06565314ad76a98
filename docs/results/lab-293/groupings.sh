#!/bin/sh
# groupings.sh STUDY: exponents of the four-factor law for other groupings of the tasks than the paper's, as a Markdown table:
# by format (choices or generated text) and by what an answer needs (one lookup, several, a chain that is written).
set -eu
study=$1
file=$(mktemp -d)
trap 'rm -rf "$file"' EXIT
fit() { # NAME "TASK=GROUP ..."
  awk -f docs/results/csv.awk -f docs/results/tidy.awk "$study/observations.csv" | awk -F, -v OFS=, -v groups="$2" '
    BEGIN { count = split(groups, pairs, " "); for (i = 1; i <= count; ++i) { split(pairs[i], pair, "="); group_of["lab_" pair[1]] = pair[2] } }
    NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i }
    NR > 1 { $column["stratum"] = group_of[$column["task"]] }
    { print }' > "$file/table.csv"
  bitlaw fit --data "$file/table.csv" --where "quantizer == 'gptq'" --law stratified_power --map G=G_min --confidence 0.95 --no-compare --no-nulls \
    --permutations 0 --bootstrap 0 --json "$file/fit.json" > /dev/null
  jq -r --arg names "alpha beta gamma delta" -f docs/results/quantities.jq "$file/fit.json" |
    awk -v grouping="$1" -F' [|] ' 'NR > 2 && $2 != "general" { sub(/^[|] `[^|]*[|] /, ""); print "| " grouping " | " $0 }'
}
echo "| grouping | group | rows | parameters | adj. R2 | MAE acc_adj | models left out | N | log2 B | log2 Cb | G |"
echo "|---|---|---:|---:|---:|---:|---|---|---|---|---|"
fit "the paper's" "fact=KM paraphrase=KM born=KM recall=KM rule=KA inherit=KA speak=KA decline=KA arith=KR walk=KR hop=KR order=KR swap=KR"
fit format "fact=generated paraphrase=generated born=generated recall=choice rule=generated inherit=generated speak=generated decline=choice arith=generated walk=generated hop=generated order=generated swap=choice"
fit needs "fact=one_lookup paraphrase=one_lookup born=one_lookup recall=one_lookup rule=one_lookup inherit=two_lookups speak=two_lookups decline=two_lookups arith=written_chain walk=written_chain hop=written_chain order=written_chain swap=written_chain"
