#pragma once

#include <cstddef>
#include <string>

#include "bitlaw/base/export.h"
#include "recommend/recommend.h"
#include "report/document.h"

namespace bitlaw {

/// What to take and why, in sentences; then the first `most` that were measured, the first that were not, and (`front`)
/// the front of size against accuracy.
BITLAW_EXPORT ReportDocument RecommendDocument(const Recommendation& recommendation, size_t most, bool front);

/// What is ranked by, of strata and their weights: "KR", "mean of KM, KR", "mean of KM x 0.25, KR x 0.75".
BITLAW_EXPORT std::string ScoreName(const Recommendation& recommendation);

/// One row a configuration, those that do not meet the constraints among them.
BITLAW_EXPORT ReportTable RecommendTable(const Recommendation& recommendation);

}  // namespace bitlaw
