#pragma once

#include <ATen/core/Tensor.h>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// tr(D H D^T), what a layer's outputs change by in the square if its weights change by D; in float64 over products in
/// H's dtype. d [C_out, C_in]; hessian [C_in, C_in], symmetric. In float32 on the CPU, where the build has oneDNN, the
/// result is the same for any number of threads.
BITLAW_EXPORT double HessianError(const at::Tensor& d, const at::Tensor& hessian);

}  // namespace bitlaw
