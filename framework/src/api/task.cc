#include "bitlaw/api/task.h"

#include <cmath>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// R = sum value / sum weight, and its standard error by the delta method over rows: the ratio estimator's
// residuals value_i - R w_i, scaled by n / (n - 1).
void SummarizeRatio(std::span<const ItemValue> rows, MetricSummary& summary) {
  double total = 0, weight = 0;
  for (const ItemValue& row : rows) total += row.value, weight += row.weight;
  summary.value = total / weight;
  const double n = static_cast<double>(rows.size());
  if (rows.size() < 2) return;
  double squares = 0;
  for (const ItemValue& row : rows) squares += std::pow(row.value - summary.value * row.weight, 2);
  summary.standard_error = std::sqrt(squares * n / (n - 1)) / weight;
}

// exp of the ratio of losses to tokens.
void SummarizePerplexity(std::span<const ItemValue> rows, MetricSummary& summary) {
  SummarizeRatio(rows, summary);
  summary.value = std::exp(summary.value);
  summary.standard_error *= summary.value;
}

void SummarizeMean(std::span<const ItemValue> rows, MetricSummary& summary) {
  const double n = static_cast<double>(rows.size());
  double sum = 0;
  for (const ItemValue& row : rows) sum += row.value;
  summary.value = sum / n;
  if (rows.size() < 2) return;
  double squares = 0;
  for (const ItemValue& row : rows) squares += std::pow(row.value - summary.value, 2);
  summary.standard_error = std::sqrt(squares / (n - 1)) / std::sqrt(n);
}

}  // namespace

MetricSummary Summarize(const MetricCard& metric, size_t index, std::span<const ItemScore> scores) {
  MetricSummary summary;
  summary.name = metric.name;
  std::vector<ItemValue> rows;
  double chance = 0;
  for (const ItemScore& score : scores) {
    if (index >= score.values.size()) {
      throw InternalError("Summarize: item '" + score.id + "' has " + std::to_string(score.values.size()) +
                          " values, so none for metric '" + metric.name + "'");
    }
    if (std::isnan(score.values[index].value)) continue;
    rows.push_back(score.values[index]);
    chance += score.chance;
  }
  summary.items = static_cast<int64_t>(rows.size());
  if (rows.empty()) return summary;
  summary.chance = chance / static_cast<double>(rows.size());
  if (metric.kind == MetricKind::kPerplexity) {
    SummarizePerplexity(rows, summary);
  } else if (metric.kind == MetricKind::kRatio) {
    SummarizeRatio(rows, summary);
  } else {
    SummarizeMean(rows, summary);
  }
  return summary;
}

}  // namespace bitlaw
