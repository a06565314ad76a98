#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"
#include "report/document.h"
#include "report/figure/draw_figures.h"

namespace bitlaw {

/// Header, models, grid, scores, strata, laws, exclusions, warnings. Laws by the first method of each stratum, by all with
/// `all_methods`.
BITLAW_EXPORT ReportDocument StudyDocument(const StudyResults& report, bool all_methods = false);

/// What a run prints at its end, about ten lines: how far the best law of each stratum is off on what it did not see, where
/// accuracy collapses, and how many warnings the report has.
BITLAW_EXPORT std::vector<std::string> SummaryLines(const StudyResults& report);

/// Writes into `output`: study.json, observations.csv, columns.json, fits.json, fits.csv and what ReportFiles() makes of
/// `page` and `drawn`. Returns their paths.
BITLAW_EXPORT std::vector<std::filesystem::path> WriteStudyReport(const StudyResults& report, const ReportDocument& page,
                                                                  const DrawnFigures& drawn,
                                                                  const std::filesystem::path& output);

}  // namespace bitlaw
