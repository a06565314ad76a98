#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text/valid_utf8.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
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

// A column beside the metrics', under its own name unless a metric has that name: then with as many '_' as it takes.
std::string FreeName(const TaskCard& card, std::string name) {
  const auto taken = [&](const MetricCard& metric) { return metric.name == name; };
  while (std::any_of(card.metrics.begin(), card.metrics.end(), taken)) name += '_';
  return name;
}

std::string WeightName(const TaskCard& card, const MetricCard& metric) { return FreeName(card, metric.name + "_weight"); }

struct ColumnNames {
  explicit ColumnNames(const TaskCard& card)
      : id(FreeName(card, "id")),
        chance(FreeName(card, "chance")),
        group(FreeName(card, "group")),
        loglikelihoods(FreeName(card, "loglikelihoods")),
        lengths(FreeName(card, "lengths")),
        right(FreeName(card, "right")),
        chosen(FreeName(card, "chosen")),
        target(FreeName(card, "target")) {
    for (size_t m = 0; m < card.metrics.size(); ++m) {
      extracted.push_back(FreeName(card, m == 0 ? "extracted" : card.metrics[m].name + "_extracted"));
    }
    for (const Factor& factor : card.item_factors) factors.push_back(FreeName(card, factor.column));
  }

  std::string id, chance;
  std::vector<std::string> factors;  // One for each of card.item_factors.
  std::string group, loglikelihoods, lengths, right, chosen,
      target;                          // Each there only if some item has something in it.
  std::vector<std::string> extracted;  // One for each metric: the first's, and those that differ from it in some item.
};

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

// A model may generate any bytes. What a record keeps is text: UTF-8 without zero bytes.
std::string Recordable(std::string_view text) {
  return ReplaceAll(ValidUtf8(text), std::string_view("\0", 1), "\xEF\xBF\xBD");
}

std::string Cut(const std::string& given) {
  const std::string text = Recordable(given);
  if (CountCharacters(text) <= kRecordedCharacters) return text;
  size_t end = 0;
  for (int64_t i = 0; i < kRecordedCharacters; ++i) end += ClassifyCharacter(text, end).size_bytes;
  return text.substr(0, end) + "...";
}

bool TookRightChoice(const ItemScore& item, size_t metric) {
  return metric < item.chosen.size() && std::to_string(item.chosen[metric]) == item.right;
}

// What other columns say already is left empty: the target where it is `right`, a choice where it is the right one.
std::string TargetCell(const ItemScore& item) {
  return item.chosen.empty() && item.target == item.right ? "" : Cut(item.target);
}
std::string ExtractedCell(const ItemScore& item, size_t metric) {
  return item.extracted.empty() || TookRightChoice(item, metric) ? "" : Cut(item.extracted[metric]);
}

}  // namespace

std::string WriteItems(const TaskCard& card, const std::vector<ItemScore>& items) {
  for (const ItemScore& item : items) {
    if (item.values.size() != card.metrics.size()) {
      throw InternalError(fmt::format("task '{}': item '{}' has {} values for {} metrics", card.name, item.id,
                                      item.values.size(), card.metrics.size()));
    }
    if (!item.chosen.empty() && item.chosen.size() != card.metrics.size()) {
      throw InternalError(fmt::format("task '{}': item '{}' has {} chosen answers for {} metrics", card.name, item.id,
                                      item.chosen.size(), card.metrics.size()));
    }
    if (!item.extracted.empty() && item.extracted.size() != card.metrics.size()) {
      throw InternalError(fmt::format("task '{}': item '{}' has {} extracted answers for {} metrics", card.name,
                                      item.id, item.extracted.size(), card.metrics.size()));
    }
  }
  for (const ItemScore& item : items) {
    if (item.factors.empty() || item.factors.size() == card.item_factors.size()) continue;
    throw InternalError(fmt::format("task '{}': item '{}' has {} factors, its card {}", card.name, item.id,
                                    item.factors.size(), card.item_factors.size()));
  }
  const std::vector<bool> weighted = Weighted(card, items);
  const ColumnNames names(card);
  std::string text = CsvField(names.id);
  for (size_t m = 0; m < card.metrics.size(); ++m) {
    text += "," + CsvField(card.metrics[m].name);
    if (weighted[m]) text += "," + CsvField(WeightName(card, card.metrics[m]));
  }
  const auto any = [&](auto&& has) { return std::any_of(items.begin(), items.end(), has); };
  const bool groups = any([](const ItemScore& item) { return !item.group.empty(); });
  const bool likelihoods = any([](const ItemScore& item) { return !item.loglikelihoods_nats.empty(); });
  const bool lengths = any([](const ItemScore& item) { return !item.lengths.empty(); });
  const bool rights = any([](const ItemScore& item) { return !item.right.empty(); });
  const bool chosen = any([](const ItemScore& item) { return !item.chosen.empty(); });
  const bool targets = any([](const ItemScore& item) { return !item.target.empty(); });
  std::vector<size_t> extracted;  // Metrics with a column.
  if (any([](const ItemScore& item) { return !item.extracted.empty(); })) extracted = {0};
  for (size_t m = 1; m < card.metrics.size() && !extracted.empty(); ++m) {
    if (any([&](const ItemScore& item) { return ExtractedCell(item, m) != ExtractedCell(item, 0); }))
      extracted.push_back(m);
  }
  text += "," + names.chance;
  if (groups) text += "," + names.group;
  if (likelihoods) text += "," + names.loglikelihoods;
  if (lengths) text += "," + names.lengths;
  if (rights) text += "," + names.right;
  if (chosen) text += "," + names.chosen;
  if (targets) text += "," + names.target;
  for (const size_t m : extracted) text += "," + CsvField(names.extracted[m]);
  for (const std::string& factor : names.factors) text += "," + CsvField(factor);
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
    if (rights) text += "," + CsvField(item.right);
    if (chosen) text += "," + JoinNumbers(item.chosen);
    if (targets) text += "," + CsvField(TargetCell(item));
    for (const size_t m : extracted) text += "," + CsvField(ExtractedCell(item, m));
    for (size_t f = 0; f < names.factors.size(); ++f) text += "," + (item.factors.empty() ? "" : ShortestText(item.factors[f]));
    text += "\n";
  }
  return text;
}

std::vector<ItemScore> ReadItems(const TaskCard& card, std::string_view text, const std::string& origin) {
  const ColumnNames names(card);
  std::vector<std::string> texts = {names.id,    names.group,  names.loglikelihoods, names.lengths,
                                    names.right, names.chosen, names.target};
  texts.insert(texts.end(), names.extracted.begin(), names.extracted.end());
  // Generated texts were once written as they were, zero bytes included.
  const bool has_zeros = text.find('\0') != std::string_view::npos;
  const Table table = ParseCsv(has_zeros ? Recordable(text) : text, origin, {.text_columns = texts});
  // Every column is the id, a metric, a metric's weight, the chance or one of those that may follow, in that order.
  std::vector<std::string> expected = {names.id};
  for (const MetricCard& metric : card.metrics) {
    expected.push_back(metric.name);
    if (const std::string weight = WeightName(card, metric); table.Find(weight) != nullptr) expected.push_back(weight);
  }
  expected.push_back(names.chance);
  for (size_t i = 1; i < texts.size(); ++i) {
    if (table.Find(texts[i]) != nullptr) expected.push_back(texts[i]);
  }
  expected.insert(expected.end(), names.factors.begin(), names.factors.end());
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
  const TableColumn *groups = table.Find(names.group), *likelihoods = table.Find(names.loglikelihoods),
                    *lengths = table.Find(names.lengths), *rights = table.Find(names.right),
                    *chosen = table.Find(names.chosen), *targets = table.Find(names.target);
  std::vector<const TableColumn*> extracted;
  for (const std::string& name : names.extracted) extracted.push_back(table.Find(name));
  const std::vector<double>& chances = table.Find(names.chance)->numbers;
  for (size_t row = 0; row < items.size(); ++row) {
    items[row].id = table.columns()[0].texts[row];
    items[row].chance = chances[row];
    const std::string where = fmt::format("{}: item '{}'", origin, items[row].id);
    if (groups != nullptr) items[row].group = groups->texts[row];
    if (likelihoods != nullptr) {
      items[row].loglikelihoods_nats = SplitNumbers<double>(likelihoods->texts[row], where);
    }
    if (lengths != nullptr) items[row].lengths = SplitNumbers<int64_t>(lengths->texts[row], where);
    if (rights != nullptr) items[row].right = rights->texts[row];
    if (chosen != nullptr) items[row].chosen = SplitNumbers<int64_t>(chosen->texts[row], where);
    if (!items[row].chosen.empty() && items[row].chosen.size() != card.metrics.size()) {
      throw Error(ErrorKind::kIo, fmt::format("{}: '{}' holds {} choices, and the record has {} metrics.", where,
                                              names.chosen, items[row].chosen.size(), card.metrics.size()));
    }
    if (targets != nullptr) items[row].target = targets->texts[row];
    if (targets != nullptr && items[row].target.empty() && items[row].chosen.empty())
      items[row].target = items[row].right;
    if (extracted.empty() || extracted[0] == nullptr) continue;
    for (size_t m = 0; m < extracted.size(); ++m) {
      const TableColumn& column = extracted[m] == nullptr ? *extracted[0] : *extracted[m];
      items[row].extracted.push_back(TookRightChoice(items[row], m) ? items[row].target : column.texts[row]);
    }
  }
  for (const std::string& factor : names.factors) {
    const std::vector<double>& values = table.Find(factor)->numbers;
    for (size_t row = 0; row < items.size(); ++row) items[row].factors.push_back(values[row]);
  }
  for (const MetricCard& metric : card.metrics) {
    const std::vector<double>& values = table.Find(metric.name)->numbers;
    const TableColumn* weights = table.Find(WeightName(card, metric));
    for (size_t row = 0; row < items.size(); ++row) {
      items[row].values.push_back({values[row], weights == nullptr ? 1.0 : weights->numbers[row]});
    }
  }
  return items;
}

}  // namespace bitlaw
