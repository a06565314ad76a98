# For the programs of this folder, which stand behind it (awk -f csv.awk -f table.awk): of a line with quoted fields, the
# same with semicolons in place of the commas within them, so that commas separate fields alone.
/"/ {
  pieces = split($0, piece, "\"")
  line = ""
  for (i = 1; i <= pieces; ++i) {
    if (i % 2 == 0) gsub(",", ";", piece[i])
    line = line piece[i]
  }
  $0 = line
}
