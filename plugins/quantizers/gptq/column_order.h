#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitlaw {

/// The order of the walk by falling diagonals of Hessians, equals in storage order. With `group_size` 0 columns go by
/// themselves. Otherwise runs of group_size columns stay together: the runs by their largest element, the columns of a
/// run among themselves, and a last run that is shorter comes last, as it is stored.
///
/// Shapes   diagonals [E, C] on any device; the result [E, C] int64, the column of each step.
/// Source   Gafni et al. 2025, arXiv:2505.14638 (group-aware reordering), as GPTQModel has it.
at::Tensor ColumnOrder(const at::Tensor& diagonals, int64_t group_size);

/// Which stored run of `group_size` columns each group of such an order is: [E, ceil(C / group_size)] int64.
at::Tensor GroupOrder(const at::Tensor& order, int64_t group_size);

}  // namespace bitlaw
