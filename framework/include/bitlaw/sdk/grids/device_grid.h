#pragma once

#include <ATen/core/Tensor.h>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"

// Grids of weights on any device. Bit for bit what integer_grid.h gives on the host.

namespace bitlaw {

/// WeightGrid::FindGroups() where the weights are: by the grid's own code for that device, or through the host. `grid` is
/// that of the tensor, GridFor().
/// weights [rows, columns] float32, elements of a row next to each other; scales, zeros [rows] float32 of any stride.
BITLAW_EXPORT void FindGroupsOf(const WeightGrid& grid, const at::Tensor& weights, at::Tensor scales, at::Tensor zeros);

/// The same for every group of `group_size` neighbouring columns (-1 or more than C_in: the row).
/// weights [C_out, C_in] float32 contiguous; scales, zeros [C_out, groups] float32 contiguous.
BITLAW_EXPORT void FindAllGroupsOf(const WeightGrid& grid, const at::Tensor& weights, int64_t group_size,
                                   const at::Tensor& scales, const at::Tensor& zeros);

/// The nearest codes, [C_out, C_in] uint8, by libtorch's operations.
/// weights [C_out, C_in] float32; scales, zeros [C_out, groups] float32; group [C_in] int64, the group of each column.
BITLAW_EXPORT at::Tensor NearestCodesOf(const WeightGrid& grid, const at::Tensor& weights, const at::Tensor& scales,
                                        const at::Tensor& zeros, const at::Tensor& group);

}  // namespace bitlaw
