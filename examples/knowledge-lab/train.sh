#!/bin/sh
# train.sh FOLDER [RUNG...]: trains the rungs named, or all of them, each to its end or from its last checkpoint on, puts
# the finished ones with their logs into examples/knowledge-lab/models and writes their accuracies and digests beside them.
# One core; start it twice with different rungs for two, then once more with none for the table of all.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../../build/release/bin
folder=$1
shift
[ $# -gt 0 ] || set -- $("$bin/bitlaw_lab" list | cut -d' ' -f1)
mkdir -p "$folder" "$here/models"
for rung; do
  "$bin/bitlaw_lab" train "$rung" --output "$folder/$rung"
  rm -rf "$here/models/$rung"
  cp -r "$folder/$rung/$rung" "$here/models/$rung"
  cp "$folder/$rung/log.csv" "$here/models/$rung/training.csv"
done

cd "$here/models"
tasks="fact paraphrase born recall rule inherit speak decline arith walk hop order swap"
{
  echo "# The ladder"
  echo
  echo "Each made by \`bitlaw_lab train NAME\`: 5,000 steps of 4,096 tokens; \`training.csv\` of each is its loss curve with the"
  echo "trainer's own checks. N: weights outside the embeddings. Loss: of the last step, nats a scored token."
  echo
  echo "Accuracies of the unquantized models by \`bitlaw evaluate\` in float32, 500 items a task, in per cent (the standard error"
  echo "of a task is at most 2.2, of a stratum at most 1.3). KM, KA and KR are means of their tasks; by chance alone 6.3, 6.3 and"
  echo "5.0. Choices are among four in recall, decline and swap; the other tasks generate."
  echo
  echo "| model | N | loss | KM | KA | KR | $(echo $tasks | sed 's/ / | /g') |"
  echo "|---|---|---|---|---|---|$(echo $tasks | sed 's/[a-z]* */---|/g')"
  "$bin/bitlaw_lab" list | while read -r rung weights rest; do
    [ -d "$rung" ] || continue
    loss=$(tail -1 "$rung/training.csv" | cut -d, -f3)
    # shellcheck disable=SC2046 # a list of words
    "$bin/bitlaw" evaluate "$rung" $(for task in $tasks; do echo "--task lab_$task"; done) |
      awk -v head="$rung | $weights | $(printf %.3f "$loss")" '
        $1 ~ /^lab_/ {cells = cells sprintf(" | %.1f", 100 * $4); sum[$2] += $4; count[$2] += 1}
        END {
          printf "| %s", head
          for (i = 1; i <= split("KM KA KR", strata, " "); ++i) printf " | %.1f", 100 * sum[strata[i]] / count[strata[i]]
          print cells " |"
        }'
  done
  echo
  echo "Digests (SHA-256):"
  echo
  sha256sum lab-*/model.safetensors | sed 's/^/    /'
} > README.md
