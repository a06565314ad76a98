#pragma once

#include <ATen/core/Tensor.h>

#include "column_walk.h"

namespace bitlaw {

/// Whether WalkColumnsOnDevice() runs on `device`: a CUDA device for which the kernels of walk_kernel.cu can be compiled.
bool WalksOn(const at::Device& device);

/// WalkColumns() on the device of its tensors, for which WalksOn() is true: the same operations in the same order, so the
/// same bits but for the order of summation inside the matrix products. Nothing waits for the device.
void WalkColumnsOnDevice(const ColumnWalkPlan& plan, at::Tensor& weight, const at::Tensor& factor, at::Tensor& codes,
                         at::Tensor& scales, at::Tensor& zeros);

}  // namespace bitlaw
