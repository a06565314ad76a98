#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// What a greedy choice and a likelihood need to know of P rows of logits.
struct BITLAW_EXPORT LogitPeaks {
  std::vector<int64_t> best;    ///< [P] the most likely token, the first of equals
  std::vector<double> log_sum;  ///< [P] ln of the sum of exp in nats, not finite where the logits are not
};

/// logits [P, V], on any device and of any floating type. On the CPU one walk over float32 or bfloat16 as they stand, with sums
/// in float32 by stretches and in float64 over them: what a vocabulary's small terms add up to is not lost.
BITLAW_EXPORT LogitPeaks PeaksOf(const at::Tensor& logits);

}  // namespace bitlaw
