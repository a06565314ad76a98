#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/data/csv_scanner.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "records/csv_text.h"
#include "records/table.h"

namespace bitlaw {

bool IsMissingMark(std::string_view text) {
  static constexpr std::string_view kMarks[] = {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"};
  std::string lower;
  for (const char c : Trim(text)) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return std::find(std::begin(kMarks), std::end(kMarks), lower) != std::end(kMarks);
}

namespace {

std::optional<double> ParseNumber(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  if (text.size() < 5 && IsMissingMark(text)) return std::numeric_limits<double>::quiet_NaN();
  if (text.front() == '+') text.remove_prefix(1);
  double number = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return number;
}

// White space at the ends of a column's name counts in quotes only, and so does a byte order mark at the beginning of a
// file.
bool NeedsQuotes(const std::string& text) {
  return text.find_first_of(",\"\r\n") != std::string::npos || Trim(text).size() != text.size() ||
         text.starts_with("\xef\xbb\xbf");
}

// "-1.5 -2": a number, or several with spaces between.
bool IsNumbers(std::string_view text) {
  for (size_t space; (space = text.find(' ')) != std::string_view::npos; text.remove_prefix(space + 1)) {
    if (!ParseNumber(text.substr(0, space))) return false;
  }
  return ParseNumber(text).has_value();
}

// Spreadsheets run what begins like a formula. One apostrophe before it makes a text of it, as it would in a cell, and
// is taken away when the file is read; a text that would read as guarded gets another. Numbers are no formulas, nor are
// lists of them and signs alone ("+-", the head of a column of errors).
bool BeginsLikeAFormula(std::string_view text) {
  const size_t start = text.find_first_not_of('\'');
  if (start == std::string_view::npos) return false;
  const std::string_view rest = text.substr(start);
  static constexpr std::string_view kStarts = "=+-@\t\r";
  const bool has_operand = std::any_of(rest.begin(), rest.end(), [](unsigned char c) { return c > 0x7f || std::isalnum(c); });
  return has_operand && kStarts.find(rest.front()) != std::string_view::npos && !IsNumbers(rest);
}

void AppendField(std::string& out, const std::string& text) {
  if (!NeedsQuotes(text)) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  out += '"';
}

TableColumn MakeColumn(const std::string& name, const std::string& origin, bool force_text, std::vector<CsvCell>& cells) {
  TableColumn column;
  column.name = name;
  column.is_text = force_text;
  for (const CsvCell& cell : cells) {
    if (column.is_text) break;
    const std::optional<double> number = ParseNumber(cell.text);
    if (number) {
      column.numbers.push_back(*number);
    } else {
      column.is_text = true;
      column.first_text = SourceMark{origin, cell.line, cell.column}.Text() + ": '" + cell.text + "' is not a number";
    }
  }
  if (column.is_text) {
    column.numbers.clear();
    for (CsvCell& cell : cells) column.texts.push_back(UnguardedCsvText(std::move(cell.text)));
  }
  auto places = std::make_shared<std::vector<CellPlace>>();
  for (const CsvCell& cell : cells) places->push_back({cell.line, cell.column});
  column.places = std::move(places);
  return column;
}

}  // namespace

std::string GuardedCsvText(const std::string& text) { return BeginsLikeAFormula(text) ? "'" + text : text; }

std::string CsvField(const std::string& text) {
  std::string field;
  AppendField(field, GuardedCsvText(text));
  return field;
}

std::string UnguardedCsvText(std::string text) {
  if (text.starts_with('\'') && BeginsLikeAFormula(text)) text.erase(0, 1);
  return text;
}

Table ParseCsv(std::string_view text, const std::string& origin, const CsvOptions& options) {
  CsvScanner scanner(text, origin);
  if (scanner.AtEnd()) throw Error(ErrorKind::kIo, origin + ": the file is empty. A header line is needed.");
  const std::vector<CsvCell> header = scanner.ReadRecord();
  // Without the apostrophes: "=x" and "'=x" of one file are one name twice.
  std::vector<CsvCell> named = header;
  for (CsvCell& cell : named) {
    cell.text = UnguardedCsvText(cell.is_quoted ? std::move(cell.text) : std::string(Trim(cell.text)));
    cell.is_quoted = true;
  }
  const std::vector<std::string> names = CsvColumnNames(scanner, named);
  std::vector<std::vector<CsvCell>> cells(header.size());
  std::vector<int> lines;
  while (!scanner.AtEnd()) {
    std::vector<CsvCell> record = scanner.ReadRecord();
    // A blank last line is what some editors leave behind.
    const bool blank_end = scanner.AtEnd() && record.size() == 1 && record[0].text.empty() && header.size() > 1;
    if (blank_end) break;
    FitCsvWidth(scanner, header, record);
    lines.push_back(record[0].line);
    for (size_t j = 0; j < record.size(); ++j) cells[j].push_back(std::move(record[j]));
  }
  Table table(origin);
  for (size_t j = 0; j < header.size(); ++j) {
    // A column without name and content is a comma too many.
    if (header[j].IsBlank() && std::all_of(cells[j].begin(), cells[j].end(), std::mem_fn(&CsvCell::IsBlank))) continue;
    const bool force_text =
        std::find(options.text_columns.begin(), options.text_columns.end(), names[j]) != options.text_columns.end();
    table.Add(MakeColumn(names[j], origin, force_text, cells[j]));
  }
  table.SetLines(std::move(lines));
  return table;
}

Table ReadCsv(const std::filesystem::path& path, const CsvOptions& options) {
  return ParseCsv(ReadWholeFile(path), path.string(), options);
}

std::string WriteCsv(const Table& table) {
  std::string out;
  const auto& columns = table.columns();
  for (size_t j = 0; j < columns.size(); ++j) {
    if (j > 0) out += ',';
    AppendField(out, GuardedCsvText(columns[j].name));
  }
  out += '\n';
  for (size_t row = 0; row < table.rows(); ++row) {
    for (size_t j = 0; j < columns.size(); ++j) {
      if (j > 0) out += ',';
      const std::string cell = table.CellText(columns[j], row);
      // A line with nothing on it would read as no row at all.
      if (columns.size() == 1 && cell.empty()) out += "\"\"";
      AppendField(out, columns[j].is_text ? GuardedCsvText(cell) : cell);
    }
    out += '\n';
  }
  return out;
}

}  // namespace bitlaw
