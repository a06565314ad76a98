# The paper's claims beside what a study says, as a Markdown table: for the output of
#   bitlaw fit STUDY --law stratified_power --confidence 0.95 --zone 'B == 2' --zone 'B == 3' --json FILE
#
# Printed numbers: arXiv 2508.18609 v4 as secondary sources give them (docs/results/reproducing-the-paper.md). A verdict is
# made of the interval alone. A number: "agrees" if the interval holds it and not zero, "can't tell" if it holds both,
# "differs" else. That a stratum comes first: "agrees" if it does and its difference to each other one is
# significant (p < .05 after Holm), "differs" if another one comes first significantly, "can't tell" else.

include "numbers" {search: "../"};
def interval: "[\(.[0] | r(3)), \(.[1] | r(3))]";
def holds(x): .[0] <= x and x <= .[1];
def verdict_of_number(printed): if . == null or .[0] == null then "can't tell" elif holds(printed) then if holds(0) then "can't tell" else "agrees" end else "differs" end;
def row(claim; printed; ours; verdict): "| \(claim) | \(printed) | \(ours) | \(verdict) |";

. as $all
| def law(stratum): $all.analysis.laws[] | select(.law == "stratified_power" and .stratum == stratum);
  def quantity(stratum; name): law(stratum).uncertainty.quantities[] | select(.name == name);
  def zone(stratum; zone): law(stratum).zones[] | select(.zone == zone);
  def in_zone(stratum; zone; name): zone(stratum; zone).exponents[] | select(.parameter == name);
  def ranking(name): $all.analysis.strata[0].rankings[] | select(.parameter == name);
  def number(claim; stratum; name; printed):
    quantity(stratum; name) | row(claim; printed | r(3); "\(.value | r(3)) \(.delta | interval)"; .delta | verdict_of_number(printed));
  def zone_number(claim; stratum; zone; name; printed):
    in_zone(stratum; zone; name)
    | row(claim; printed | r(3); "\(.value | r(3)) \(.interval | interval)"; .interval | verdict_of_number(printed));
  def first(claim; name; stratum):
    ranking(name) as $ranking
    | $ranking.places[0] as $place
    | [$ranking.pairs[] | select(.a == $place.stratum or .b == $place.stratum)] as $pairs
    | row(claim; stratum;
          "\($ranking.places | map("\(.stratum) \(.value | r(3)) \(.interval | interval)") | join(", ")); p \($pairs | map("\(.a)-\(.b) \(.p_holm | r(3))") | join(", "))";
          if ([$pairs[] | select(.p_holm == null or .p_holm >= 0.05)] | length) > 0 then "can't tell"
          elif $place.stratum == stratum then "agrees" else "differs" end);
  "| claim | printed | here, 95 % interval | verdict |", "|---|---|---|---|",
  first("reasoning is precision-critical: largest exponent of log2 B"; "beta"; "KR"),
  first("application is scale-responsive: largest exponent of N"; "alpha"; "KA"),
  first("memorization is calibration-sensitive: largest exponent of log2 Cb"; "gamma"; "KM"),
  first("reasoning is most sensitive to group size"; "delta"; "KR"),
  number("exponent of N, all tasks"; "general"; "alpha"; -0.359),
  number("exponent of log2 B, all tasks"; "general"; "beta"; -1.067),
  number("exponent of log2 Cb, all tasks"; "general"; "gamma"; -0.032),
  number("exponent of G, all tasks"; "general"; "delta"; 0.073),
  number("exponent of N, KA"; "KA"; "alpha"; -0.409),
  number("exponent of log2 B, KR"; "KR"; "beta"; -1.356),
  number("exponent of log2 Cb, KM"; "KM"; "gamma"; -0.040),
  number("exponent of G, KR"; "KR"; "delta"; 0.087),
  zone_number("at 3 bits the exponent of log2 Cb triples"; "general"; "B == 3"; "gamma"; -0.103),
  zone_number("at 3 bits the exponent of G grows"; "general"; "B == 3"; "delta"; 0.117),
  zone_number("at 2 bits the exponent of G surges, KM"; "KM"; "B == 2"; "delta"; 0.60),
  zone_number("at 2 bits the exponent of G surges, KA"; "KA"; "B == 2"; "delta"; 0.33),
  (zone("KR"; "B == 2") | row("at 2 bits no law holds for KR: adjusted R2"; ".22"; .adjusted_r2 | r(3);
    if .adjusted_r2 < 0.5 then "agrees" else "differs" end)),
  (law("general") as $law | $all.fits[] | select(.law == "stratified_power" and .stratum == "general")
    | row("adjusted R2, all tasks"; ".948"; .binomial_detail.quality.adjusted_r2 // .binomial.quality.adjusted_r2 | r(3);
          if (.binomial_detail.quality.adjusted_r2 // .binomial.quality.adjusted_r2) >= 0.92 then "agrees" else "differs" end)),
  ($all.fits[] | select(.law == "stratified_power" and .stratum == "general") | .binomial.held_out_errors
    | ([$all.analysis.selections[] | select(.stratum == "general" and (.outer | test("hold_out"))) | .candidates[] | select(.law == "stratified_power") | .outer.accuracy_mae_interval] | first) as $interval
    | row("error on the held-out largest model, all tasks"; ".063"; "\(.accuracy_mae | r(3)) \($interval | interval)"; if $interval | holds(0.063) then "agrees" else "differs" end))
