#!/bin/sh
# checked.sh STUDY SIZE[,STRATUM]...: the first choice of `bitlaw recommend STUDY --max-weights SIZE`, by the mean of the
# strata or by one of them, beside what the law says of it when it is left out, as a Markdown table. In bold what lies
# outside of its interval.
set -eu
study=$1
shift
file=$(mktemp)
trap 'rm -f "$file"' EXIT

echo "| limit | first choice | KM measured, predicted | KA | KR |"
echo "|---|---|---|---|---|"
for limit; do
  size=${limit%,*}
  by=''
  [ "$size" = "$limit" ] || by="--weight ${limit#*,}=1"
  # shellcheck disable=SC2086 # an option and its value
  bitlaw recommend "$study" --max-weights "$size" --need "quantizer == 'gptq'" --check $by --json "$file" > /dev/null
  jq -r --arg limit "$size${by:+, \`$by\`}" '
    def r: . * 1000 | round / 1000 | tostring | sub("^(?<s>-?)0\\."; "\(.s).");
    . as $all
    | def stratum($name): [$all.check[] | select(.stratum == $name)
        | "\(.measured | r), \(.predicted | r) [\(.low | r), \(.high | r)]" as $cell | if .is_inside then $cell else "**\($cell)**" end] | first // "-";
      "| \($limit) | \(.measured[0].label | sub(" allow_partial_group=[a-z]*"; "")) | \(stratum("KM")) | \(stratum("KA")) | \(stratum("KR")) |"' "$file"
done
