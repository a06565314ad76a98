#pragma once

#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// "40 s", "12 min", "3.5 h", "2.1 d"; "?" for NaN.
BITLAW_EXPORT std::string DurationText(double seconds);

}  // namespace bitlaw
