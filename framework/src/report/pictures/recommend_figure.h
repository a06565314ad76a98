#pragma once

#include "bitlaw/base/export.h"
#include "recommend/recommend.h"
#include "report/figure/figure.h"

namespace bitlaw {

/// Size (weights, with the cache where it counts) against the score: what was measured, whether it meets the
/// constraints or not, what a law expects of the rest, the front, the first choice and the smaller one that is as good;
/// error bars are the intervals of scores. Dashed: the limit of the size, where there is one. One panel; none where no
/// size or no score is known.
BITLAW_EXPORT Figure RecommendFigure(const Recommendation& recommendation);

}  // namespace bitlaw
