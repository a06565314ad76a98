#pragma once

#include <ATen/core/Tensor.h>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// sums += x^T x on and above the diagonal; below it `sums` is left with anything. On the CPU, rows contiguous.
///
/// Shapes   x [rows, columns]; sums [columns, columns] of the same dtype, float32 or float64; or x of bfloat16 with at
///          least one row and float32 sums, where HasBfloat16Products().
/// Threads  Each element is summed by one thread: the same bytes for any number of them. In float32 by oneDNN it is
///          the sum of sums of at most 320 rows, one after the other, whatever is computed beside it: the order that
///          OpenBLAS has for large products on processors with AVX-512.
BITLAW_EXPORT void AddSymmetricProduct(const at::Tensor& x, at::Tensor sums);

/// tr(D H D^T) of a symmetric H, in float64 over float32 products of parts of D and H. By oneDNN it takes half of the
/// arithmetic of D H, and gives the same bytes for any number of threads.
/// d [rows, columns], h [columns, columns], both float32 or both float64, on the CPU.
BITLAW_EXPORT double SymmetricForm(const at::Tensor& d, const at::Tensor& h);

}  // namespace bitlaw
