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

std::string TableOf(const ReportTable& table) {
  std::string columns;
  for (size_t j = 0; j < table.header.size(); ++j) columns += IsNumberColumn(table, j) ? 'r' : 'l';
  std::string out = "\\begin{table}[htbp]\n\\centering\n";
  if (!table.title.empty()) out += "\\caption{" + Latex(table.title) + "}\n";
  // Wider than the line it is made smaller, never larger.
  out += "\\begin{adjustbox}{max width=\\textwidth}\n\\begin{tabular}{" + columns + "}\n\\toprule\n";
  const auto line = [&](auto&& of) {
    for (size_t j = 0; j < table.header.size(); ++j) out += (j > 0 ? " & " : "") + Latex(of(j));
    out += " \\\\\n";
  };
  line([&](size_t j) { return table.header[j]; });
  out += "\\midrule\n";
  for (const auto& row : table.rows) line([&](size_t j) { return row[j].text; });
  out += "\\bottomrule\n\\end{tabular}\n\\end{adjustbox}\n";
  for (const std::string& note : table.notes) out += "\\par\\footnotesize " + Latex(note) + "\n";
  return out + "\\end{table}\n";
}

}  // namespace

std::string RenderLatex(const ReportDocument& document, const DrawnFigures& drawn) {
  std::string out =
      "\\documentclass{article}\n\\usepackage[utf8]{inputenc}\n\\usepackage[T1]{fontenc}\n\\usepackage{textcomp}\n"
      "\\usepackage{adjustbox}\n\\usepackage{booktabs}\n\\usepackage{graphicx}\n\\usepackage[margin=2.2cm]{geometry}\n"
      "\\begin{document}\n";
  out += "\\title{" + Latex(document.title) + "}\n\\date{}\n\\maketitle\n";
  for (const ReportSection& section : document.sections) {
    out += "\n\\section*{" + Latex(section.title) + "}\n";
    for (const std::string& paragraph : section.paragraphs) out += Latex(paragraph) + "\n\n";
    if (!section.bullets.empty()) {
      out += "\\begin{itemize}\n";
      for (const std::string& bullet : section.bullets) out += "\\item " + Latex(bullet) + "\n";
      out += "\\end{itemize}\n";
    }
    for (const ReportTable& table : section.tables) out += TableOf(table);
    for (const Figure& figure : section.figures) {
      out += "\\begin{figure}[htbp]\n\\centering\n";
      out += drawn.files.contains(figure.name + ".pdf")
                 ? fmt::format("\\includegraphics[width=\\textwidth]{{{}/{}.pdf}}\n", kFigureFolder, figure.name)
                 : "Not drawn: " + Latex(drawn.why_none) + ".\n";
      out += fmt::format("\\caption{{\\textbf{{{}.}} {}}}\n\\end{{figure}}\n", Latex(figure.title), Latex(figure.caption));
    }
  }
  return out + "\\end{document}\n";
}

}  // namespace bitlaw
