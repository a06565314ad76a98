# Exponents of the four-factor law as a Markdown table: for the output of `bitlaw fit STUDY --law stratified_power --json FILE`.
# Intervals as the fit was asked for (--confidence), over models; errors are mean absolute ones of acc_adj.
include "numbers" {search: "./"};

. as $all
| "| stratum | N | log2 B | log2 Cb | G | adj. R2 | error on the held-out model | of `power_n_b` |",
  "|---|---|---|---|---|---:|---:|---:|",
  (.analysis.laws[] | select(.law == "stratified_power") | . as $one
   | def quantity($name): [$one.uncertainty.quantities[] | select(.name == $name) | "\(.value | r(3)) [\(.delta[0] | r(3)), \(.delta[1] | r(3))]"] | first // "-";
     def fit($law): $all.fits[] | select(.law == $law and .stratum == $one.stratum) | .binomial // .least_squares // .ols;
     "| \($one.stratum) | \(quantity("alpha")) | \(quantity("beta")) | \(quantity("gamma")) | \(quantity("delta")) | \(fit("stratified_power").quality.adjusted_r2 | r(3)) | \(fit("stratified_power").held_out_errors.accuracy_mae | r(3)) | \(fit("power_n_b").held_out_errors.accuracy_mae | r(3)) |")
