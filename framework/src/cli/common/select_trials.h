#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace bitlaw {

/// Trials whose id begins with `pattern`, or whose label matches it anywhere, * and ? allowed; all for "". Error(kSpec) naming
/// `flag` if none does.
std::vector<size_t> SelectTrials(const Plan& plan, const std::string& pattern, const std::string& flag);

}  // namespace bitlaw
