#pragma once

#include <ATen/core/Tensor.h>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// x W^T, the product that models are made of: x [rows, K], weight [N, K] -> [rows, N], all of one dtype.
///
/// Float32 on the CPU goes to oneDNN where the build found it: libtorch's own float32 products go to the system's BLAS,
/// which may know the processor less well (docs/benchmarks.md). Everything else is at::mm.
/// Threads: those of the tensor library. The same inputs give the same bytes.
BITLAW_EXPORT at::Tensor TimesTransposed(const at::Tensor& x, const at::Tensor& weight);

}  // namespace bitlaw
