#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// x W^T (+ bias), the product that models are made of: x [rows, K], weight [N, K], bias [N] or undefined -> [rows, N], all
/// of one dtype; a sum with a bias is rounded once.
///
/// Float32 on the CPU goes to oneDNN where the build found it: libtorch's own float32 products go to the system's BLAS,
/// which may know the processor less well (docs/benchmarks.md). Everything else is libtorch's, bfloat16 on the CPU in numbers of
/// rows that it is fast for.
/// Threads: those of the tensor library. The same inputs give the same bytes.
BITLAW_EXPORT at::Tensor TimesTransposed(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// While one lives, a row of what TimesTransposed() gives this thread depends on that row alone, in float32 on the CPU:
/// not on how many rows there are, nor on the number of threads. Products of few rows then take longer: a thread takes
/// 16 rows at least, fewer are filled up with zeros.
class BITLAW_EXPORT RowsByThemselves {
 public:
  RowsByThemselves();
  ~RowsByThemselves();
  RowsByThemselves(const RowsByThemselves&) = delete;
  RowsByThemselves& operator=(const RowsByThemselves&) = delete;
};

// What follows is oneDNN's, and all of bitlaw's own use of it. A build without it (CMake says so) has neither product.
// InternalError where oneDNN refuses, and for a product that the build has not.

/// Whether float32 products on the CPU may be asked of MultiplyFloat32().
BITLAW_EXPORT bool HasFloat32Products();

/// c [m, n] = a [m, k] b, or c += a b, b being [k, n], or [n, k] if it is transposed. Row-major; the leading dimensions
/// lda, ldb and ldc are the distances between rows. Threads: those of OpenMP, none of its own inside a parallel region.
BITLAW_EXPORT void MultiplyFloat32(bool transposed, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                                   const float* b, int64_t ldb, float* c, int64_t ldc, bool add = false);

/// c [m, n] += a^T b, a being [k, m] and b [k, n]. Otherwise like MultiplyFloat32().
BITLAW_EXPORT void AddTransposedFloat32(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                                        int64_t ldb, float* c, int64_t ldc);

/// Whether this processor multiplies bfloat16 faster than float32 and oneDNN can keep the float32 sums of such
/// products; libtorch's own products of bfloat16 round their result to bfloat16.
BITLAW_EXPORT bool HasBfloat16Products();

/// sums += left^T right, products exact and sums in float32.
/// sums [M, N] float32, left [K, M] and right [K, N] bfloat16; any of them may be a view of contiguous rows of a wider
/// matrix. Only where HasBfloat16Products().
BITLAW_EXPORT void AddTransposedProduct(const at::Tensor& left, const at::Tensor& right, at::Tensor sums);

}  // namespace bitlaw
