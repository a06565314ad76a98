#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "bitlaw/base/error.h"
#include "records/record.h"

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

std::string Number(double value) { return std::isnan(value) ? "" : fmt::format("{}", value); }

// Which metrics need a weight column.
std::vector<bool> Weighted(const TaskCard& card, const std::vector<ItemScore>& items) {
  std::vector<bool> weighted(card.metrics.size(), false);
  for (const ItemScore& item : items) {
    for (size_t m = 0; m < weighted.size(); ++m) weighted[m] = weighted[m] || item.values[m].weight != 1.0;
  }
  return weighted;
}

// RFC 4180 rows, quoted fields included.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {}

  bool Next(std::vector<std::string>& fields) {
    if (at_ >= text_.size()) return false;
    ++line_;
    fields.assign(1, "");
    for (;;) {
      if (at_ >= text_.size()) Fail("the last line has no end");
      const char c = text_[at_++];
      if (c == '\n') return true;
      if (c == ',') {
        fields.emplace_back();
      } else if (c == '"' && fields.back().empty()) {
        ReadQuoted(fields.back());
      } else {
        fields.back() += c;
      }
    }
  }

  double ToNumber(const std::string& field) const {
    if (field.empty()) return std::numeric_limits<double>::quiet_NaN();
    double value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size()) Fail(fmt::format("'{}' is no number", field));
    return value;
  }

  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorKind::kIo, fmt::format("{}:{}: {}.", origin_, line_, what));
  }

 private:
  void ReadQuoted(std::string& field) {
    for (;;) {
      if (at_ >= text_.size()) Fail("a quoted field does not end");
      const char c = text_[at_++];
      if (c != '"') {
        field += c;
      } else if (at_ < text_.size() && text_[at_] == '"') {
        field += text_[at_++];
      } else {
        return;
      }
    }
  }

  std::string_view text_;
  const std::string& origin_;
  size_t at_ = 0;
  int64_t line_ = 0;
};

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
      text += "," + Number(item.values[m].value);
      if (weighted[m]) text += "," + Number(item.values[m].weight);
    }
    text += "," + Number(item.chance) + "\n";
  }
  return text;
}

std::vector<ItemScore> ReadItems(const TaskCard& card, std::string_view text, const std::string& origin) {
  CsvReader reader(text, origin);
  std::vector<std::string> fields;
  if (!reader.Next(fields)) throw Error(ErrorKind::kIo, fmt::format("{}: the file is empty.", origin));
  // Every column of the header is the id, a metric, a metric's weight or the chance, in that order.
  std::vector<bool> weighted(card.metrics.size(), false);
  std::vector<std::string> expected = {"id"};
  for (size_t m = 0, column = 1; m < card.metrics.size(); ++m, ++column) {
    expected.push_back(card.metrics[m].name);
    if (column + 1 < fields.size() && fields[column + 1] == card.metrics[m].name + "_weight") {
      weighted[m] = true;
      expected.push_back(fields[++column]);
    }
  }
  expected.push_back("chance");
  if (fields != expected) {
    reader.Fail(fmt::format("the columns are {}, the record's metrics need {}", JoinNames(fields), JoinNames(expected)));
  }
  std::vector<ItemScore> items;
  while (reader.Next(fields)) {
    if (fields.size() != expected.size()) {
      reader.Fail(fmt::format("{} fields under {} columns", fields.size(), expected.size()));
    }
    ItemScore item;
    item.id = fields[0];
    size_t column = 1;
    for (size_t m = 0; m < card.metrics.size(); ++m) {
      ItemValue value;
      value.value = reader.ToNumber(fields[column++]);
      if (weighted[m]) value.weight = reader.ToNumber(fields[column++]);
      item.values.push_back(value);
    }
    item.chance = reader.ToNumber(fields[column]);
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace bitlaw
