#include <fmt/format.h>

#include "bitlaw/base/error.h"
#include "records/record.h"
#include "records/table.h"

namespace bitlaw {
namespace {

std::string Quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string quoted = "\"";
  for (const char c : field) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

// Which metrics need a weight column.
std::vector<bool> Weighted(const TaskCard& card, const std::vector<ItemScore>& items) {
  std::vector<bool> weighted(card.metrics.size(), false);
  for (const ItemScore& item : items) {
    for (size_t m = 0; m < weighted.size(); ++m) weighted[m] = weighted[m] || item.values[m].weight != 1.0;
  }
  return weighted;
}

}  // namespace

std::string WriteItems(const TaskCard& card, const std::vector<ItemScore>& items) {
  for (const ItemScore& item : items) {
    if (item.values.size() != card.metrics.size()) {
      throw InternalError(fmt::format("task '{}': item '{}' has {} values for {} metrics", card.name, item.id,
                                      item.values.size(), card.metrics.size()));
    }
  }
  const std::vector<bool> weighted = Weighted(card, items);
  std::string text = "id";
  for (size_t m = 0; m < card.metrics.size(); ++m) {
    text += "," + Quoted(card.metrics[m].name);
    if (weighted[m]) text += "," + Quoted(card.metrics[m].name + "_weight");
  }
  text += ",chance\n";
  for (const ItemScore& item : items) {
    text += Quoted(item.id);
    for (size_t m = 0; m < card.metrics.size(); ++m) {
      text += "," + ShortestText(item.values[m].value);
      if (weighted[m]) text += "," + ShortestText(item.values[m].weight);
    }
    text += "," + ShortestText(item.chance) + "\n";
  }
  return text;
}

std::vector<ItemScore> ReadItems(const TaskCard& card, std::string_view text, const std::string& origin) {
  const Table table = ParseCsv(text, origin, {.text_columns = {"id"}});
  // Every column is the id, a metric, a metric's weight or the chance, in that order.
  std::vector<std::string> expected = {"id"};
  for (const MetricCard& metric : card.metrics) {
    expected.push_back(metric.name);
    if (table.Find(metric.name + "_weight") != nullptr) expected.push_back(metric.name + "_weight");
  }
  expected.push_back("chance");
  if (table.names() != expected) {
    throw Error(ErrorKind::kIo, fmt::format("{}: the columns are {}, the record's metrics need {}.", origin,
                                            JoinNames(table.names()), JoinNames(expected)));
  }
  for (const TableColumn& column : table.columns()) {
    if (column.is_text && column.name != "id") {
      throw Error(ErrorKind::kIo, fmt::format("{}.", column.first_text));
    }
  }
  std::vector<ItemScore> items(table.rows());
  for (size_t row = 0; row < items.size(); ++row) {
    items[row].id = table.columns()[0].texts[row];
    items[row].chance = table.columns().back().numbers[row];
  }
  for (const MetricCard& metric : card.metrics) {
    const std::vector<double>& values = table.Find(metric.name)->numbers;
    const TableColumn* weights = table.Find(metric.name + "_weight");
    for (size_t row = 0; row < items.size(); ++row) {
      items[row].values.push_back({values[row], weights == nullptr ? 1.0 : weights->numbers[row]});
    }
  }
  return items;
}

}  // namespace bitlaw
