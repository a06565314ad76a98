#!/bin/sh
# train.sh FOLDER [RUNG...]: trains the rungs named, or all of them, each to its end or from its last checkpoint on, and
# puts the finished ones with their logs, digests and a table of accuracies into examples/knowledge-lab/models.
# One core; start it twice with different rungs for two.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
program=$here/../../build/release/bin/bitlaw_lab
folder=$1
shift
[ $# -gt 0 ] || set -- $("$program" list | cut -d' ' -f1)
mkdir -p "$folder" "$here/models"
for rung; do
  "$program" train "$rung" --output "$folder/$rung"
  rm -rf "$here/models/$rung"
  cp -r "$folder/$rung/$rung" "$here/models/$rung"
  cp "$folder/$rung/log.csv" "$here/models/$rung/training.csv"
done
cd "$here/models"
{
  echo "# The ladder"
  echo
  echo "Made by \`bitlaw_lab train <rung>\`; \`training.csv\` of each has its loss curve. Share of 256 items answered exactly at the"
  echo "end of training, by greedy generation:"
  echo
  first=$(ls -d lab-* | head -1)
  names=$(head -1 "$first/training.csv" | cut -d, -f4- | sed 's/,/ | /g')
  echo "| model | tokens | loss | $names |"
  echo "|---|---|---|$(head -1 "$first/training.csv" | cut -d, -f4- | sed 's/[^,]*,*/---|/g')"
  for rung in lab-*; do
    tail -1 "$rung/training.csv" | awk -F, -v OFS=' | ' -v r="$rung" \
      '{line = "| " r " | " $2 " | " sprintf("%.3f", $3); for (i = 4; i <= NF; ++i) line = line " | " sprintf("%.2f", $i); print line " |"}'
  done
  echo
  echo "Digests (SHA-256):"
  echo
  sha256sum lab-*/model.safetensors | sed 's/^/    /'
} > README.md
