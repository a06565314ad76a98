#pragma once

#include "bitlaw/base/value.h"

namespace bitlaw {

/// Checks the `evaluate:` of a study. Error(kSpec) with every fault.
void CheckEvaluateOptions(const Value& evaluate);

}  // namespace bitlaw
