#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "bitlaw/sdk/grids/integer_grid.h"

namespace bitlaw {

/// When the grid of a group is found.
enum class GroupParams {
  kRef,      ///< When the walk reaches the group, from weights that hold the compensation of finished blocks only.
  kInBlock,  ///< When the walk reaches the group, from weights that hold all compensation of the current block too.
  kStatic,   ///< Before the walk, from the weights as they are.
};

/// Rows [first_row, first_row + rows) and the grid of the tensor that they are of.
struct RowsOnGrid {
  int64_t first_row = 0, rows = 0;
  const WeightGrid* grid = nullptr;
};

/// What the column walk needs beside the weights.
struct ColumnWalkPlan {
  const WeightGrid* grid = nullptr;
  /// On a device, where the rows are those of several tensors: whose grids differ from `grid` in the parameters of groups
  /// alone. Empty: `grid` is that of all rows.
  std::vector<RowsOnGrid> tensors;
  GroupParams group_params = GroupParams::kRef;
  int64_t group_size = 128;  ///< Effective: 1 to C_in.
  int64_t block_size = 128;  ///< Columns between two updates of the rest of the row.
  /// [C_in] group of the k-th column of the walk.
  std::vector<int32_t> group_of_position;
  /// On the host: [C_in] the column that is the k-th of the walk. Empty: they are walked as they stand.
  std::vector<int64_t> column_of_position;
  /// True: every group's grid stands in scales and zeros already.
  bool grids_are_given = false;
};

/// The walk of GPTQ over the columns of `weight` in the order of the plan; U, P and groups are in that order, codes go to
/// their columns:
///
///   for each block of columns b:  for each column j of b, left to right:
///       code[:, j] = grid(w[:, j]);  e[:, j] = (w[:, j] - dequantized[:, j]) / U[j, j]
///       w[:, k] -= e[:, j] U[j, k]            for the columns k of b right of j, one after the other
///     W[:, right of b] -= E U[b, right of b]  one matrix product
///
/// With P, strictly upper triangular, the rest of the row also makes up for inputs that differ from the unquantized
/// model's:
///
///       w[:, k] -= e[:, j] U[j, k] - w[:, j] P[j, k]                          w[:, j] as it was before it was rounded
///     W[:, right of b] -= E U[b, right of b] - Q P[b, right of b]             Q: the block's rounded weights
///
/// Rows do not depend on each other; they are cut into fixed pieces that threads share out, so the bytes are the same
/// for any number of threads. Within a row the operations and their order are the reference's: products and
/// differences in float32, each rounded; the one exception is the order of summation inside the matrix product.
///
/// Returns  the sum of e^2 over all rows and columns. With D the weights given less those that codes stand for, it is
///          tr(D (H + damp) D^T): a column's e^2 is what its rounding adds once the columns right of it have made up for it.
///          Without P alone.
/// Shapes   weight [C_out, C_in] float32 contiguous; factor U [C_in, C_in] float32, upper triangular,
///          U^T U = (H + damp)^-1; drift P [C_in, C_in] float32, or undefined: none; codes [C_out, C_in] uint8; scales,
///          zeros [C_out, groups] float32.
double WalkColumns(const ColumnWalkPlan& plan, const at::Tensor& weight, const at::Tensor& factor, at::Tensor& codes,
                   at::Tensor& scales, at::Tensor& zeros, const at::Tensor& drift = {});

}  // namespace bitlaw
