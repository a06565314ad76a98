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

  bool IsBlank() const;  ///< Empty, or of spaces alone.
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

/// The names of the columns, all there and different. One without a name (the index that pandas writes) is "column 1" by
/// its place, and each of several that share a name is "acc (column 3)": a name never means two columns. Spaces around
/// an unquoted name are not part of it. Error(kIo) for a header without any name.
BITLAW_EXPORT std::vector<std::string> CsvColumnNames(const CsvScanner& scanner, const std::vector<CsvCell>& header);

/// Makes `record` as wide as `header` where commas at the end of lines are all that differs: empty cells too many go,
/// and those that stand under names that are not there come. Error(kIo) if it has another number of fields.
BITLAW_EXPORT void FitCsvWidth(const CsvScanner& scanner, const std::vector<CsvCell>& header,
                               std::vector<CsvCell>& record);

}  // namespace bitlaw
