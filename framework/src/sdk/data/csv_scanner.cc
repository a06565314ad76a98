#include "bitlaw/sdk/data/csv_scanner.h"

#include <algorithm>
#include <functional>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

CsvScanner::CsvScanner(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {
  if (text_.substr(0, 3) == "\xEF\xBB\xBF") text_.remove_prefix(3);
}

std::vector<CsvCell> CsvScanner::ReadRecord() {
  std::vector<CsvCell> cells;
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

void CsvScanner::Fail(int line, int column, const std::string& what) const {
  throw Error(ErrorKind::kIo, SourceMark{origin_, line, column}.Text() + ": " + what);
}

void CsvScanner::Step() {
  ++at_;
  ++column_;
}

bool CsvScanner::AtCellEnd() const {
  return AtEnd() || text_[at_] == ',' || text_[at_] == '\n' || text_.substr(at_, 2) == "\r\n";
}

CsvCell CsvScanner::ReadCell() {
  CsvCell cell{"", line_, column_};
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

void CsvScanner::ReadQuoted(CsvCell& cell) {
  cell.is_quoted = true;
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
  if (!AtCellEnd()) Fail(line_, column_, "text after the closing quote of a field. Double quotes that are part of it.");
}

namespace {

constexpr size_t kMaxColumns = 10'000;

}  // namespace

std::vector<std::string> CsvColumnNames(const CsvScanner& scanner, const std::vector<CsvCell>& header) {
  if (header.size() > kMaxColumns)
    scanner.Fail(header[0].line, header[0].column, "the header has " + std::to_string(header.size()) +
                                                       " columns. At most 10000 are read. Leave out what no law uses.");
  std::vector<std::string> given;
  for (const CsvCell& cell : header) given.emplace_back(cell.is_quoted ? cell.text : std::string(Trim(cell.text)));
  if (std::all_of(given.begin(), given.end(), [](const std::string& name) { return name.empty(); }))
    scanner.Fail(header[0].line, header[0].column, "no column of the header has a name. A header line is needed.");
  std::vector<std::string> names;
  for (size_t j = 0; j < given.size(); ++j) {
    const std::string place = "column " + std::to_string(j + 1);
    const bool is_shared = std::count(given.begin(), given.end(), given[j]) > 1;
    std::string name = given[j].empty() ? place : is_shared ? given[j] + " (" + place + ")" : given[j];
    const auto is_taken = [&] {
      return std::find(names.begin(), names.end(), name) != names.end() ||
             (name != given[j] && std::find(given.begin(), given.end(), name) != given.end());
    };
    while (is_taken()) name += "'";
    names.push_back(std::move(name));
  }
  return names;
}

bool CsvCell::IsBlank() const { return Trim(text).empty(); }

void FitCsvWidth(const CsvScanner& scanner, const std::vector<CsvCell>& header, std::vector<CsvCell>& record) {
  while (record.size() > header.size() && record.back().IsBlank()) record.pop_back();
  const size_t given = record.size();
  const bool is_short = given < header.size() && std::all_of(header.begin() + static_cast<std::ptrdiff_t>(given),
                                                             header.end(), std::mem_fn(&CsvCell::IsBlank));
  if (is_short) record.resize(header.size(), {"", record.back().line, record.back().column});
  if (record.size() == header.size()) return;
  scanner.Fail(record[0].line, 1,
               "the row has " + std::to_string(record.size()) + (record.size() == 1 ? " field" : " fields") +
                   ", the header has " + std::to_string(header.size()) + ".");
}

}  // namespace bitlaw
