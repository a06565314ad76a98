#pragma once

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "recommend/recommend.h"

namespace bitlaw {

/// Everything, for programs, as docs/recommend.md has the schema; what is not known is null.
BITLAW_EXPORT Value RecommendationJson(const Recommendation& recommendation);

}  // namespace bitlaw
