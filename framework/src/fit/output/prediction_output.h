#pragma once

#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "fit/predict/point_answer.h"

namespace bitlaw {

/// The answers for programs, as docs/laws.md has the schema; what is not known is null.
BITLAW_EXPORT Value PredictionsJson(const PredictedStudy& study, const std::vector<PointAnswer>& answers, double level);

/// How often intervals held what was left out.
BITLAW_EXPORT Value CoverageJson(const std::string& stratum, const Coverage& coverage);

}  // namespace bitlaw
