# Writes the fenced blocks of a page whose first line is a comment "# name.yaml: ..." to files of those names below the
# folder `out`.
/^```yaml$/ { fenced = 1; next }
/^```$/ { if (file != "") close(file); fenced = 0; file = ""; next }
fenced == 1 {
  fenced = 2
  if (match($0, /^# [a-z_\/]+\.yaml:/)) {
    name = substr($0, 1, RLENGTH - 1)
    sub(/^# /, "", name)
    file = out "/" name
    printf "" > file
  }
}
fenced == 2 && file != "" { print > file }
