#pragma once

#include <string>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/data/fit_rows.h"

namespace bitlaw {

/// "N does not vary: it is 134515008 in all 24 rows, ...": for the first covariate that is one value in all rows and
/// whose effect the rows would have to tell; "" if there is none. A column of which the law has no parameter of its own
/// (the score before in P0 * score_dense * (1 - r)^alpha) may be one value where another varies; so may an anchor
/// (IsAnchorColumn()).
BITLAW_EXPORT std::string ExplainConstantCovariate(const Law& law, const FitRows& rows);

}  // namespace bitlaw
