#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// The upper triangular U with U^T U = hessian^-1, of which GPTQ and its kin spread errors; nullopt if the hessian is
/// not positive definite in its dtype, or U is not finite in float32 with a positive diagonal.
///
/// Rows and columns in reverse have H = R R^T with R upper triangular, and U = R^-1: 2/3 C_in^3 multiplications and
/// additions, half of those that inverting H and factoring the inverse take, and fewer roundings.
///
/// Shapes   hessian [C_in, C_in], symmetric, float32 or float64, on the host; its memory is where U is made, so give
///          it away. U [C_in, C_in] float32.
/// Threads  Tiles, each by one thread: same bytes for any number of threads.
BITLAW_EXPORT std::optional<at::Tensor> InverseFactor(at::Tensor hessian);

}  // namespace bitlaw
