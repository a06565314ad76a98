#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A Hadamard matrix H_k, [k, k] row-major with entries 1 and -1, H H^T = k I, by Paley's constructions:
///
///   k = q + 1,       q = 3 mod 4 a prime power   H = I + [[0, 1], [-1, Q]]
///   k = 2 (q + 1),   q = 1 mod 4                 H = [[0, 1], [1, Q]] (x) [[1, 1], [1, -1]] + I (x) [[1, -1], [-1,
///   -1]]
///
/// Q[a][b] = chi(a - b), chi the quadratic character of the field of q elements. Empty where neither is there.
/// Source   Paley 1933, J. Math. Phys. 12, 311.
BITLAW_EXPORT std::vector<int8_t> PaleyMatrix(int64_t k);

/// The smallest k, 1 or up to 1024, of which there is a Paley matrix and for which n / k is a power of two; 0 if there
/// is none.
BITLAW_EXPORT int64_t HadamardBaseOf(int64_t n);

/// Rows [count, n] become rows times H, or H^T, in place: H = H_k (x) H_2 (x) .. (x) H_2, n = k 2^m, unscaled.
/// base [k, k] as PaleyMatrix() has it, null for k = 1. n (m + k) additions a row, in float32. Threads: one.
BITLAW_EXPORT void MultiplyByHadamard(float* rows, int64_t count, int64_t n, int64_t k, const float* base,
                                      bool transposed);

/// H_2 (x) .. (x) H_2 of order w, a power of two, as Kronecker factors of order 64 at most. On the host, float32.
BITLAW_EXPORT std::vector<at::Tensor> SylvesterFactors(int64_t w);

/// MultiplyByHadamard() by products of small matrices, on any device: rows [runs, n] float32, base [k, k] or undefined,
/// factors as SylvesterFactors() has them, on the same device. Not in place.
BITLAW_EXPORT at::Tensor TimesHadamard(const at::Tensor& rows, const at::Tensor& base,
                                       const std::vector<at::Tensor>& factors, bool transposed);

}  // namespace bitlaw
