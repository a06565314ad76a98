#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A field of a CSV record and where it begins; lines and columns count from 1.
struct BITLAW_EXPORT CsvCell {
  std::string text;
  int line = 1, column = 1;
  bool is_quoted = false;
};

/// Splits CSV text into records, by RFC 4180: commas, fields in double quotes with quotes doubled inside, LF or CR LF,
/// and a byte-order mark that is dropped. What the records mean, a header line included, is the caller's matter.
///
///     CsvScanner scanner(text, "a.csv");
///     while (!scanner.AtEnd()) { const std::vector<CsvCell> record = scanner.ReadRecord(); ... }
///
/// `text` and `origin` (the file's name in errors) must outlive the scanner.
class BITLAW_EXPORT CsvScanner {
 public:
  CsvScanner(std::string_view text, const std::string& origin);

  bool AtEnd() const { return at_ == text_.size(); }

  /// The next record, of at least one cell: a line without anything is one empty cell that is not quoted.
  /// Error(kIo) with file:line:column for an unclosed or stray quote, text after a closing quote, a carriage return
  /// that no line feed follows, and a zero byte.
  std::vector<CsvCell> ReadRecord();

  /// Error(kIo) with "<origin>:line:column: what".
  [[noreturn]] void Fail(int line, int column, const std::string& what) const;

 private:
  void Step();
  bool AtCellEnd() const;
  CsvCell ReadCell();
  void ReadQuoted(CsvCell& cell);

  std::string_view text_;
  const std::string& origin_;
  size_t at_ = 0;
  int line_ = 1, column_ = 1;
};

/// Refuses a header whose names are not all there and different: Error(kIo) at the offending cell.
BITLAW_EXPORT void CheckCsvHeader(const CsvScanner& scanner, const std::vector<CsvCell>& header);

/// Error(kIo) if `record` has another number of fields than `header`.
BITLAW_EXPORT void CheckCsvWidth(const CsvScanner& scanner, const std::vector<CsvCell>& header,
                                 const std::vector<CsvCell>& record);

}  // namespace bitlaw
