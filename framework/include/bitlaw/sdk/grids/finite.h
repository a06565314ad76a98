#pragma once

#include <ATen/core/Tensor.h>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Whether no element is infinite or NaN. One pass without a copy over float32 and float64 on the host; of other
/// matrices 512 rows are copied at a time.
BITLAW_EXPORT bool IsFinite(const at::Tensor& matrix);

}  // namespace bitlaw
