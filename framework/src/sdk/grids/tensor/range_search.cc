#include "bitlaw/sdk/grids/range_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bitlaw/sdk/grids/integer_grid.h"
#include "bitlaw/sdk/grids/mx_grid.h"
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

// FindScales() of one group that is not all zero; `bounds` as BoundsOf() gives them.
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

}  // namespace

void AddRangeSearchOptions(OptionSchema& schema) {
  schema.Bool("mse").Default(false).Doc("Shrink each group's range where that lowers sum |error|^mse_norm.");
  schema.Real("mse_norm").Range(0.5, 10).Default(2.4).Doc("Exponent of the range search; read only with mse.");
}

RangeSearch RangeSearchFrom(const Options& options) {
  return {.is_on = options.Bool("mse"), .norm = options.Real("mse_norm")};
}

void FindScales(const WeightGrid& grid, const RangeSearch& search, const std::function<float(float largest)>& scale_of,
                const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales, float* zeros) {
  const std::vector<float> bounds = search.is_on ? BoundsOf(grid) : std::vector<float>();
  for (int64_t r = 0; r < rows; ++r) {
    const float* w = weights + r * row_stride;
    const float largest = LargestMagnitude(w, columns);
    scales[r] = search.is_on && largest > 0
                    ? LeastErrorScale(search, grid.levels(), bounds, w, columns, largest, scale_of)
                    : scale_of(largest);
    zeros[r] = 0;
  }
}

}  // namespace bitlaw
