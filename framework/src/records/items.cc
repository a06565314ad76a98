#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "bitlaw/base/error.h"
#include "records/csv_text.h"
#include "records/record.h"
#include "records/table.h"

namespace bitlaw {
namespace {

// Which metrics need a weight column.
std::vector<bool> Weighted(const TaskCard& card, const std::vector<ItemScore>& items) {
  std::vector<bool> weighted(card.metrics.size(), false);
  for (const ItemScore& item : items) {
    for (size_t m = 0; m < weighted.size(); ++m) weighted[m] = weighted[m] || item.values[m].weight != 1.0;
  }
  return weighted;
}

// Columns after the chance, each there only if some item has something in it.
constexpr const char* kGroup = "group";
constexpr const char* kLoglikelihoods = "loglikelihoods";
constexpr const char* kLengths = "lengths";

// "-12.5 -8.25": seven digits are what float32 sums hold.
std::string JoinNumbers(const std::vector<double>& numbers) {
  std::string text;
  for (const double x : numbers) text += fmt::format("{}{:.7g}", text.empty() ? "" : " ", x);
  return text;
}
std::string JoinNumbers(const std::vector<int64_t>& numbers) { return fmt::format("{}", fmt::join(numbers, " ")); }

template <class T>
std::vector<T> SplitNumbers(std::string_view text, const std::string& where) {
  std::vector<T> numbers;
  while (!text.empty()) {
    T number{};
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
    const size_t read = static_cast<size_t>(end - text.data());
    if (status != std::errc() || (read < text.size() && text[read] != ' ')) {
      throw Error(ErrorKind::kIo, fmt::format("{}: '{}' is no number.", where, text.substr(0, text.find(' '))));
    }
    numbers.push_back(number);
    text.remove_prefix(std::min(text.size(), read + 1));
  }
  return numbers;
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
    text += "," + CsvField(card.metrics[m].name);
    if (weighted[m]) text += "," + CsvField(card.metrics[m].name + "_weight");
  }
  const auto any = [&](auto&& has) { return std::any_of(items.begin(), items.end(), has); };
  const bool groups = any([](const ItemScore& item) { return !item.group.empty(); });
  const bool likelihoods = any([](const ItemScore& item) { return !item.loglikelihoods_nats.empty(); });
  const bool lengths = any([](const ItemScore& item) { return !item.lengths.empty(); });
  text += ",chance";
  if (groups) text += fmt::format(",{}", kGroup);
  if (likelihoods) text += fmt::format(",{}", kLoglikelihoods);
  if (lengths) text += fmt::format(",{}", kLengths);
  text += "\n";
  for (const ItemScore& item : items) {
    text += CsvField(item.id);
    for (size_t m = 0; m < card.metrics.size(); ++m) {
      text += "," + ShortestText(item.values[m].value);
      if (weighted[m]) text += "," + ShortestText(item.values[m].weight);
    }
    text += "," + ShortestText(item.chance);
    if (groups) text += "," + CsvField(item.group);
    if (likelihoods) text += "," + JoinNumbers(item.loglikelihoods_nats);
    if (lengths) text += "," + JoinNumbers(item.lengths);
    text += "\n";
  }
  return text;
}

std::vector<ItemScore> ReadItems(const TaskCard& card, std::string_view text, const std::string& origin) {
  const std::vector<std::string> texts = {"id", kGroup, kLoglikelihoods, kLengths};
  const Table table = ParseCsv(text, origin, {.text_columns = texts});
  // Every column is the id, a metric, a metric's weight, the chance or one of those that may follow, in that order.
  std::vector<std::string> expected = {"id"};
  for (const MetricCard& metric : card.metrics) {
    expected.push_back(metric.name);
    if (table.Find(metric.name + "_weight") != nullptr) expected.push_back(metric.name + "_weight");
  }
  expected.push_back("chance");
  for (const char* more : {kGroup, kLoglikelihoods, kLengths}) {
    if (table.Find(more) != nullptr) expected.push_back(more);
  }
  if (table.names() != expected) {
    throw Error(ErrorKind::kIo, fmt::format("{}: the columns are {}, the record's metrics need {}.", origin,
                                            JoinNames(table.names()), JoinNames(expected)));
  }
  for (const TableColumn& column : table.columns()) {
    if (column.is_text && std::find(texts.begin(), texts.end(), column.name) == texts.end()) {
      throw Error(ErrorKind::kIo, fmt::format("{}.", column.first_text));
    }
  }
  std::vector<ItemScore> items(table.rows());
  const TableColumn *groups = table.Find(kGroup), *likelihoods = table.Find(kLoglikelihoods),
                    *lengths = table.Find(kLengths);
  for (size_t row = 0; row < items.size(); ++row) {
    items[row].id = table.columns()[0].texts[row];
    items[row].chance = table.Find("chance")->numbers[row];
    const std::string where = fmt::format("{}: item '{}'", origin, items[row].id);
    if (groups != nullptr) items[row].group = groups->texts[row];
    if (likelihoods != nullptr) {
      items[row].loglikelihoods_nats = SplitNumbers<double>(likelihoods->texts[row], where);
    }
    if (lengths != nullptr) items[row].lengths = SplitNumbers<int64_t>(lengths->texts[row], where);
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
