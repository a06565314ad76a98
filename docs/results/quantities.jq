# Parameters of laws with their intervals as a Markdown table: for the output of `bitlaw fit STUDY --json FILE`.
#   jq -r --arg names "e k" -f docs/results/quantities.jq FILE
include "numbers" {search: "./"};
def quantity($name): [.uncertainty.quantities[] | select(.name == $name) | "\(.value | r(3)) [\(.delta[0] | r(2)), \(.delta[1] | r(2))]"] | first // "-";

. as $all
| ($names | split(" ")) as $columns
| "| law | stratum | rows | parameters | adj. R2 | MAE acc_adj | models left out | \($columns | join(" | ")) |",
  "|---|---|---:|---:|---:|---:|---|\($columns | map("---|") | join(""))",
  (.analysis.laws[] | . as $one
   | ($all.fits[] | select(.law == $one.law and .stratum == $one.stratum)) as $fit
   | ($fit.binomial // $fit.least_squares // $fit.own_procedure // $fit.ols) as $best
   | ([$one.validation[] | select(.scheme | test("model out|by model"))] | first) as $left_out
   | "| `\($one.law)` | \($one.stratum) | \($best.quality.rows) | \($best.quality.parameters) | \($best.quality.adjusted_r2 | r(3)) | \($best.errors.accuracy_mae | r(3)) | \($left_out.accuracy_mae | r(3)) | \($columns | map(. as $name | $one | quantity($name)) | join(" | ")) |")
