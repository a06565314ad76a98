#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/expression/expression.h"

namespace bitlaw {

/// Where a cell stands in the file it was read from; both count from 1.
struct CellPlace {
  int line = 0, column = 0;
};

/// One named column: numbers or texts, one a row. A missing number is NaN, a missing text is "".
struct BITLAW_EXPORT TableColumn {
  std::string name;
  bool is_text = false;
  std::vector<double> numbers;     ///< If !is_text.
  std::vector<std::string> texts;  ///< If is_text.
  /// Of a text column read from a file: what made it one, e.g. "table.csv:7:12: 'abc' is not a number".
  std::string first_text;
  /// Of a column read from a file: its cells by row of the file (Table::SourceRow()). Null for others.
  std::shared_ptr<const std::vector<CellPlace>> places;

  size_t size() const { return is_text ? texts.size() : numbers.size(); }
};

/// Named columns of equal length: observations, a lab's own CSV, a report's table.
class BITLAW_EXPORT Table {
 public:
  /// What error texts call it: a file name, "observations". May be empty.
  explicit Table(std::string origin = "") : origin_(std::move(origin)) {}

  const std::string& origin() const { return origin_; }
  size_t rows() const { return columns_.empty() ? 0 : columns_[0].size(); }
  const std::vector<TableColumn>& columns() const { return columns_; }
  std::vector<std::string> names() const;

  /// Adds a column. A taken name or another length is an InternalError.
  void AddNumbers(std::string name, std::vector<double> numbers);
  void AddTexts(std::string name, std::vector<std::string> texts);
  void Add(TableColumn column);

  const TableColumn* Find(std::string_view name) const;
  /// The column; Error(kSpec) with a "did you mean" if there is none. `where` leads the text.
  const TableColumn& At(std::string_view name, const std::string& where = "") const;
  /// The numbers of a column; Error(kSpec) that shows the first text if it is not one of numbers.
  const std::vector<double>& Numbers(std::string_view name, const std::string& where = "") const;
  /// One cell as text: a number in its shortest form, missing as "".
  std::string CellText(const TableColumn& column, size_t row) const;

  /// A cell by its column's name: "" and NaN where there is no such column, NaN in one of texts.
  std::string TextAt(std::string_view name, size_t row) const;
  double NumberAt(std::string_view name, size_t row) const;

  /// Whether a cell says yes: 1, true, yes, y, t, on against 0, false, no, n, f, off, in any case and with spaces
  /// around; a number column's 1 and 0. A missing cell (empty, NA, NaN, null, none) is `if_missing`. Any other cell is
  /// an Error(kIo) at file:line:column.
  bool Flag(const TableColumn& column, size_t row, bool if_missing) const;

  /// Which row of the file or table that was read `row` is; counts from 0. Rows() keeps it.
  size_t SourceRow(size_t row) const { return source_rows_.empty() ? row : source_rows_[row]; }
  /// "t.csv:14:3" of a cell, or "t.csv, row 13" for one that no file has.
  std::string Place(const TableColumn& column, size_t row) const;
  /// "row 13 (line 14)": the row as the reader of the file finds it, whatever was filtered since.
  std::string RowName(size_t row) const;
  /// The line of the file, 0 if there is none.
  int SourceLine(size_t row) const;
  /// Takes over what RowName() says from a table with the same rows.
  void KeepRowNames(const Table& table);
  /// The lines of the file, a row each.
  void SetLines(std::vector<int> lines);

  /// The rows with these indices, in this order.
  Table Rows(std::span<const size_t> rows) const;
  /// Indices of the rows for which a condition over the columns holds. Missing values: expression.h.
  std::vector<size_t> Where(const Expression& condition) const;
  /// The values of an expression over number columns, one a row.
  std::vector<double> Evaluate(const Expression& expression) const;

  /// Rows grouped by equal values of these columns, groups in order of first appearance. Missing equals missing.
  struct Group {
    std::vector<std::string> key;  ///< CellText of each column.
    std::vector<size_t> rows;
  };
  std::vector<Group> GroupBy(std::span<const std::string> columns) const;

 private:
  void CheckNewColumn(const std::string& name, size_t size) const;
  std::vector<ExpressionVariable> Scope() const;

  std::string origin_;
  std::vector<TableColumn> columns_;
  std::vector<size_t> source_rows_;  // Empty: each row is its own.
  std::shared_ptr<const std::vector<int>> lines_;  // By source row.
};

/// Whether a cell of numbers says that there is none: NA, N/A, #N/A, <NA>, NaN, null, None or nothing, in any case.
BITLAW_EXPORT bool IsMissingMark(std::string_view text);

/// How a CSV file is read.
struct BITLAW_EXPORT CsvOptions {
  /// Columns that are text whatever stands in them (identifiers made of digits). Names the file lacks are ignored.
  std::vector<std::string> text_columns;
};

/// Reads RFC 4180 CSV with a header line: comma, optional double quotes, LF or CRLF, optional byte order mark.
///
/// A column is one of numbers if each of its cells is a number or missing; otherwise it is text. Missing: an empty
/// cell, and in a column of numbers a mark of IsMissingMark(). Numbers are decimal, with '.' and an optional
/// exponent. Errors: Error(kIo) with file:line:column for rows of another length than the header, unclosed or stray
/// quotes, and empty or repeated column names.
BITLAW_EXPORT Table ReadCsv(const std::filesystem::path& path, const CsvOptions& options = {});
BITLAW_EXPORT Table ParseCsv(std::string_view text, const std::string& origin, const CsvOptions& options = {});

/// The table as CSV with LF line ends. Numbers in the shortest form that reads back to the same double; missing is
/// empty.
BITLAW_EXPORT std::string WriteCsv(const Table& table);

/// The shortest decimal that reads back to `number`; "" for NaN.
BITLAW_EXPORT std::string ShortestText(double number);

}  // namespace bitlaw
