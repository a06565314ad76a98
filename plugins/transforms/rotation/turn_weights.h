#pragma once

#include <ATen/core/Tensor.h>

#include "bitlaw/math/rotation.h"

namespace bitlaw {

/// What takes the place of a matrix that reads a turned input: (weight diag(factors)) R, rounded once to the type of
/// `weight`. Shapes   weight [rows, a multiple of n]; factors [columns] float64, multiplied in float64, or undefined.
at::Tensor TurnedReader(const at::Tensor& weight, const Rotation& rotation, const at::Tensor& factors = {});

/// What takes the place of a matrix or a bias whose output is turned: R^T weight.
/// Shapes   weight [a multiple of n, columns] or, a bias, [a multiple of n].
at::Tensor TurnedWriter(const at::Tensor& weight, const Rotation& rotation);

}  // namespace bitlaw
