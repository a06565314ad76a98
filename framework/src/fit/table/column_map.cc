#include "fit/table/column_map.h"

#include <algorithm>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "fit/options/quoted_text.h"

namespace bitlaw {

namespace {

struct MapEntry {
  std::string name, from;
  std::string where{};  // How errors begin: "--map N", "study.yaml:5:3: map.N".
};

// The quotes around entries of a shell that does not take them away (cmd.exe) are not looked for: 'a' is a text.
std::vector<MapEntry> Entries(const std::string& map, const Table& table) {
  std::vector<MapEntry> entries;
  for (const std::string& text : SplitUnquoted(map, ',')) {
    const size_t equals = FindUnquoted(text, "=");
    MapEntry entry;
    entry.name = UnquotedName(std::string_view(text).substr(0, equals));
    // acc=acc,none means the column 'acc,none' where there is one.
    const std::string joined = entries.empty() ? "" : entries.back().from + "," + std::string(TrimRight(text));
    if (equals == std::string::npos && table.Find(joined) != nullptr) {
      entries.back().from = joined;
      continue;
    }
    if (equals != std::string::npos) entry.from = Trim(std::string_view(text).substr(equals + 1));
    if (entry.name.empty() || entry.from.empty()) {
      throw Error(ErrorKind::kSpec, "--map: '" + text +
                                        "' is not of the form name=column or name=expression. A name with a comma "
                                        "stands in backquotes: name=`a,b`.");
    }
    const auto same = [&](const MapEntry& other) { return other.name == entry.name; };
    if (std::any_of(entries.begin(), entries.end(), same))
      throw Error(ErrorKind::kSpec, "--map: '" + entry.name + "' is given twice.");
    entry.where = "--map " + entry.name;
    entries.push_back(std::move(entry));
  }
  return entries;
}

TableColumn Column(const Table& table, const MapEntry& entry, const std::vector<MapEntry>& entries) {
  for (const std::string& name : {entry.from, UnquotedName(entry.from)}) {
    if (const TableColumn* source = table.Find(name)) return *source;
  }
  TableColumn column;
  try {
    const Expression expression = Expression::Parse(entry.from);
    for (const std::string& name : expression.names()) {
      const auto later = std::find_if(entries.begin(), entries.end(), [&](const auto& one) { return one.name == name; });
      if (table.Find(name) == nullptr && later != entries.end()) {
        throw Error(ErrorKind::kSpec, expression.Where(name) +
                                          " is made by this entry or a later one. Entries are read from left to right: "
                                          "put '" + name + "' before.");
      }
    }
    column.numbers = table.Evaluate(expression);
  } catch (const Error& error) {
    throw Error(ErrorKind::kSpec, entry.where + ": " + error.what());
  }
  return column;
}

Table Apply(const Table& table, const std::vector<MapEntry>& entries) {
  Table mapped = table;
  for (const MapEntry& entry : entries) {
    TableColumn column = Column(mapped, entry, entries);
    column.name = entry.name;
    Table next(table.origin());
    next.KeepRowNames(table);
    for (const TableColumn& one : mapped.columns()) {
      if (one.name != entry.name) next.Add(one);
    }
    next.Add(std::move(column));
    mapped = std::move(next);
  }
  return mapped;
}

}  // namespace

Table MapColumns(const Table& table, const std::string& map) { return Apply(table, Entries(map, table)); }

Table MapColumns(const Table& table, const std::vector<std::pair<std::string, Value>>& map) {
  std::vector<MapEntry> entries;
  for (const auto& [name, value] : map) {
    const std::string place = value.mark().Text();
    entries.push_back({name, value.is_string() ? value.AsString() : value.Text(),
                       (place.empty() ? "" : place + ": ") + "map." + name});
  }
  return Apply(table, entries);
}

}  // namespace bitlaw
