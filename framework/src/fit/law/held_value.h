#pragma once

#include <limits>
#include <string>

namespace bitlaw {

/// A parameter that is held at a value instead of being fitted.
struct HeldValue {
  std::string name;
  double value = std::numeric_limits<double>::quiet_NaN();
  std::string place;  ///< "study.yaml:12:17" where it comes from a file, else empty.
};

}  // namespace bitlaw
