#include "fit/options/held_value.h"

#include <cmath>
#include <cstdlib>

#include "bitlaw/base/error.h"
#include "fit/options/quoted_text.h"

namespace bitlaw {

HeldValue ParseHeldValue(const std::string& text) {
  HeldValue held;
  if (const auto sides = SplitAssignment(text)) {
    char* end = nullptr;
    const double value = std::strtod(sides->second.c_str(), &end);
    held.name = sides->first;
    if (*end == '\0' && std::isfinite(value)) held.value = value;
  }
  if (held.name.empty() || std::isnan(held.value))
    throw Error(ErrorKind::kSpec, "fix '" + text + "' is not of the form name=number: write alpha=0.34.");
  return held;
}

}  // namespace bitlaw
