#!/bin/sh
# choose.sh STUDY SIZE[,STRATUM]...: what `bitlaw recommend` takes at each size of weights, by the mean of the strata or by
# one of them, as a Markdown table. GPTQ and unquantized models.
set -eu
study=$1
shift
file=$(mktemp)
trap 'rm -f "$file"' EXIT

echo "| weights at most | by | choice | bits a weight | KM | KA | KR |"
echo "|---|---|---|---:|---|---|---|"
for limit; do
  size=${limit%,*}
  by=mean
  weight=''
  if [ "$size" != "$limit" ]; then
    by=${limit#*,}
    weight="--weight $by=1"
  fi
  # shellcheck disable=SC2086 # an option and its value
  bitlaw recommend "$study" --max-weights "$size" --need "quantizer == 'gptq' or quantizer == 'none'" $weight --confidence 0.95 \
    --json "$file" > /dev/null
  jq -r --arg size "$size" --arg by "$by" '
    def r: . * 1000 | round / 1000 | tostring | sub("^(?<s>-?)0\\."; "\(.s).");
    .measured[0]
    | def stratum($name): .strata[] | select(.stratum == $name) | "\(.value | r) [\(.low | r), \(.high | r)], keeps \(.kept * 100 | round) %";
      "| \($size) | \($by) | \(.label | sub(" allow_partial_group=[a-z]*"; "")) | \(.bits_effective * 100 | round / 100) | \(stratum("KM")) | \(stratum("KA")) | \(stratum("KR")) |"' "$file"
done
