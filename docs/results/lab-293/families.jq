# `bitlaw fit --groups family --json`: do the families need laws of their own? A row per law, stratum and test.
def number: if . == null then "-" elif . == 0 then "0" elif (. * . < 0.0000009) then "< .001" else (. * 1000 | round / 1000 | tostring) end;
"| law | stratum | test | F (df) | p | F over models (df) | p |", "|---|---|---|---|---:|---|---:|",
(.analysis.laws[] | . as $law | select(.chow.pooled != null)
 | (["one law for all", "chow"], ["one law but for the amplitude", "exponents"]) as [$name, $key]
 | select(.chow[$key].value != null) | .chow[$key] as $test
 | "| `\($law.law)` | \($law.stratum) | \($name) | \($test.value | number) (\($test.df1), \($test.df2)) | \($test.p | number) | "
   + (if $test.over_units.f == null then "- | -"
      else "\($test.over_units.f | number) (\($test.over_units.df1), \($test.over_units.df2 * 10 | round / 10)) | \($test.over_units.p | number)" end) + " |")
