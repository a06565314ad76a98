# The columns of an observations.csv that laws and tables need, of its first metrics: as small as a table to publish should be.
#   awk -f docs/results/csv.awk -f docs/results/tidy.awk results/STUDY/observations.csv > docs/results/STUDY/observations.csv
BEGIN {
  FS = OFS = ","
  kept = split("study trial label model family hold_out N N_active quantizer B bits_effective size_bytes G G_min Cb task stratum metric metric_kind primary value standard_error items chance acc_adj baseline_value", name, " ")
}
NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i }
NR > 1 && $column["primary"] != 1 { next }
{
  line = $column[name[1]]
  for (i = 2; i <= kept; ++i) line = line OFS $column[name[i]]
  print line
}
