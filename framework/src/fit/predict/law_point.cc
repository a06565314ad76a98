#include "fit/predict/law_point.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "fit/options/quoted_text.h"
#include "fit/table/baseline.h"
#include "fit/table/unset.h"

namespace bitlaw {

namespace {

constexpr size_t kMostPoints = 10000;

std::optional<double> ReadNumber(std::string_view text) {
  double number = 0;
  const std::string_view trimmed = Trim(text);
  const char* begin = trimmed.data() + (trimmed.starts_with('+') ? 1 : 0);
  const char* end = trimmed.data() + trimmed.size();
  const auto [at, status] = std::from_chars(begin, end, number);
  if (status != std::errc() || at != end || !std::isfinite(number)) return std::nullopt;
  return number;
}

[[noreturn]] void Refuse(const std::string& part, const std::string& why) {
  throw Error(ErrorKind::kSpec, fmt::format("--at: '{}' {}. Write numbers, lists and ranges: 'N=1.7e9, B=2|3|4, "
                                            "G=32..128*2, Cb=128', or the name of a model: model=NAME.",
                                            part, why));
}

// "2..4", "1..2..0.5", "32..128*2"; nothing if the text is no range.
std::optional<std::vector<double>> ReadRange(const std::string& text, const std::string& part) {
  const size_t dots = text.find("..");
  if (dots == std::string::npos) return std::nullopt;
  std::string last = text.substr(dots + 2), step = "1";
  bool is_factor = false;
  if (const size_t more = last.find(".."); more != std::string::npos) {
    step = last.substr(more + 2);
    last.resize(more);
  } else if (const size_t star = last.find('*'); star != std::string::npos) {
    step = last.substr(star + 1);
    last.resize(star);
    is_factor = true;
  }
  const auto from = ReadNumber(text.substr(0, dots)), to = ReadNumber(last), by = ReadNumber(step);
  if (!from || !to || !by) Refuse(part, "is no range of numbers");
  if (*to < *from || !(is_factor ? *by > 1 && *from > 0 : *by > 0)) Refuse(part, "is a range that does not rise");
  std::vector<double> values;
  for (size_t i = 0; values.size() <= kMostPoints; ++i) {
    const double count = static_cast<double>(i);
    const double value = is_factor ? *from * std::pow(*by, count) : *from + *by * count;
    if (value > *to * (1 + 1e-12) + (is_factor ? 0 : 1e-9 * *by)) return values;
    values.push_back(value);
  }
  Refuse(part, fmt::format("has more than {} values", kMostPoints));
}

std::string KnownValues(const Table& table, const std::string& column) {
  const TableColumn* found = table.Find(column);
  if (found == nullptr) return "";
  std::set<double> values;
  for (const double value : found->numbers) {
    if (std::isfinite(value)) values.insert(value);
  }
  constexpr size_t kShown = 8;
  std::string text;
  size_t shown = 0;
  for (const double value : values) {
    if (++shown > kShown) return text + ", ...";
    text += (text.empty() ? "" : ", ") + ShortestText(value);
  }
  return text;
}

// The one value of a column over some rows; nothing if there are none or several.
std::optional<double> OnlyValue(const Table& table, const std::string& column, auto&& takes) {
  const TableColumn* found = table.Find(column);
  std::optional<double> only;
  for (size_t row = 0; found != nullptr && !found->is_text && row < table.rows(); ++row) {
    const double value = found->numbers[row];
    if (!std::isfinite(value) || !takes(row)) continue;
    if (only && !IsSameFactor(*only, value)) return std::nullopt;
    only = value;
  }
  return only;
}

// Whether the texts of a row are those that a point names.
bool HasWords(const LawPoint& point, const Table& table, size_t row) {
  return std::all_of(point.words.begin(), point.words.end(), [&](const auto& word) {
    const TableColumn* column = table.Find(word.first);
    return column == nullptr || table.CellText(*column, row) == word.second;
  });
}

void CheckNames(const LawPoint& point, const Law& law, const Table& table) {
  std::vector<std::string> known = table.names();
  for (const std::string& name : law.covariates()) known.push_back(name);
  const auto check = [&](const std::string& name) {
    if (std::find(known.begin(), known.end(), name) != known.end()) return;
    throw Error(ErrorKind::kSpec, fmt::format("--at: '{}' is no column of the table.{} Law '{}' needs: {}.", name,
                                              DidYouMean(name, known), law.name(),
                                              JoinNames({law.covariates().begin(), law.covariates().end()})));
  };
  for (const auto& [name, number] : point.numbers) check(name);
  for (const auto& [name, word] : point.words) {
    check(name);
    const TableColumn* column = table.Find(name);
    if (column == nullptr || !column->is_text)
      throw Error(ErrorKind::kSpec, fmt::format("--at: {} = '{}': the column has numbers. Give one.", name, word));
    std::set<std::string> words(column->texts.begin(), column->texts.end());
    if (words.contains(word)) continue;
    const std::vector<std::string> names(words.begin(), words.end());
    throw Error(ErrorKind::kSpec, fmt::format("--at: no row has {} = '{}'.{} Recorded: {}.", name, word,
                                              DidYouMean(word, names), JoinNames(names)));
  }
}

}  // namespace

bool IsSameFactor(double a, double b) { return std::fabs(a - b) <= 1e-9 * std::max(std::fabs(a), std::fabs(b)); }

const double* LawPoint::Number(const std::string& name) const {
  for (const auto& [given, number] : numbers) {
    if (given == name) return &number;
  }
  return nullptr;
}

std::string LawPoint::Word(const std::string& name) const {
  for (const auto& [given, word] : words) {
    if (given == name) return word;
  }
  return "";
}

std::string LawPoint::Text() const {
  std::string text;
  for (const auto& [name, word] : words) text += (text.empty() ? "" : ", ") + name + "=" + word;
  for (const auto& [name, number] : numbers)
    text += (text.empty() ? "" : ", ") + name + "=" + fmt::format("{:.6g}", number);
  return text;
}

std::vector<LawPoint> ParsePoints(const std::string& text) {
  std::vector<LawPoint> points(1);
  std::set<std::string> seen;
  for (const std::string& part : SplitUnquoted(text, ',')) {
    if (Trim(part).empty()) continue;
    const auto sides = SplitAssignment(part);
    if (!sides) Refuse(std::string(Trim(part)), "is not NAME=VALUE");
    const std::string name = UnquotedName(sides->first);
    if (!seen.insert(name).second) Refuse(std::string(Trim(part)), "gives '" + name + "' a second time");
    std::vector<double> numbers;
    std::vector<std::string> words;
    for (const std::string& one : SplitUnquoted(sides->second, '|')) {
      const std::string value(Trim(one));
      if (value.empty()) Refuse(std::string(Trim(part)), "has an empty value");
      if (const auto number = ReadNumber(value)) {
        numbers.push_back(*number);
      } else if (const auto range = ReadRange(value, std::string(Trim(part)))) {
        numbers.insert(numbers.end(), range->begin(), range->end());
      } else {
        const bool is_quoted =
            value.size() >= 2 && value.front() == value.back() && (value[0] == '\'' || value[0] == '"');
        words.push_back(is_quoted ? value.substr(1, value.size() - 2) : value);
      }
    }
    if (!numbers.empty() && !words.empty()) Refuse(std::string(Trim(part)), "mixes numbers and words");
    // The first list is the slowest.
    std::vector<LawPoint> ordered;
    for (const LawPoint& point : points) {
      for (const double number : numbers) {
        ordered.push_back(point);
        ordered.back().numbers.emplace_back(name, number);
      }
      for (const std::string& word : words) {
        ordered.push_back(point);
        ordered.back().words.emplace_back(name, word);
      }
      if (ordered.size() > kMostPoints) Refuse(text, fmt::format("has more than {} points", kMostPoints));
    }
    points = std::move(ordered);
  }
  if (seen.empty()) Refuse(text, "names no factor");
  return points;
}

std::vector<double> CovariatesAt(const LawPoint& point, const Law& law, const Table& table) {
  CheckNames(point, law, table);
  std::vector<double> x;
  std::string missing;
  for (const std::string& name : law.covariates()) {
    if (const double* given = point.Number(name)) {
      x.push_back(*given);
      continue;
    }
    if (IsAnchorColumn(name)) {
      x.push_back(kUnset);
      continue;
    }
    std::optional<double> value =
        OnlyValue(table, name, [&](size_t row) { return point.words.empty() || HasWords(point, table, row); });
    if (!value) value = OnlyValue(table, name, [](size_t) { return true; });
    if (!value) {
      const std::string known = KnownValues(table, name);
      missing +=
          fmt::format("{}{}{}", missing.empty() ? "" : ", ", name, known.empty() ? "" : " (recorded: " + known + ")");
      continue;
    }
    x.push_back(*value);
  }
  if (!missing.empty()) {
    throw Error(ErrorKind::kSpec, fmt::format("--at '{}': law '{}' needs {} too. Add NAME=VALUE for each.",
                                              point.Text(), law.name(), missing));
  }
  return x;
}

std::string UnitAt(const LawPoint& point, const Law& law, const Table& table, const std::string& unit,
                   const std::vector<double>& x) {
  const TableColumn* column = table.Find(unit);
  if (column == nullptr) return "";
  if (const std::string named = point.Word(unit); !named.empty()) return named;
  std::map<std::string, std::vector<size_t>> rows_of;
  for (size_t row = 0; row < table.rows(); ++row) rows_of[table.CellText(*column, row)].push_back(row);
  std::set<std::string> candidates;
  for (const auto& [name, rows] : rows_of) candidates.insert(name);
  bool tells = false;
  for (size_t j = 0; j < x.size(); ++j) {
    if (IsAnchorColumn(law.covariates()[j])) continue;
    const std::vector<double>& values = table.Numbers(law.covariates()[j]);
    std::map<std::string, double> value_of;
    bool is_constant = true;
    for (const auto& [name, rows] : rows_of) {
      for (const size_t row : rows) {
        if (!std::isfinite(values[row])) continue;
        is_constant = is_constant && IsSameFactor(value_of.emplace(name, values[row]).first->second, values[row]);
      }
    }
    const auto differs = [&](const auto& one) { return !IsSameFactor(one.second, value_of.begin()->second); };
    if (!is_constant || value_of.empty() || std::none_of(value_of.begin(), value_of.end(), differs)) continue;
    tells = true;
    std::erase_if(candidates, [&](const std::string& name) {
      const auto found = value_of.find(name);
      return found == value_of.end() || !IsSameFactor(found->second, x[j]);
    });
  }
  return tells && candidates.size() == 1 ? *candidates.begin() : "";
}

}  // namespace bitlaw
