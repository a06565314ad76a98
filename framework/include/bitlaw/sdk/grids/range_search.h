#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Whether the range of a group on a grid of levels is searched for, and by what measure. The integers' own search is
/// GridRule's; its options are the same.
struct RangeSearch {
  bool is_on = false;
  double norm = 2.4;
  int steps = 100;
  double max_shrink = 0.8;
};

/// Adds mse and mse_norm, for grids of levels.
BITLAW_EXPORT void AddRangeSearchOptions(OptionSchema& schema);
BITLAW_EXPORT RangeSearch RangeSearchFrom(const Options& options);

/// WeightGrid::FindGroups() of a grid of levels that stores no zero points: each row's scale is `scale_of` its largest
/// magnitude, or, where the search is on, the one that errs least of those that a group cut off at p max |w| would have,
/// p = 1 - i / steps for i = 0, 1, ... < max_shrink * steps; the largest p of equals:
///
///   sum_j |w_j - scale * level(code(w_j / scale))|^norm
///
/// Powers |.|^norm have a relative error below 1e-5. The same for a group times a power of two, where `scale_of` scales
/// too. Zeros become 0; `scale_of` gives the scale as stored. Scales that are not finite and positive are passed over.
BITLAW_EXPORT void FindScales(const WeightGrid& grid, const RangeSearch& search,
                              const std::function<float(float largest)>& scale_of, const float* weights, int64_t rows,
                              int64_t columns, int64_t row_stride, float* scales, float* zeros);

}  // namespace bitlaw
