#include "report/paired_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text/counted.h"

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

namespace {

// CSV has it whole.
ReportCell PCell(double p) {
  ReportCell cell = Significant(p, 2);
  if (p < 1e-6) cell.text = "< 1e-6";
  return cell;
}

}  // namespace

ReportTable VerdictTable(const std::vector<DegradationVerdict>& verdicts, const DegradationSettings& settings) {
  const bool fisher = settings.combine == CombineBenchmarks::kFisher;
  const double alpha = 1 - settings.confidence;
  ReportTable table;
  table.name = "degraded";
  table.title = "Degraded or not, over all benchmarks of a trial";
  table.header = {"trial", "verdict", "benchmarks", "items", "lost", "gained", "change", "loss at most"};
  if (fisher) {
    table.header.push_back("p Fisher");
  } else {
    table.header.insert(table.header.end(), {"p pooled", "p worst", "worst"});
  }
  table.header.push_back("p (Holm)");
  for (const DegradationVerdict& one : verdicts) {
    std::vector<ReportCell> row = {one.label,
                                   one.benchmarks == 0 ? "-" : one.degraded ? "degraded" : "not shown",
                                   Whole(static_cast<double>(one.benchmarks)),
                                   Whole(static_cast<double>(one.items)),
                                   Whole(static_cast<double>(one.lost)),
                                   Whole(static_cast<double>(one.gained)),
                                   Fixed(one.change, 4),
                                   Fixed(one.loss_at_most, 4)};
    if (fisher) {
      row.push_back(PCell(one.test.fisher_p));
    } else {
      row.insert(row.end(), {PCell(one.test.pooled_p), PCell(one.test.worst_p),
                            one.test.worst_task.empty() ? "-" : one.test.worst_task});
    }
    row.push_back(PCell(one.p_holm));
    table.rows.push_back(std::move(row));
  }
  const auto degraded =
      std::count_if(verdicts.begin(), verdicts.end(), [](const DegradationVerdict& one) { return one.degraded; });
  static constexpr const char* kHow[] = {
      "all items together (pooled)", "the benchmark with the smallest p (worst)", "Fisher's method over benchmarks",
      "all items together (pooled) and the benchmark with the smallest p (worst), each at half the level"};
  table.notes = {
      fmt::format("{} of {} degraded; the chance of one false alarm or more among them is at most {:.2g}", degraded,
                  Counted(verdicts.size(), "trial"), alpha),
      fmt::format("exact one-sided McNemar tests of {}; p adjusted over trials (Holm)",
                  kHow[static_cast<size_t>(settings.combine)]),
      "lost, gained: items right before and wrong after, and the other way round; change = (gained - lost) / items",
      fmt::format("not shown: chance may have made the loss; 'loss at most' is its upper bound, one-sided at {:.4g} %",
                  100 * settings.confidence)};
  return table;
}

ReportSection VerdictSection(const std::vector<DegradationVerdict>& verdicts, const std::vector<std::string>& notes,
                             const DegradationSettings& settings) {
  ReportSection section;
  section.title = "Degraded or not";
  section.is_in_paper = true;
  if (!verdicts.empty()) section.tables.push_back(VerdictTable(verdicts, settings));
  for (const std::string& note : notes) section.bullets.push_back("No part of the verdicts: " + note + ".");
  return section;
}

}  // namespace bitlaw
