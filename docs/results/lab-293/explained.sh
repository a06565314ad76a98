#!/bin/sh
# explained.sh STUDY: what else than its stratum tells how much a task loses? A row is a trial and task; the law knows the
# 16-bit accuracy of the same model on the same task, N, B, Cb and G; what is said of tasks is added as controls. Prints a
# Markdown table. Steps are the mean length of a task's chains, frequency the mean logarithm (to 10) of how often a million
# lines tell what its items need; both 0 where a task has none.
set -eu
study=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

format='is_choice: lab_fact = 0, lab_paraphrase = 0, lab_born = 0, lab_recall = 1, lab_rule = 0, lab_inherit = 0, lab_speak = 0, lab_decline = 1, lab_arith = 0, lab_walk = 0, lab_order = 0, lab_hop = 0, lab_swap = 1'
in_ka='in_ka: lab_fact = 0, lab_paraphrase = 0, lab_born = 0, lab_recall = 0, lab_rule = 1, lab_inherit = 1, lab_speak = 1, lab_decline = 1, lab_arith = 0, lab_walk = 0, lab_order = 0, lab_hop = 0, lab_swap = 0'
in_kr='in_kr: lab_fact = 0, lab_paraphrase = 0, lab_born = 0, lab_recall = 0, lab_rule = 0, lab_inherit = 0, lab_speak = 0, lab_decline = 0, lab_arith = 1, lab_walk = 1, lab_order = 1, lab_hop = 1, lab_swap = 1'
# Means over the items of each task.
mean() { # FIELD FUNCTION-OF-jq NAME
  printf '%s:' "$3"
  separator=''
  for task in fact paraphrase born recall rule inherit speak decline arith walk order hop swap; do
    jq -rs --arg separator "$separator" --arg task "$task" \
      "map(.$1 // 0 | $2) | add / length | \"\(\$separator) lab_\(\$task) = \(.)\"" "configs/tasks/lab/lab_$task.jsonl" | tr -d '\n'
    separator=','
  done
}
steps=$(mean steps 'if . > 0 then log2 else 0 end' log_steps)
frequency=$(mean frequency 'if . > 0 then log10 else 0 end' log_frequency)

fit() { # NAME CONTROL...
  name=$1
  shift
  for control; do
    set -- "$@" --control "$control"
    shift
  done
  bitlaw fit "$study" --where "quantizer != 'rtn'" --law anchored_exponential --by-task --no-compare --bootstrap 0 --folds 0 \
    --permutations 0 --no-nulls --json "$work/fit.json" "$@" > /dev/null
  jq -r --arg name "$name" '
    def r(digits): . * pow(10; digits) | round / pow(10; digits) | tostring | sub("^(?<s>-?)0\\."; "\(.s).");
    .fits[] | select(.stratum == "general") | .binomial // .least_squares
    | "| \($name) | \(.quality.rows) | \(.quality.parameters) | \(.quality.adjusted_r2 | r(4)) | \(.errors.accuracy_mae | r(4)) |"' "$work/fit.json"
}

echo "| beside N, B, Cb, G and the task's own 16-bit accuracy | rows | parameters | adj. R2 | MAE acc_adj |"
echo "|---|---:|---:|---:|---:|"
fit nothing
fit "stratum" "$in_ka" "$in_kr"
fit "format" "$format"
fit "steps" "$steps"
fit "frequency" "$frequency"
fit "format, steps, frequency" "$format" "$steps" "$frequency"
fit "format, steps, frequency, stratum" "$format" "$steps" "$frequency" "$in_ka" "$in_kr"
