#pragma once

#include <vector>

#include "bitlaw/base/export.h"
#include "fit/predict/point_answer.h"
#include "report/document.h"

namespace bitlaw {

/// One row a point and stratum: what was measured or is predicted, its interval, the law alone, and what kind of number
/// it is. Notes say what the columns are and repeat each warning once.
BITLAW_EXPORT ReportTable PredictionTable(const PredictedStudy& study, const std::vector<PointAnswer>& answers,
                                          double level);

/// One row a stratum and what was left out: how often intervals held it, how wide they are, mean errors.
BITLAW_EXPORT ReportTable CoverageTable(const PredictedStudy& study, double level);

}  // namespace bitlaw
