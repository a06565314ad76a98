#include "bitlaw/sdk/data_rows.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/jsonl.h"

namespace bitlaw {

namespace {

struct Record {
  int line = 0;  // On which it begins.
  std::vector<std::string> cells;
};

[[noreturn]] void Fail(const std::filesystem::path& path, int line, const std::string& what) {
  throw Error(ErrorKind::kIo, path.string() + ":" + std::to_string(line) + ": " + what);
}

std::vector<Record> SplitTsv(std::string_view text) {
  std::vector<Record> records;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view row = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (row.empty()) continue;
    records.push_back({line, {}});
    for (;;) {
      const size_t tab = row.find('\t');
      records.back().cells.emplace_back(row.substr(0, tab));
      if (tab == std::string_view::npos) break;
      row.remove_prefix(tab + 1);
    }
  }
  return records;
}

std::vector<Record> SplitCsv(const std::filesystem::path& path, std::string_view text) {
  std::vector<Record> records;
  int line = 1;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '\n') {  // A line without anything.
      ++at, ++line;
      continue;
    }
    Record record{line, {}};
    for (bool more = true; more;) {
      std::string cell;
      if (at < text.size() && text[at] == '"') {
        const int opened = line;
        for (++at;; ++at) {
          if (at >= text.size()) Fail(path, opened, "a quoted field that is not closed.");
          if (text[at] == '"') {
            if (text.substr(at + 1, 1) != "\"") break;
            ++at;
          }
          line += text[at] == '\n';
          cell += text[at];
        }
        ++at;
        if (at < text.size() && text[at] != ',' && text[at] != '\n') {
          Fail(path, line, "text behind the quote that closes a field. Double quotes that are part of it.");
        }
      } else {
        const size_t end = std::min(text.find_first_of(",\n", at), text.size());
        cell = text.substr(at, end - at);
        if (cell.find('"') != std::string::npos) {
          Fail(path, line, "a quote inside an unquoted field. Quote the whole field and double the quote.");
        }
        at = end;
      }
      record.cells.push_back(std::move(cell));
      more = at < text.size() && text[at] == ',';
      if (at < text.size()) {
        line += text[at] == '\n';
        ++at;
      }
    }
    records.push_back(std::move(record));
  }
  return records;
}

Value CellValue(const std::string& cell) {
  int64_t number = 0;
  const auto [end, status] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  // Only a text that the number gives back: "007" and "-0" stay texts.
  const bool whole = status == std::errc() && end == cell.data() + cell.size() && std::to_string(number) == cell;
  return whole ? Value(number) : Value(cell);
}

}  // namespace

std::vector<Value> ReadRows(const std::filesystem::path& path) {
  const std::string ending = path.extension().string();
  if (ending != ".csv" && ending != ".tsv") return ReadJsonl(path);
  const std::string text = ReadTextFile(path);
  const std::vector<Record> records = ending == ".csv" ? SplitCsv(path, text) : SplitTsv(text);
  std::vector<Value> rows;
  if (records.empty()) return rows;
  const std::vector<std::string>& names = records.front().cells;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) Fail(path, records.front().line, "column " + std::to_string(i + 1) + " has no name.");
    if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
        names.begin() + static_cast<std::ptrdiff_t>(i)) {
      Fail(path, records.front().line, "two columns have the name '" + names[i] + "'.");
    }
  }
  for (size_t r = 1; r < records.size(); ++r) {
    const Record& record = records[r];
    if (record.cells.size() != names.size()) {
      Fail(path, record.line, "the row has " + std::to_string(record.cells.size()) + " fields, and the header " +
                                  std::to_string(names.size()) + ".");
    }
    Value::Map row;
    for (size_t i = 0; i < names.size(); ++i) row.emplace_back(names[i], CellValue(record.cells[i]));
    rows.emplace_back(std::move(row));
    rows.back().set_mark({path.string(), record.line, 1});
  }
  return rows;
}

}  // namespace bitlaw
