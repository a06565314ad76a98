#include "report/page/study_page.h"

#include "bitlaw/base/error.h"
#include "report/page/front_page.h"
#include "report/page/html.h"
#include "report/pictures/study_figures.h"
#include "report/study_report.h"

namespace bitlaw {

ReportDocument StudyPage(const StudyResults& results, bool all_methods, const std::vector<std::string>& laws) {
  ReportDocument page;
  page.title = "Study " + results.description.study;
  page.sections = FrontPage(results);
  StudyFigures figures = MakeStudyFigures(results, laws);
  if (!figures.figures.empty() || !figures.left_out.empty()) {
    ReportSection section;
    section.title = "Figures";
    if (!laws.empty()) section.paragraphs.push_back("Of the laws that were asked for: " + JoinNames(laws) + ".");
    for (const std::string& one : figures.left_out) section.bullets.push_back("Not here: " + one);
    section.figures = std::move(figures.figures);
    page.sections.push_back(std::move(section));
  }
  page.appendix = StudyDocument(results, all_methods).sections;
  return page;
}

std::vector<Figure> FiguresOf(const ReportDocument& document) {
  std::vector<Figure> figures;
  for (const auto* sections : {&document.sections, &document.appendix}) {
    for (const ReportSection& section : *sections)
      figures.insert(figures.end(), section.figures.begin(), section.figures.end());
  }
  return figures;
}

DrawnFigures DrawPage(ReportDocument& page, const std::string& program) {
  DrawnFigures drawn = DrawFigures(FiguresOf(page), program);
  for (auto* sections : {&page.sections, &page.appendix}) {
    for (ReportSection& section : *sections) {
      bool all = true;
      for (Figure& figure : section.figures) {
        figure.is_drawn = drawn.files.contains(figure.name + ".svg");
        all = all && figure.is_drawn;
      }
      if (!all) section.paragraphs.push_back("Figures are not drawn: " + drawn.why_none + ". Their data are beside the report.");
    }
  }
  return drawn;
}

std::vector<std::pair<std::string, std::string>> ReportFiles(const StudyResults& results, const ReportDocument& page,
                                                             const DrawnFigures& drawn) {
  std::vector<std::pair<std::string, std::string>> files = {{"report.html", RenderHtml(page, drawn)},
                                                            {"report.md", RenderMarkdown(page)},
                                                            {"report.tex", RenderLatex(page, drawn)},
                                                            {"report.txt", RenderText(page)}};
  if (results.predictions.rows() > 0) files.emplace_back("predictions.csv", WriteCsv(results.predictions));
  for (const auto* sections : {&page.sections, &page.appendix}) {
    for (const ReportSection& section : *sections) {
      for (const ReportTable& table : section.tables) files.emplace_back("tables/" + table.name + ".csv", RenderCsv(table));
    }
  }
  const std::string folder = std::string(kFigureFolder) + "/";
  for (const Figure& figure : FiguresOf(page)) {
    files.emplace_back(folder + figure.name + ".csv", WriteCsv(FigureTable(figure)));
    for (const char* ending : {".svg", ".pdf"}) {
      const auto at = drawn.files.find(figure.name + ending);
      if (at != drawn.files.end()) files.emplace_back(folder + figure.name + ending, at->second);
    }
  }
  return files;
}

}  // namespace bitlaw
