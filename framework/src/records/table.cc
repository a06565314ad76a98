#include "records/table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "bitlaw/base/error.h"

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

std::string Table::CellText(const TableColumn& column, size_t row) const {
  return column.is_text ? column.texts[row] : ShortestText(column.numbers[row]);
}

Table Table::Rows(std::span<const size_t> rows) const {
  Table picked(origin_);
  for (const TableColumn& column : columns_) {
    TableColumn copy;
    copy.name = column.name;
    copy.is_text = column.is_text;
    copy.first_text = column.first_text;
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
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : names) columns.push_back(&Numbers(name, expression.Where(name)));
  const CompiledExpression compiled = expression.Compile(names, "column");
  std::vector<double> values(rows()), x(names.size());
  for (size_t row = 0; row < rows(); ++row) {
    for (size_t j = 0; j < names.size(); ++j) x[j] = (*columns[j])[row];
    values[row] = compiled.Number(x);
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
