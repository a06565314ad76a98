#include "report/paired_table.h"

namespace bitlaw {

ReportTable MakePairedTable(std::vector<std::string> leading_columns, const PairedSettings& settings) {
  ReportTable table;
  table.name = "paired";
  table.header = std::move(leading_columns);
  for (const char* column : {"metric", "n", "unquantized", "quantized", "difference", "+-", "low", "high",
                             "only before", "only after", "McNemar p", "detectable"}) {
    table.header.push_back(column);
  }
  table.notes = {"difference: quantized - unquantized; of perplexities ln(quantized / unquantized)",
                 "low, high: percentile bootstrap over items; McNemar p: exact, two-sided",
                 "detectable: the smallest true difference found with a chance of " +
                     Significant(settings.power, 2).text};
  return table;
}

std::vector<ReportCell> PairedRow(std::vector<ReportCell> leading_cells, const MetricCard& metric,
                                  const PairedDifference& paired) {
  const int places = metric.kind == MetricKind::kPerplexity ? 3 : 4;
  const bool accuracy = metric.kind == MetricKind::kAccuracy;
  const std::vector<ReportCell> cells = {metric.name,
                                         Whole(static_cast<double>(paired.items)),
                                         Fixed(paired.first, places),
                                         Fixed(paired.second, places),
                                         Fixed(paired.difference, 4),
                                         Fixed(paired.standard_error, 4),
                                         Fixed(paired.low, 4),
                                         Fixed(paired.high, 4),
                                         accuracy ? Whole(static_cast<double>(paired.only_first)) : ReportCell("-"),
                                         accuracy ? Whole(static_cast<double>(paired.only_second)) : ReportCell("-"),
                                         Significant(paired.mcnemar_p, 2),
                                         Fixed(paired.detectable, 4)};
  std::vector<ReportCell> row = std::move(leading_cells);
  row.insert(row.end(), cells.begin(), cells.end());
  return row;
}

}  // namespace bitlaw
