#include "bitlaw/sdk/grids/range_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bitlaw/sdk/grids/integer_grid.h"
#include "sdk/grids/tensor/power.h"

namespace bitlaw {
namespace {

// sum |w - scale * level|^norm, of errors times `unit`.
float LevelError(std::span<const float> levels, std::span<const float> bounds, const float* weights, int64_t columns,
                 float scale, float unit, float norm) {
  float sum = 0;
  for (int64_t j = 0; j < columns; ++j) {
    const float level = levels[static_cast<size_t>(NearestLevel(weights[j] / scale, bounds))];
    sum += PowerOf(std::fabs(weights[j] - scale * level) * unit, norm);
  }
  return sum;
}

}  // namespace

void AddRangeSearchOptions(OptionSchema& schema) {
  schema.Bool("mse").Default(false).Doc("Shrink each group's range where that lowers sum |error|^mse_norm.");
  schema.Real("mse_norm").Range(0.5, 10).Default(2.4).Doc("Exponent of the range search; read only with mse.");
}

RangeSearch RangeSearchFrom(const Options& options) {
  return {.is_on = options.Bool("mse"), .norm = options.Real("mse_norm")};
}

float LeastErrorScale(const RangeSearch& search, std::span<const float> levels, std::span<const float> bounds,
                      const float* weights, int64_t columns, float largest,
                      const std::function<float(float largest)>& scale_of) {
  // A power of two, so that errors near 1 are summed whatever the group's size.
  const float unit = std::ldexp(1.0F, -std::max(std::ilogb(largest), -126));
  const int candidates = static_cast<int>(search.max_shrink * search.steps);
  float best = scale_of(largest), least = std::numeric_limits<float>::infinity(), before = 0;
  for (int i = 0; i < candidates; ++i) {
    const float p = static_cast<float>(1.0 - static_cast<double>(i) / search.steps);
    const float scale = scale_of(p * largest);
    if (!(scale > 0) || !std::isfinite(scale) || scale == before) continue;
    before = scale;
    const float error = LevelError(levels, bounds, weights, columns, scale, unit, static_cast<float>(search.norm));
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

}  // namespace bitlaw
