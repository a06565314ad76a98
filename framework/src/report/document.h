#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/table/unset.h"
#include "report/figure/figure.h"

namespace bitlaw {

/// One cell of a report table: a text, or a number that people see rounded and programs see whole.
struct BITLAW_EXPORT ReportCell {
  std::string text;  ///< What people see.
  double number = kUnset;
  bool is_number = false;  ///< CSV gets `number`; an unset one is empty.
  /// Further numbers of the cell, each a column of its own in CSV, "<header> <name>": a standard error, or the bounds of
  /// an interval, whose text then has no column.
  std::vector<std::pair<std::string, double>> parts;

  ReportCell() = default;
  ReportCell(std::string shown) : text(std::move(shown)) {}  // NOLINT(google-explicit-constructor)
  ReportCell(const char* shown) : text(shown) {}             // NOLINT(google-explicit-constructor)
};

/// A number with `digits` significant digits: 1.34e+08, -0.359, 12. "-" if it is NaN.
BITLAW_EXPORT ReportCell Significant(double number, int digits = 4);
/// A number with `places` decimals. "-" if it is NaN.
BITLAW_EXPORT ReportCell Fixed(double number, int places);
/// An R^2 with `places` decimals; below -1, where its size says nothing, "below zero". CSV gets the number.
BITLAW_EXPORT ReportCell RSquared(double number, int places = 4);
/// "134,515,008"
BITLAW_EXPORT ReportCell Whole(double number);
/// "[-0.38, -0.34]": the bounds of an interval; CSV gets them as "low" and "high". "-" if both are NaN.
BITLAW_EXPORT ReportCell Between(double low, double high);
/// "-0.359 (0.012)": an estimate with its standard error to the same number of decimals; CSV gets both.
BITLAW_EXPORT ReportCell Estimate(double value, double standard_error);

struct BITLAW_EXPORT ReportTable {
  std::string name;   ///< File name of the CSV, without ".csv".
  std::string title;  ///< May be empty.
  std::vector<std::string> header;
  std::vector<std::vector<ReportCell>> rows;
  std::vector<std::string> notes;  ///< Printed below, a line each.
};

struct BITLAW_EXPORT ReportSection {
  std::string title;
  std::vector<std::string> paragraphs;
  std::vector<std::string> bullets;
  std::vector<ReportTable> tables;
  std::vector<Figure> figures{};
  bool is_in_paper = false;  ///< Of the appendix: LaTeX has it too.
};

/// A report before it takes a form: the same content as text, Markdown, HTML, LaTeX and CSV.
struct BITLAW_EXPORT ReportDocument {
  std::string title;
  std::vector<ReportSection> sections;
  std::vector<ReportSection> appendix{};  ///< Behind folds, where the form has them.
};

/// Characters of a text as a terminal counts them: continuation bytes of UTF-8 take no room.
BITLAW_EXPORT size_t WidthOf(const std::string& text);

/// Where the pictures of a report lie, beside it.
inline constexpr const char* kFigureFolder = "figures";

/// Columns are aligned: numbers to the right, texts to the left. Of figures the title, the caption and where they lie.
BITLAW_EXPORT std::string RenderText(const ReportDocument& document);
BITLAW_EXPORT std::string RenderText(const ReportTable& table);
BITLAW_EXPORT std::string RenderMarkdown(const ReportDocument& document);
BITLAW_EXPORT std::string RenderMarkdown(const ReportTable& table);
/// Numbers in full.
BITLAW_EXPORT std::string RenderCsv(const ReportTable& table);

}  // namespace bitlaw
