#pragma once

#include <ATen/core/Tensor.h>

namespace bitlaw {

/// Whether this processor multiplies bfloat16 faster than float32 and bitlaw was built with oneDNN, which can keep the
/// float32 sums of such products; libtorch's own products of bfloat16 round their result to bfloat16.
bool HasBfloat16Products();

/// sums += left^T right, products exact and sums in float32.
/// sums [M, N] float32, left [K, M] and right [K, N] bfloat16; any of them may be a view of contiguous rows of a wider
/// matrix. Only where HasBfloat16Products(); an InternalError otherwise, and if oneDNN refuses.
void AddTransposedProduct(const at::Tensor& left, const at::Tensor& right, at::Tensor sums);

}  // namespace bitlaw
