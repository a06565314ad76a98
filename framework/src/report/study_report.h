#pragma once

#include <filesystem>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/study_results.h"
#include "report/document.h"

namespace bitlaw {

/// Header, models, grid, scores, strata, laws, exclusions, warnings.
BITLAW_EXPORT ReportDocument StudyDocument(const StudyResults& report);

/// What a run prints at its end: the laws' coefficients and how they compare. The rest is in the files.
BITLAW_EXPORT ReportDocument SummaryDocument(const StudyResults& report);

/// Writes into `output`: study.json, observations.csv, columns.json, fits.json, fits.csv, report.txt, report.md. Returns their paths.
BITLAW_EXPORT std::vector<std::filesystem::path> WriteStudyReport(const StudyResults& report,
                                                                  const std::filesystem::path& output);

}  // namespace bitlaw
