# Means of a study's observations.csv as a Markdown table. By default: accuracy in per cent of each stratum.
#   awk -v rows=model,N -v across=B -v keep='group_size=32;calibration.sequences=128' -f csv.awk -f table.awk results/STUDY/observations.csv
# rows: columns whose values, in the order of their appearance, are the rows of the table; across: columns whose values
# stand side by side, numbers from the largest down. keep: conditions COLUMN=VALUE|VALUE; a row that has no value in that
# column is kept. Of unquantized models nothing stands in `across`: headed "none". Further:
#   by      column whose values divide the table above `across`; "all" for one table (default: stratum, KM KA KR)
#   of      column whose mean is shown (default: value); rows without one are left out
#   error   column of its standard error, shown behind it: that of the mean of independent errors
#   scale   what it is multiplied by (default: 100), format: how it is printed (default: %.1f)
function wanted(    i, j, at, name, values, all, ok) {
  for (i = 1; i <= conditions; ++i) {
    at = index(condition[i], "=")
    name = substr(condition[i], 1, at - 1)
    if (!known(name)) return 0
    if ($column[name] == "") continue
    all = split(substr(condition[i], at + 1), values, "|")
    ok = 0
    for (j = 1; j <= all; ++j) if ($column[name] == values[j]) ok = 1
    if (!ok) return 0
  }
  return 1
}
function known(name) {
  if (name in column) return 1
  print "table.awk: " FILENAME " has no column " name > "/dev/stderr"
  failed = 1
  exit 1
}
# As the table shows it: of an option that is true its name, of one that is false nothing.
function value_of(name,    value) {
  value = $column[name]
  if (value == "true") return name
  if (value == "false") return ""
  return name == "group_size" && value == -1 ? "row" : value
}
# The values of these columns with spaces between them.
function values_of(names, count,    i, text, value) {
  for (i = 1; i <= count; ++i) {
    value = value_of(names[i])
    if (value != "") text = text (text == "" ? "" : " ") value
  }
  return text
}
function shown(cell,    text) {
  if (!count[cell]) return "-"
  text = sprintf(format, scale * sum[cell] / count[cell])
  return error == "" ? text : text " ± " sprintf(format, scale * sqrt(squares[cell]) / count[cell])
}
BEGIN {
  FS = ","
  if (by == "") { by = "stratum"; part_count = split("KM KA KR", part_of, " ") }
  if (of == "") of = "value"
  if (scale == "") scale = 100
  if (format == "") format = "%.1f"
  keys = split(rows, key, ",")
  sides = split(across, side_column, ",")
  conditions = split(keep, condition, ";")
}
NR == 1 {
  for (i = 1; i <= NF; ++i) column[$i] = i
  for (i = 1; i <= keys; ++i) known(key[i])
  for (i = 1; i <= sides; ++i) known(side_column[i])
  if (by != "all") known(by)
  known(of)
  if (error != "") known(error)
  next
}
{
  if ($column["primary"] != 1 || $column[of] == "" || !wanted()) next
  row = ""
  for (i = 1; i <= keys; ++i) row = row " " value_of(key[i]) " |"
  side = values_of(side_column, sides)
  if (side == "") side = "none"
  part = by == "all" ? "" : $column[by]
  cell = row SUBSEP side SUBSEP part
  sum[cell] += $column[of]; count[cell] += 1
  if (error != "") squares[cell] += $column[error] ^ 2
  if (!(row in known_rows)) { known_rows[row] = 1; row_of[++row_count] = row }
  if (!(side in known_sides)) { known_sides[side] = 1; side_of[++side_count] = side }
  if (by != "stratum" && !(part in known_parts)) { known_parts[part] = 1; part_of[++part_count] = part }
}
END {
  if (failed) exit 1
  for (i = 1; i <= side_count; ++i) for (j = i + 1; j <= side_count; ++j)
    if (side_of[j] + 0 > side_of[i] + 0) { swapped = side_of[i]; side_of[i] = side_of[j]; side_of[j] = swapped }
  head = "|"; rule = "|"
  for (i = 1; i <= keys; ++i) { head = head " " key[i] " |"; rule = rule "---|" }
  for (p = 1; p <= part_count; ++p) for (i = 1; i <= side_count; ++i) {
    head = head " " part_of[p] (part_of[p] == "" ? "" : " ") side_of[i] " |"; rule = rule "---:|"
  }
  print head; print rule
  for (r = 1; r <= row_count; ++r) {
    line = "|" row_of[r]
    for (p = 1; p <= part_count; ++p) for (i = 1; i <= side_count; ++i)
      line = line " " shown(row_of[r] SUBSEP side_of[i] SUBSEP part_of[p]) " |"
    print line
  }
}
