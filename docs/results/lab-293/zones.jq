# Zones of one law as a Markdown table: for the output of `bitlaw fit STUDY --zone ... --json FILE`. --arg law NAME.
include "numbers" {search: "../"};
def exponent(name): [.exponents[] | select(.parameter == name) | "\(.value | r(3)) [\(.interval[0] | r(2)), \(.interval[1] | r(2))]"] | first // "-";

"| stratum | zone | rows | kept | adj. R2 | N | log2 B | log2 Cb | G | flags |",
"|---|---|---:|---:|---:|---|---|---|---|---|",
(.analysis.laws[] | select(.law == $law) | .stratum as $stratum | .zones[]
 | "| \($stratum) | `\(.zone)` | \(.rows) | \(.kept | r(3)) | \(.adjusted_r2 | r(3)) | \(exponent("alpha")) | \(exponent("beta")) | \(exponent("gamma")) | \(exponent("delta")) | \(.flags | map(if type == "object" then (.name // .kind // tostring) else . end) | join(", ")) |")
