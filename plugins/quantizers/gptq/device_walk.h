#pragma once

#include <ATen/core/Tensor.h>

#include "column_walk.h"

namespace bitlaw {

/// Whether WalkColumnsOnDevice() runs on `device`: a CUDA device for which walk_kernel.cu can be compiled.
bool WalksOn(const at::Device& device);

/// Calls visit(grid, first row, rows) for each tensor of the plan, of `rows` rows in all.
template <class Visit>
void ForEachGrid(const ColumnWalkPlan& plan, int64_t rows, const Visit& visit) {
  if (plan.tensors.empty()) visit(*plan.grid, 0, rows);
  for (const RowsOnGrid& tensor : plan.tensors) visit(*tensor.grid, tensor.first_row, tensor.rows);
}

/// WalkColumns() on the device of its tensors, for which WalksOn() is true, for several items of C_out rows at once,
/// each with a factor of its own: the same operations in the same order, so the same bits but for the order of summation
/// inside the matrix products. Nothing waits for the device.
///
/// Shapes   weight, codes [items C_out, C_in]; factor [items, C_in, C_in]; group_of [items, C_in] int32 contiguous, in
///          place of plan.group_of_position; scales, zeros [items C_out, groups].
void WalkColumnsOnDevice(const ColumnWalkPlan& plan, const at::Tensor& group_of, at::Tensor& weight,
                         const at::Tensor& factor, at::Tensor& codes, at::Tensor& scales, at::Tensor& zeros);

}  // namespace bitlaw
