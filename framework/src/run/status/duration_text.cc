#include "run/status/duration_text.h"

#include <fmt/format.h>

#include <cmath>

namespace bitlaw {

std::string DurationText(double seconds) {
  if (std::isnan(seconds)) return "?";
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  if (seconds < 100 * 60) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{:.1f} h", seconds / 3600);
  return fmt::format("{:.1f} d", seconds / 86400);
}

}  // namespace bitlaw
