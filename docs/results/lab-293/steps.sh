#!/bin/sh
# steps.sh STUDY: does a chain of T steps lose what theory says? Prints observations of lab_arith and lab_walk, whose answers
# write every step, by the length of their chains, as CSV: one row a configuration of GPTQ and length, with the accuracy of
# the unquantized model on chains of that length (baseline_acc_adj).
set -eu
study=$1
lengths=$(mktemp)
trap 'rm -f "$lengths"' EXIT
groups=''
for steps in 1 2 4 8 16; do groups="$groups --group T$steps=lab_arith:$steps,lab_walk:$steps"; done
# shellcheck disable=SC2086 # options and their values
bitlaw strata "$study" $groups --format csv > "$lengths"
awk -F, '
  FNR == NR { if (FNR > 1) { steps = substr($2, 2); value[$1, steps] = $3; error[$1, steps] = $4; items[$1, steps] = $6 } next }
  FNR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; print "model,N,B,Cb,G,steps,acc_adj,standard_error,items,baseline_acc_adj"; next }
  {
    label = $column["label"]
    if (label in seen) next
    seen[label] = 1
    if ($column["quantizer"] == "none") unquantized[$column["model"]] = label
    if ($column["quantizer"] != "gptq") next
    rows[++count] = label
    facts[label] = $column["model"] "," $column["N"] "," $column["B"] "," $column["Cb"] "," $column["G_min"]
    model[label] = $column["model"]
  }
  END {
    for (i = 1; i <= count; ++i) {
      split("1 2 4 8 16", lengths, " ")
      for (j = 1; j <= 5; ++j) {
        label = rows[i]; steps = lengths[j]; base = unquantized[model[label]]
        if ((label, steps) in value && (base, steps) in value)
          print facts[label] "," steps "," value[label, steps] "," error[label, steps] "," items[label, steps] "," value[base, steps]
      }
    }
  }' "$lengths" "$study/observations.csv"
