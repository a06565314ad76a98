#include <fmt/format.h>

#include <algorithm>

#include "report/page/html.h"

namespace bitlaw {

namespace {

// Text that LaTeX sets as it is written.
std::string Latex(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    switch (c) {
      case '\\': out += "\\textbackslash{}"; break;
      case '{': case '}': case '$': case '&': case '#': case '%': case '_': out += '\\', out += c; break;
      case '~': out += "\\textasciitilde{}"; break;
      case '^': out += "\\textasciicircum{}"; break;
      case '<': out += "\\textless{}"; break;
      case '>': out += "\\textgreater{}"; break;
      case '|': out += "\\textbar{}"; break;
      case '"': out += "\\textquotedbl{}"; break;
      default: out += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? ' ' : c;
    }
  }
  return out;
}

bool IsNumberColumn(const ReportTable& table, size_t column) {
  return std::any_of(table.rows.begin(), table.rows.end(), [&](const auto& row) { return row[column].is_number; });
}

std::string ColumnsOf(const ReportTable& table) {
  std::string columns;
  for (size_t j = 0; j < table.header.size(); ++j) columns += IsNumberColumn(table, j) ? 'r' : 'l';
  return columns;
}

// Long texts (labels) are broken within a column of that share of the line; one such column for each table, the first.
std::string LongColumnsOf(const ReportTable& table) {
  constexpr size_t kLong = 24;
  std::string columns;
  bool has_long = false;
  for (size_t j = 0; j < table.header.size(); ++j) {
    const bool is_long =
        !has_long && !IsNumberColumn(table, j) &&
        std::any_of(table.rows.begin(), table.rows.end(), [&](const auto& row) { return row[j].text.size() > kLong; });
    has_long = has_long || is_long;
    columns += is_long ? "p{0.36\\textwidth}" : IsNumberColumn(table, j) ? "r" : "l";
  }
  return columns;
}

template <class CellOf>
std::string Line(size_t columns, CellOf&& of) {
  std::string out;
  for (size_t j = 0; j < columns; ++j) out += (j > 0 ? " & " : "") + Latex(of(j));
  return out + " \\\\\n";
}

std::string RowsOf(const ReportTable& table) {
  std::string out;
  for (const auto& row : table.rows) out += Line(table.header.size(), [&](size_t j) { return row[j].text; });
  return out;
}

// What the first page has: a float, made smaller where it is wider than the line, never larger.
std::string TableOf(const ReportTable& table) {
  std::string out = "\\begin{table}[htbp]\n\\centering\n";
  if (!table.title.empty()) out += "\\caption{" + Latex(table.title) + "}\n";
  out += "\\begin{lrbox}{\\bitlawbox}\n\\begin{tabular}{" + ColumnsOf(table) + "}\n\\toprule\n";
  out += Line(table.header.size(), [&](size_t j) { return table.header[j]; });
  out += "\\midrule\n" + RowsOf(table) + "\\bottomrule\n\\end{tabular}\n\\end{lrbox}\n\\fittedbox\n";
  for (const std::string& note : table.notes) out += "\\par\\footnotesize " + Latex(note) + "\n";
  return out + "\\end{table}\n";
}

// Of any number of rows, over as many pages as they take, in the small print of an appendix.
std::string LongTableOf(const ReportTable& table) {
  std::string out =
      "{\\scriptsize\\raggedright\\setlength{\\tabcolsep}{3pt}\n\\begin{longtable}{" + LongColumnsOf(table) + "}\n";
  if (!table.title.empty()) out += "\\caption{" + Latex(table.title) + "} \\\\\n";
  const std::string header =
      "\\toprule\n" + Line(table.header.size(), [&](size_t j) { return table.header[j]; }) + "\\midrule\n";
  out += header + "\\endfirsthead\n" + header + "\\endhead\n\\bottomrule\n\\endfoot\n" + RowsOf(table) +
         "\\end{longtable}\n";
  for (const std::string& note : table.notes) out += "\\par\\noindent " + Latex(note) + "\n";
  return out + "\\par}\n";
}

std::string SectionOf(const ReportSection& section, const DrawnFigures& drawn, bool is_long) {
  std::string out = "\n\\section*{" + Latex(section.title) + "}\n";
  for (const std::string& paragraph : section.paragraphs) out += Latex(paragraph) + "\n\n";
  if (!section.bullets.empty()) {
    out += "\\begin{itemize}\n";
    for (const std::string& bullet : section.bullets) out += "\\item " + Latex(bullet) + "\n";
    out += "\\end{itemize}\n";
  }
  for (const ReportTable& table : section.tables) out += is_long ? LongTableOf(table) : TableOf(table);
  for (const Figure& figure : section.figures) {
    out += "\\begin{figure}[htbp]\n\\centering\n";
    out += drawn.files.contains(figure.name + ".pdf")
               ? fmt::format("\\includegraphics[width=\\textwidth]{{{}/{}.pdf}}\n", kFigureFolder, figure.name)
               : "Not drawn: " + Latex(drawn.why_none) + ".\n";
    out +=
        fmt::format("\\caption{{\\textbf{{{}.}} {}}}\n\\end{{figure}}\n", Latex(figure.title), Latex(figure.caption));
  }
  return out;
}

}  // namespace

std::string RenderLatex(const ReportDocument& document, const DrawnFigures& drawn) {
  std::string out =
      "\\documentclass{article}\n\\usepackage[utf8]{inputenc}\n\\usepackage[T1]{fontenc}\n\\usepackage{textcomp}\n"
      "\\usepackage{booktabs}\n\\usepackage{longtable}\n\\usepackage{graphicx}\n\\usepackage[margin=2.2cm]{geometry}\n"
      "\\setlength{\\emergencystretch}{3em}\n\\newsavebox{\\bitlawbox}\n"
      "\\newcommand{\\fittedbox}{\\ifdim\\wd\\bitlawbox>\\textwidth\\resizebox{\\textwidth}{!}{\\usebox{\\bitlawbox}}"
      "\\else\\usebox{\\bitlawbox}\\fi}\n"
      "\\begin{document}\n";
  out += "\\title{" + Latex(document.title) + "}\n\\date{}\n\\maketitle\n";
  for (const ReportSection& section : document.sections) out += SectionOf(section, drawn, false);
  for (const ReportSection& section : document.appendix) {
    if (section.is_in_paper) out += "\\clearpage\n" + SectionOf(section, drawn, true);
  }
  return out + "\\end{document}\n";
}

}  // namespace bitlaw
