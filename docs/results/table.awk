# Mean accuracy of each stratum in per cent, as a Markdown table: of a study's observations.csv.
#   awk -v rows=model,N -v across=B -v keep='group_size=32;calibration.sequences=128' -f table.awk results/STUDY/observations.csv
# rows: columns whose values, in the order of their appearance, are the rows of the table; across: the column whose values
# stand side by side within each stratum, numbers from the largest down. keep: conditions COLUMN=VALUE|VALUE; a row that has
# no value in that column is kept. A row of unquantized models without a value in `across` is headed "none".
function wanted(    i, j, at, name, values, all, ok) {
  for (i = 1; i <= conditions; ++i) {
    at = index(condition[i], "=")
    name = substr(condition[i], 1, at - 1)
    if (!(name in column)) { print "table.awk: " FILENAME " has no column " name > "/dev/stderr"; failed = 1; exit 1 }
    if ($column[name] == "") continue
    all = split(substr(condition[i], at + 1), values, "|")
    ok = 0
    for (j = 1; j <= all; ++j) if ($column[name] == values[j]) ok = 1
    if (!ok) return 0
  }
  return 1
}
BEGIN {
  FS = ","
  strata_count = split("KM KA KR", strata, " ")
  keys = split(rows, key, ",")
  conditions = split(keep, condition, ";")
}
NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; next }
{
  if ($column["primary"] != 1 || !wanted()) next
  row = ""
  for (i = 1; i <= keys; ++i) row = row " " $column[key[i]] " |"
  side = $column[across] == "" ? "none" : $column[across]
  cell = row SUBSEP side SUBSEP $column["stratum"]
  sum[cell] += $column["value"]; count[cell] += 1
  if (!(row in known_rows)) { known_rows[row] = 1; row_of[++row_count] = row }
  if (!(side in known_sides)) { known_sides[side] = 1; side_of[++side_count] = side }
}
END {
  if (failed) exit 1
  for (i = 1; i <= side_count; ++i) for (j = i + 1; j <= side_count; ++j)
    if (side_of[j] + 0 > side_of[i] + 0) { swapped = side_of[i]; side_of[i] = side_of[j]; side_of[j] = swapped }
  head = "|"; rule = "|"
  for (i = 1; i <= keys; ++i) { head = head " " key[i] " |"; rule = rule "---|" }
  for (s = 1; s <= strata_count; ++s) for (i = 1; i <= side_count; ++i) { head = head " " strata[s] " " side_of[i] " |"; rule = rule "---:|" }
  print head; print rule
  for (r = 1; r <= row_count; ++r) {
    line = "|" row_of[r]
    for (s = 1; s <= strata_count; ++s) for (i = 1; i <= side_count; ++i) {
      cell = row_of[r] SUBSEP side_of[i] SUBSEP strata[s]
      line = line " " (count[cell] ? sprintf("%.1f", 100 * sum[cell] / count[cell]) : "-") " |"
    }
    print line
  }
}
