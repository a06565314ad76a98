#pragma once

#include <limits>

namespace bitlaw {

/// A number that nobody has computed: NaN.
inline constexpr double kUnset = std::numeric_limits<double>::quiet_NaN();

}  // namespace bitlaw
