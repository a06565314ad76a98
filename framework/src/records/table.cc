#include "records/table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

std::string ShortestText(double number) {
  if (std::isnan(number)) return "";
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, number);
  return std::string(buffer, result.ptr);
}

std::vector<std::string> Table::names() const {
  std::vector<std::string> names;
  for (const TableColumn& column : columns_) names.push_back(column.name);
  return names;
}

void Table::CheckNewColumn(const std::string& name, size_t size) const {
  if (Find(name) != nullptr) throw InternalError("table column '" + name + "' is added twice");
  if (!columns_.empty() && size != rows()) {
    throw InternalError("table column '" + name + "' has " + std::to_string(size) + " rows, the others " +
                        std::to_string(rows()));
  }
}

void Table::AddNumbers(std::string name, std::vector<double> numbers) {
  TableColumn column;
  column.name = std::move(name);
  column.numbers = std::move(numbers);
  Add(std::move(column));
}

void Table::AddTexts(std::string name, std::vector<std::string> texts) {
  TableColumn column;
  column.name = std::move(name);
  column.is_text = true;
  column.texts = std::move(texts);
  Add(std::move(column));
}

void Table::Add(TableColumn column) {
  CheckNewColumn(column.name, column.size());
  columns_.push_back(std::move(column));
}

const TableColumn* Table::Find(std::string_view name) const {
  for (const TableColumn& column : columns_) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

const TableColumn& Table::At(std::string_view name, const std::string& where) const {
  if (const TableColumn* column = Find(name)) return *column;
  throw Error(ErrorKind::kSpec, (where.empty() ? "" : where + ": ") + "'" + std::string(name) + "' is not a column" +
                                    (origin_.empty() ? "." : " of " + origin_ + ".") + DidYouMean(name, names()) +
                                    " Columns: " + JoinNames(names()) + ".");
}

const std::vector<double>& Table::Numbers(std::string_view name, const std::string& where) const {
  const TableColumn& column = At(name, where);
  if (!column.is_text) return column.numbers;
  const auto first =
      std::find_if(column.texts.begin(), column.texts.end(), [](const auto& text) { return !text.empty(); });
  std::string why = column.first_text;
  if (why.empty() && first != column.texts.end()) {
    why = "row " + std::to_string(first - column.texts.begin() + 1) + " holds '" + *first + "'";
  }
  throw Error(ErrorKind::kSpec, (where.empty() ? "" : where + ": ") + "column '" + std::string(name) + "'" +
                                    (origin_.empty() ? "" : " of " + origin_) + " holds texts, but numbers are needed" +
                                    (why.empty() ? "." : " (" + why + ")."));
}

std::string Table::TextAt(std::string_view name, size_t row) const {
  const TableColumn* column = Find(name);
  return column == nullptr ? "" : CellText(*column, row);
}

double Table::NumberAt(std::string_view name, size_t row) const {
  const TableColumn* column = Find(name);
  return column == nullptr || column->is_text ? std::numeric_limits<double>::quiet_NaN() : column->numbers[row];
}

std::string Table::CellText(const TableColumn& column, size_t row) const {
  return column.is_text ? column.texts[row] : ShortestText(column.numbers[row]);
}

std::string Table::Place(const TableColumn& column, size_t row) const {
  const size_t source = SourceRow(row);
  if (column.places != nullptr && source < column.places->size()) {
    const CellPlace& place = (*column.places)[source];
    return SourceMark{origin_, place.line, place.column}.Text();
  }
  return (origin_.empty() ? "" : origin_ + ", ") + "row " + std::to_string(source + 1);
}

int Table::SourceLine(size_t row) const {
  const size_t source = SourceRow(row);
  return lines_ == nullptr || source >= lines_->size() ? 0 : (*lines_)[source];
}

std::string Table::RowName(size_t row) const {
  const int line = SourceLine(row);
  return "row " + std::to_string(SourceRow(row) + 1) + (line > 0 ? " (line " + std::to_string(line) + ")" : "");
}

void Table::KeepRowNames(const Table& table) {
  source_rows_ = table.source_rows_;
  lines_ = table.lines_;
}

void Table::SetLines(std::vector<int> lines) {
  lines_ = std::make_shared<const std::vector<int>>(std::move(lines));
}

namespace {

std::string LowerTrimmed(std::string_view text) {
  std::string lower;
  for (const char c : Trim(text)) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

bool Table::Flag(const TableColumn& column, size_t row, bool if_missing) const {
  if (!column.is_text) {
    const double number = column.numbers[row];
    if (std::isnan(number)) return if_missing;
    if (number == 0 || number == 1) return number == 1;
  } else {
    const std::string word = LowerTrimmed(column.texts[row]);
    if (IsMissingMark(word)) return if_missing;
    if (IsOneOf(word, {"1", "1.0", "true", "yes", "y", "t", "on"})) return true;
    if (IsOneOf(word, {"0", "0.0", "false", "no", "n", "f", "off"})) return false;
  }
  throw Error(ErrorKind::kIo, Place(column, row) + ": '" + CellText(column, row) + "' in column '" + column.name +
                                  "' is neither true nor false. Write 1, true or yes, or 0, false or no; an empty "
                                  "cell is missing.");
}

namespace {

// The text columns that an expression uses otherwise than against a text.
std::vector<std::string> UsedAsNumbers(const Expression& expression, const std::vector<ExpressionVariable>& scope) {
  std::vector<std::string> found;
  for (size_t j = 0; j < scope.size(); ++j) {
    if (scope[j].type != ExpressionType::kText) continue;
    std::vector<std::string> tests;
    const std::vector<std::string> untested = expression.LiftTextTests(tests).names();
    if (std::find(untested.begin(), untested.end(), scope[j].name) != untested.end()) found.push_back(scope[j].name);
  }
  return found;
}

}  // namespace

Table Table::Rows(std::span<const size_t> rows) const {
  Table picked(origin_);
  picked.lines_ = lines_;
  for (const size_t row : rows) picked.source_rows_.push_back(SourceRow(row));
  for (const TableColumn& column : columns_) {
    TableColumn copy;
    copy.name = column.name;
    copy.is_text = column.is_text;
    copy.first_text = column.first_text;
    copy.places = column.places;
    for (const size_t row : rows) {
      if (column.is_text) {
        copy.texts.push_back(column.texts[row]);
      } else {
        copy.numbers.push_back(column.numbers[row]);
      }
    }
    picked.Add(std::move(copy));
  }
  return picked;
}

std::vector<ExpressionVariable> Table::Scope() const {
  std::vector<ExpressionVariable> scope;
  for (const TableColumn& column : columns_) {
    scope.push_back({column.name, column.is_text ? ExpressionType::kText : ExpressionType::kNumber});
  }
  return scope;
}

std::vector<size_t> Table::Where(const Expression& condition) const {
  const CompiledExpression compiled = condition.Compile(Scope(), ExpressionType::kBool, "column");
  std::vector<double> numbers(columns_.size(), 0);
  std::vector<std::string_view> texts(columns_.size());
  std::vector<size_t> kept;
  for (size_t row = 0; row < rows(); ++row) {
    for (size_t j = 0; j < columns_.size(); ++j) {
      if (columns_[j].is_text) {
        texts[j] = columns_[j].texts[row];
      } else {
        numbers[j] = columns_[j].numbers[row];
      }
    }
    if (compiled.Truth(numbers, texts)) kept.push_back(row);
  }
  return kept;
}

std::vector<double> Table::Evaluate(const Expression& expression) const {
  const std::vector<std::string> names = expression.names();
  std::vector<const TableColumn*> columns;
  std::vector<ExpressionVariable> scope;
  for (const std::string& name : names) {
    columns.push_back(&At(name, expression.Where(name)));
    scope.push_back({name, columns.back()->is_text ? ExpressionType::kText : ExpressionType::kNumber});
  }
  CompiledExpression compiled;
  try {
    compiled = expression.Compile(scope, ExpressionType::kNumber, "column");
  } catch (const Error&) {
    // Of a column that was meant to be one of numbers the first text says more than its type.
    for (const std::string& name : UsedAsNumbers(expression, scope)) Numbers(name, expression.Where(name));
    throw;
  }
  std::vector<double> values(rows()), x(names.size());
  std::vector<std::string_view> texts(names.size());
  for (size_t row = 0; row < rows(); ++row) {
    for (size_t j = 0; j < names.size(); ++j) {
      if (columns[j]->is_text) {
        texts[j] = columns[j]->texts[row];
      } else {
        x[j] = columns[j]->numbers[row];
      }
    }
    values[row] = compiled.NumberWithTexts(x, texts);
  }
  return values;
}

std::vector<Table::Group> Table::GroupBy(std::span<const std::string> columns) const {
  std::vector<const TableColumn*> by;
  for (const std::string& name : columns) by.push_back(&At(name));
  std::vector<Group> groups;
  std::map<std::vector<std::string>, size_t> index_of;
  for (size_t row = 0; row < rows(); ++row) {
    std::vector<std::string> key;
    for (const TableColumn* column : by) key.push_back(CellText(*column, row));
    const auto [place, is_new] = index_of.try_emplace(key, groups.size());
    if (is_new) groups.push_back({std::move(key), {}});
    groups[place->second].rows.push_back(row);
  }
  return groups;
}

}  // namespace bitlaw
