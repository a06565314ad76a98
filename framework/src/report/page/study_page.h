#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"
#include "report/document.h"
#include "report/figure/draw_figures.h"

namespace bitlaw {

/// The whole report of a study: FrontPage(), figures with a sentence for each that the data lack something for, and
/// StudyDocument() as the appendix. Figures are of the best law of each stratum, or of each of `laws`.
BITLAW_EXPORT ReportDocument StudyPage(const StudyResults& results, bool all_methods = false,
                                       const std::vector<std::string>& laws = {});

/// The figures of a document, in order.
BITLAW_EXPORT std::vector<Figure> FiguresOf(const ReportDocument& document);

/// DrawFigures() of all of them. Those that could not be drawn are marked, and the section says why and what to do.
BITLAW_EXPORT DrawnFigures DrawPage(ReportDocument& page, const std::string& program = "gnuplot");

/// Every form of the report as files, names relative to the folder they belong in: report.html, report.md, report.tex,
/// report.txt, predictions.csv, tables/NAME.csv, and figures/NAME.svg, .pdf and .csv (the data of the figure).
BITLAW_EXPORT std::vector<std::pair<std::string, std::string>> ReportFiles(const StudyResults& results,
                                                                           const ReportDocument& page,
                                                                           const DrawnFigures& drawn);

}  // namespace bitlaw
