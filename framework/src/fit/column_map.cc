#include "fit/column_map.h"

#include <algorithm>
#include <cctype>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

std::string Trimmed(const std::string& text) {
  const auto is_space = [](unsigned char c) { return std::isspace(c) != 0; };
  const auto begin = std::find_if_not(text.begin(), text.end(), is_space);
  const auto end = std::find_if_not(text.rbegin(), text.rend(), is_space).base();
  return begin < end ? std::string(begin, end) : "";
}

// Splits at commas that stand in no parentheses.
std::vector<std::string> Entries(const std::string& map) {
  std::vector<std::string> entries(1);
  int depth = 0;
  for (const char c : map) {
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (c == ',' && depth == 0) {
      entries.emplace_back();
    } else {
      entries.back() += c;
    }
  }
  return entries;
}

}  // namespace

Table MapColumns(const Table& table, const std::string& map) {
  std::vector<TableColumn> added;
  for (const std::string& entry : Entries(map)) {
    const size_t equals = entry.find('=');
    const std::string name = Trimmed(entry.substr(0, equals));
    const std::string from = equals == std::string::npos ? "" : Trimmed(entry.substr(equals + 1));
    if (name.empty() || from.empty()) {
      throw Error(ErrorKind::kSpec, "--map: '" + entry + "' is not of the form name=column or name=expression.");
    }
    if (std::any_of(added.begin(), added.end(), [&](const TableColumn& column) { return column.name == name; })) {
      throw Error(ErrorKind::kSpec, "--map: '" + name + "' is given twice.");
    }
    TableColumn column;
    if (const TableColumn* source = table.Find(from)) {
      column = *source;
    } else {
      try {
        column.numbers = table.Evaluate(Expression::Parse(from));
      } catch (const Error& error) {
        throw Error(ErrorKind::kSpec, "--map " + name + ": " + error.what());
      }
    }
    column.name = name;
    added.push_back(std::move(column));
  }
  Table mapped(table.origin());
  for (const TableColumn& column : table.columns()) {
    const bool is_replaced =
        std::any_of(added.begin(), added.end(), [&](const TableColumn& one) { return one.name == column.name; });
    if (!is_replaced) mapped.Add(column);
  }
  for (TableColumn& column : added) mapped.Add(std::move(column));
  return mapped;
}

}  // namespace bitlaw
