#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

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

// A header in lines: no wider than the cells below it or its longest word, and not narrower than a short word.
std::vector<std::string> HeaderLines(const ReportTable& table, size_t column) {
  constexpr size_t kShort = 8;
  size_t room = kShort;
  for (const auto& row : table.rows) room = std::max(room, WidthOf(row[column].text));
  std::vector<std::string> lines(1);
  std::istringstream words(table.header[column]);
  for (std::string word; words >> word;) {
    const bool is_full = !lines.back().empty() && WidthOf(lines.back()) + 1 + WidthOf(word) > room;
    if (is_full) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
  }
  return lines;
}

std::string HeaderCell(const ReportTable& table, size_t column) {
  const std::vector<std::string> lines = HeaderLines(table, column);
  if (lines.size() == 1) return Latex(lines.front());
  std::string out = IsNumberColumn(table, column) ? "\\shortstack[r]{" : "\\shortstack[l]{";
  for (size_t i = 0; i < lines.size(); ++i) out += (i > 0 ? " \\\\ " : "") + Latex(lines[i]);
  return out + "}";
}

std::string ColumnsOf(const ReportTable& table) {
  std::string columns;
  for (size_t j = 0; j < table.header.size(); ++j) columns += IsNumberColumn(table, j) ? 'r' : 'l';
  return columns;
}

// How a long table is set: where it is wider than the line, the texts of one column (labels) are broken within what the
// others leave.
struct LongForm {
  std::string columns;
  bool is_sideways = false;  // The others leave too little of an upright page.
};

LongForm LongFormOf(const ReportTable& table) {
  constexpr size_t kLong = 24;
  // \scriptsize of Computer Modern: a digit takes 3.98 pt, few letters more; columns stand 2 x 3 pt apart. Lines have
  // 450 pt or more upright and 600 sideways.
  constexpr double kLetter = 4.1, kApart = 6, kUpright = 450, kSideways = 600, kLeastShare = 0.3;
  size_t broken = table.header.size();
  double others = kApart * static_cast<double>(table.header.size()), long_texts = 0;
  for (size_t j = 0; j < table.header.size(); ++j) {
    size_t letters = 0;
    for (const auto& row : table.rows) letters = std::max(letters, WidthOf(row[j].text));
    if (broken == table.header.size() && letters > kLong && !IsNumberColumn(table, j)) {
      broken = j;
      long_texts = kLetter * static_cast<double>(letters);
      continue;
    }
    for (const std::string& line : HeaderLines(table, j)) letters = std::max(letters, WidthOf(line));
    others += kLetter * static_cast<double>(letters);
  }
  LongForm form;
  const bool fits = others + long_texts <= kUpright;
  form.is_sideways = !fits && others > (1 - kLeastShare) * kUpright;
  const bool is_broken = !fits && !(form.is_sideways && others + long_texts <= kSideways);
  for (size_t j = 0; j < table.header.size(); ++j) {
    if (j == broken && is_broken) {
      form.columns +=
          fmt::format(">{{\\raggedright\\arraybackslash}}p{{\\dimexpr\\linewidth-{:.0f}pt\\relax}}", std::ceil(others));
    } else {
      form.columns += IsNumberColumn(table, j) ? 'r' : 'l';
    }
  }
  return form;
}

template <class CellOf>
std::string Line(size_t columns, CellOf&& of) {
  std::string out;
  for (size_t j = 0; j < columns; ++j) out += (j > 0 ? " & " : "") + of(j);
  return out + " \\\\\n";
}

std::string HeaderOf(const ReportTable& table) {
  return Line(table.header.size(), [&](size_t j) { return HeaderCell(table, j); });
}

std::string RowsOf(const ReportTable& table) {
  std::string out;
  for (const auto& row : table.rows) out += Line(table.header.size(), [&](size_t j) { return Latex(row[j].text); });
  return out;
}

// What the first page has: a float, made smaller where it is wider than the line, never larger.
std::string TableOf(const ReportTable& table) {
  std::string out = "\\begin{table}[htbp]\n\\centering\n";
  if (!table.title.empty()) out += "\\caption{" + Latex(table.title) + "}\n";
  out += "\\begin{lrbox}{\\bitlawbox}\n\\begin{tabular}{" + ColumnsOf(table) + "}\n\\toprule\n";
  out += HeaderOf(table);
  out += "\\midrule\n" + RowsOf(table) + "\\bottomrule\n\\end{tabular}\n\\end{lrbox}\n\\fittedbox\n";
  for (const std::string& note : table.notes) out += "\\par\\footnotesize " + Latex(note) + "\n";
  return out + "\\end{table}\n";
}

// Of any number of rows, over as many pages as they take, in the small print of an appendix.
std::string LongTableOf(const ReportTable& table) {
  const LongForm form = LongFormOf(table);
  std::string out = form.is_sideways ? "\\begin{landscape}\n" : "";
  out += "{\\scriptsize\\raggedright\\setlength{\\tabcolsep}{3pt}\n\\begin{longtable}{" + form.columns + "}\n";
  if (!table.title.empty()) out += "\\caption{" + Latex(table.title) + "} \\\\\n";
  const std::string header = "\\toprule\n" + HeaderOf(table) + "\\midrule\n";
  out += header + "\\endfirsthead\n" + header + "\\endhead\n\\bottomrule\n\\endfoot\n" + RowsOf(table) +
         "\\end{longtable}\n";
  for (const std::string& note : table.notes) out += "\\par\\noindent " + Latex(note) + "\n";
  return out + "\\par}\n" + (form.is_sideways ? "\\end{landscape}\n" : "");
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
      "\\usepackage{booktabs}\n\\usepackage{array}\n\\usepackage{longtable}\n\\usepackage{graphicx}\n\\usepackage{"
      "lscape}\n\\usepackage[margin=2.2cm]{geometry}\n"
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
