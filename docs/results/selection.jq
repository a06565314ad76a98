# Nested selection as a Markdown table: for the output of `bitlaw fit STUDY --select --law ... --json FILE`. Errors are mean
# absolute ones of acc_adj on the outer rows, which neither the choice nor the fit saw, with their intervals.
include "numbers" {search: "./"};
def interval: if .[0] == null then "" else " [\(.[0] | r(3)), \(.[1] | r(3))]" end;
def error: if . == null then "-" else "\(.accuracy_mae | r(3))\(.accuracy_mae_interval | interval)" end;

"| stratum | left out | chosen on | chosen | its error | `stratified_power` | best afterwards |",
"|---|---|---|---|---|---|---|",
(.analysis.selections[]
 | . as $one
 | def of($name): $one.candidates[] | select(.law == $name) | .outer;
   "| \(.stratum) | \(.outer) (\(.outer_rows)) | \(.inner | join(", ")) | \(if .chosen == null or .chosen == "" then "none" else "`\(.chosen)`" end) | \([of(.chosen) // null | error] | first // "-") | \([of("stratified_power") // null | error] | first // "-") | `\(.best_afterwards)` \([of(.best_afterwards) // null | .accuracy_mae | r(3)] | first // "-") |")
