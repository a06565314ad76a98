#!/bin/sh
# factors.sh STUDY: what each factor adds to the anchored logistic law: errors on held-out rows (mean absolute ones of
# acc_adj, 95 % intervals) of the law with one factor after the other, as a Markdown table.
set -eu
study=$1
file=$(mktemp)
trap 'rm -f "$file"' EXIT
noise='exp(c) * (2^B - 1)^-kappa'
law() { echo "acc_adj = baseline_acc_adj / (1 + $1)"; }
bitlaw fit "$study" --where "quantizer != 'rtn'" --confidence 0.95 --no-compare --no-nulls --permutations 0 --bootstrap 0 \
  --law "$(law "$noise")" --law "$(law "$noise * N^alpha")" --law "$(law "$noise * N^alpha * G^delta")" \
  --law "$(law "$noise * N^alpha * G^delta * log2(Cb)^gamma")" --json "$file" > /dev/null
jq -r '
  def r(digits): if . == null then "-" else . * pow(10; digits) | round / pow(10; digits) | tostring | sub("^(?<s>-?)0\\."; "\(.s).") end;
  def interval: if .[0] == null then "" else " [\(.[0] | r(3)), \(.[1] | r(3))]" end;
  (.analysis.laws | map(.law) | reduce .[] as $law ([]; if index($law) then . else . + [$law] end)) as $order
  | ["16-bit accuracy and B", "N", "G", "Cb"] as $added
  | "| stratum | factors | parameters | adj. R2 | held-out model | largest of the others | 2 bits |",
    "|---|---|---:|---:|---|---|---|",
    (["KM", "KA", "KR", "general"][] as $stratum
     | range(0; $order | length) as $i
     | (.fits[] | select(.law == $order[$i] and .stratum == $stratum)) as $fit
     | (.analysis.laws[] | select(.law == $order[$i] and .stratum == $stratum)) as $one
     | ($fit.binomial // $fit.least_squares) as $best
     | def held($what): [$one.validation[] | select(.scheme | test($what)) | "\(.accuracy_mae | r(3))\(.accuracy_mae_interval | interval)"] | first // "-";
       "| \($stratum) | \(if $i == 0 then "" else "+ " end)\($added[$i]) | \($best.quality.parameters) | \($best.quality.adjusted_r2 | r(3)) | \($best.held_out_errors.accuracy_mae | r(3)) | \(held("hold out N")) | \(held("hold out B")) |")' "$file"
