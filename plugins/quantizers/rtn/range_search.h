#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/quantizer.h"

namespace bitlaw {

/// Round to nearest where each group's grid is that of its weights cut off at p max |w|, p = 1, 0.95, .. 0.55, with the p whose
/// error of the group's outputs is least, the largest of equals:
///
///   d H_gg d^T,   d = w - rounded w [G],   H_gg: the group's block of the second moment [G, G]
///
/// Shapes   weight [C_out, C_in]; the result as of RoundToNearest(), on the device of the weight.
/// Errors   those of RoundToNearest(); Error(kNumerical) naming `layer` for a second moment that is not finite.
/// Source   Lin et al. 2023, arXiv:2306.00978, as AutoAWQ's clipping; the README names what differs.
QuantizedLinear RoundToSearchedRanges(const WeightGrid& grid, const at::Tensor& weight, int64_t group_size,
                                      const LayerCalibration& calibration, const std::string& layer);

}  // namespace bitlaw
