#include "report/page/html.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/figure/svg_themes.h"

namespace bitlaw {

namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--back:#fdfdfc;--text:#1b1b1b;--quiet:#5d5d5d;--line:#d5d5d2;--shade:#f1f1ee;
--c0:#0072b2;--c1:#d55e00;--c2:#00855f;--c3:#b9568f;--c4:#b87d00;--c5:#2f8fc6}
@media (prefers-color-scheme:dark){:root{--back:#161718;--text:#e6e6e6;--quiet:#a5a5a5;--line:#3a3c3e;--shade:#212325;
--c0:#4aa8e8;--c1:#ff8a3d;--c2:#2fc79a;--c3:#e79ac4;--c4:#e9b13c;--c5:#8fd0f5}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:62rem;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0 1rem}h2{font-size:1.2rem;margin:2rem 0 .5rem}
p,li{overflow-wrap:anywhere}ul{padding-left:1.2rem}li{margin:.3rem 0}
.table{overflow-x:auto;margin:1rem 0}table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{padding:.2rem .45rem;text-align:left;white-space:nowrap;border-bottom:1px solid var(--line)}
thead th{white-space:normal;vertical-align:bottom;min-width:3.2rem;border-bottom:2px solid var(--text)}td.n,th.n{text-align:right}tbody tr:hover{background:var(--shade)}
.note{color:var(--quiet);font-size:.85rem;margin:.15rem 0}
figure{margin:1.5rem 0;border-top:1px solid var(--line);padding-top:.5rem}figcaption{font-size:.9rem}
.panels{display:flex;flex-wrap:wrap;gap:.5rem;justify-content:center}.panels>div{flex:1 1 20rem;min-width:0;max-width:30rem}
.legend{max-width:30rem;margin:0 auto}
svg{width:100%;height:auto;display:block;color:var(--text)}
details{border-top:1px solid var(--line);padding:.3rem 0}summary{cursor:pointer;font-weight:600;padding:.3rem 0}
@media print{body{max-width:none;font-size:10pt}figure,tr{break-inside:avoid}.table{overflow:visible}
th,td{white-space:normal;padding:.1rem .3rem}}
)";

bool IsNumberColumn(const ReportTable& table, size_t column) {
  return std::any_of(table.rows.begin(), table.rows.end(), [&](const auto& row) { return row[column].is_number; });
}

std::string TableOf(const ReportTable& table) {
  std::string out = "<div class=\"table\"><table>\n";
  if (!table.title.empty()) out += "<caption>" + EscapedMarkup(table.title) + "</caption>\n";
  std::vector<const char*> of_column;
  out += "<thead><tr>";
  for (size_t j = 0; j < table.header.size(); ++j) {
    of_column.push_back(IsNumberColumn(table, j) ? " class=\"n\"" : "");
    out += fmt::format("<th scope=\"col\"{}>{}</th>", of_column[j], EscapedMarkup(table.header[j]));
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (size_t j = 0; j < row.size(); ++j) out += fmt::format("<td{}>{}</td>", of_column[j], EscapedMarkup(row[j].text));
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  for (const std::string& note : table.notes) out += "<p class=\"note\">" + EscapedMarkup(note) + "</p>\n";
  return out;
}

std::string FigureOf(const Figure& figure, const DrawnFigures& drawn) {
  std::string out = fmt::format("<figure id=\"figure-{}\">\n", figure.name), panels;
  const auto add = [&](const std::string& name, const char* begin, const char* end, std::string& to) {
    const auto at = drawn.files.find(name);
    if (at != drawn.files.end()) to += begin + SvgInPage(at->second) + end;
  };
  std::string legend;
  add(figure.name + ".legend.svg", "<div class=\"legend\">", "</div>\n", legend);
  for (size_t p = 0; p < figure.panels.size(); ++p)
    add(fmt::format("{}.panel{}.svg", figure.name, p + 1), "<div>", "</div>\n", panels);
  out += fmt::format("<figcaption><strong>{}.</strong> {}</figcaption>\n", EscapedMarkup(figure.title),
                     EscapedMarkup(figure.caption));
  if (panels.empty()) {
    out += "<p class=\"note\">Not drawn: " + EscapedMarkup(drawn.why_none) + ".</p>\n";
  } else {
    out += legend + "<div class=\"panels\">\n" + panels + "</div>\n";
  }
  return out + "</figure>\n";
}

std::string SectionOf(const ReportSection& section, const DrawnFigures& drawn) {
  std::string out;
  for (const std::string& paragraph : section.paragraphs) out += "<p>" + EscapedMarkup(paragraph) + "</p>\n";
  if (!section.bullets.empty()) {
    out += "<ul>\n";
    for (const std::string& bullet : section.bullets) out += "<li>" + EscapedMarkup(bullet) + "</li>\n";
    out += "</ul>\n";
  }
  for (const ReportTable& table : section.tables) out += TableOf(table);
  for (const Figure& figure : section.figures) out += FigureOf(figure, drawn);
  return out;
}

}  // namespace

std::string RenderHtml(const ReportDocument& document, const DrawnFigures& drawn) {
  const std::string title = EscapedMarkup(document.title);
  std::string out = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                    "<link rel=\"icon\" href=\"data:,\">\n";
  out += "<title>" + title + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n<h1>" + title + "</h1>\n";
  for (const ReportSection& section : document.sections)
    out += "<section>\n<h2>" + EscapedMarkup(section.title) + "</h2>\n" + SectionOf(section, drawn) + "</section>\n";
  if (!document.appendix.empty()) out += "<section>\n<h2>Appendix: the whole analysis</h2>\n";
  for (const ReportSection& section : document.appendix) {
    out += "<details>\n<summary>" + EscapedMarkup(section.title) + "</summary>\n" + SectionOf(section, drawn) + "</details>\n";
  }
  if (!document.appendix.empty()) out += "</section>\n";
  return out + "</body>\n</html>\n";
}

}  // namespace bitlaw
