# Exponents of laws of other responses than accuracy, as a Markdown table: of `bitlaw fit STUDY --law kl_power ... --json FILE`.
include "numbers" {search: "../"};
def quantity($name): [.uncertainty.quantities[] | select(.name == $name) | "\(.value | r(2)) [\(.delta[0] | r(2)), \(.delta[1] | r(2))]"] | first // "-";

. as $all
| "| response | stratum | rows | adj. R2 | N | 2^B - 1 (-k) | log2 Cb | G |",
  "|---|---|---:|---:|---|---|---|---|",
  (.analysis.laws[]
   | . as $one
   | ($all.fits[] | select(.law == $one.law and .stratum == $one.stratum)) as $fit
   | ($fit.ols // $fit.least_squares // $fit.own_procedure) as $best
   | "| `\($fit.response)` | \(.stratum) | \($fit.rows_used) | \($best.quality.adjusted_r2 | r(3)) | \(quantity("a")) | \(quantity("k")) | \(quantity("g")) | \(quantity("d")) |")
