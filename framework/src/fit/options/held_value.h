#pragma once

#include <limits>
#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A parameter that is held at a value instead of being fitted.
struct BITLAW_EXPORT HeldValue {
  std::string name;
  double value = std::numeric_limits<double>::quiet_NaN();
  std::string place;  ///< "study.yaml:12:17" where it comes from a file, else empty.
};

/// "alpha=0.34". Error(kSpec) for a text that is not name=number.
BITLAW_EXPORT HeldValue ParseHeldValue(const std::string& text);

}  // namespace bitlaw
