#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "bitlaw/base/error.h"
#include "records/durable_file.h"
#include "records/table.h"

namespace bitlaw {

namespace {

struct Cell {
  std::string text;
  int line, column;
};

// Splits CSV text into records, by RFC 4180.
class CsvScanner {
 public:
  CsvScanner(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") text_.remove_prefix(3);
  }

  bool AtEnd() const { return at_ == text_.size(); }

  std::vector<Cell> ReadRecord() {
    std::vector<Cell> cells;
    while (true) {
      cells.push_back(ReadCell());
      if (AtEnd()) return cells;
      const char c = text_[at_];
      Step();
      if (c == ',') continue;
      if (c == '\r') Step();  // ReadCell() saw to it that LF follows.
      ++line_;
      column_ = 1;
      return cells;
    }
  }

  [[noreturn]] void Fail(int line, int column, const std::string& what) const {
    throw Error(ErrorKind::kIo, SourceMark{origin_, line, column}.Text() + ": " + what);
  }

 private:
  void Step() {
    ++at_;
    ++column_;
  }

  bool AtCellEnd() const {
    return AtEnd() || text_[at_] == ',' || text_[at_] == '\n' || text_.substr(at_, 2) == "\r\n";
  }

  Cell ReadCell() {
    Cell cell{"", line_, column_};
    if (!AtEnd() && text_[at_] == '"') {
      ReadQuoted(cell);
      return cell;
    }
    const size_t begin = at_;
    while (!AtCellEnd()) {
      if (text_[at_] == '"')
        Fail(line_, column_, "a quote inside an unquoted field. Quote the whole field and double the quote.");
      if (text_[at_] == '\r')
        Fail(line_, column_, "a carriage return that no line feed follows. Lines end in LF or CRLF.");
      if (text_[at_] == '\0') Fail(line_, column_, "a zero byte. The file is not text.");
      Step();
    }
    cell.text = text_.substr(begin, at_ - begin);
    return cell;
  }

  void ReadQuoted(Cell& cell) {
    Step();
    while (true) {
      if (AtEnd()) Fail(cell.line, cell.column, "a quoted field that is not closed.");
      const char c = text_[at_];
      Step();
      if (c == '"') {
        if (AtEnd() || text_[at_] != '"') break;
        Step();
      }
      cell.text += c;
      if (c == '\n') {
        ++line_;
        column_ = 1;
      }
    }
    if (!AtCellEnd()) Fail(line_, column_, "text after the closing quote of a field.");
  }

  std::string_view text_;
  const std::string& origin_;
  size_t at_ = 0;
  int line_ = 1, column_ = 1;
};

bool IsMissingMark(std::string_view text) {
  static constexpr std::string_view kMarks[] = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"};
  return std::find(std::begin(kMarks), std::end(kMarks), text) != std::end(kMarks);
}

std::optional<double> ParseNumber(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  if (IsMissingMark(text)) return std::numeric_limits<double>::quiet_NaN();
  if (text.front() == '+') text.remove_prefix(1);
  double number = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return number;
}

bool NeedsQuotes(const std::string& text) { return text.find_first_of(",\"\r\n") != std::string::npos; }

void AppendField(std::string& out, const std::string& text) {
  if (!NeedsQuotes(text)) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  out += '"';
}

TableColumn MakeColumn(const std::string& name, const std::string& origin, bool force_text, std::vector<Cell>& cells) {
  TableColumn column;
  column.name = name;
  column.is_text = force_text;
  for (const Cell& cell : cells) {
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
    for (Cell& cell : cells) column.texts.push_back(std::move(cell.text));
  }
  return column;
}

}  // namespace

Table ParseCsv(std::string_view text, const std::string& origin, const CsvOptions& options) {
  CsvScanner scanner(text, origin);
  if (scanner.AtEnd()) throw Error(ErrorKind::kIo, origin + ": the file is empty. A header line is needed.");
  const std::vector<Cell> header = scanner.ReadRecord();
  for (size_t j = 0; j < header.size(); ++j) {
    if (header[j].text.empty()) {
      scanner.Fail(header[j].line, header[j].column, "column " + std::to_string(j + 1) + " of the header has no name.");
    }
    for (size_t i = 0; i < j; ++i) {
      if (header[i].text == header[j].text) {
        scanner.Fail(header[j].line, header[j].column,
                     "column name '" + header[j].text + "' stands in the header twice.");
      }
    }
  }
  std::vector<std::vector<Cell>> cells(header.size());
  while (!scanner.AtEnd()) {
    std::vector<Cell> record = scanner.ReadRecord();
    if (record.size() != header.size()) {
      // A blank last line is what some editors leave behind.
      if (scanner.AtEnd() && record.size() == 1 && record[0].text.empty()) break;
      scanner.Fail(record[0].line, 1,
                   "the row has " + std::to_string(record.size()) + (record.size() == 1 ? " field" : " fields") +
                       ", the header has " + std::to_string(header.size()) + ".");
    }
    for (size_t j = 0; j < record.size(); ++j) cells[j].push_back(std::move(record[j]));
  }
  Table table(origin);
  for (size_t j = 0; j < header.size(); ++j) {
    const bool force_text = std::find(options.text_columns.begin(), options.text_columns.end(), header[j].text) !=
                            options.text_columns.end();
    table.Add(MakeColumn(header[j].text, origin, force_text, cells[j]));
  }
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
    AppendField(out, columns[j].name);
  }
  out += '\n';
  for (size_t row = 0; row < table.rows(); ++row) {
    for (size_t j = 0; j < columns.size(); ++j) {
      if (j > 0) out += ',';
      const std::string cell = table.CellText(columns[j], row);
      // A line with nothing on it would read as no row at all.
      if (columns.size() == 1 && cell.empty()) out += "\"\"";
      AppendField(out, cell);
    }
    out += '\n';
  }
  return out;
}

}  // namespace bitlaw
