#pragma once

#include <cstdint>

namespace bitlaw {

/// bfloat16 by its bits: the upper half of a float32.
struct Bf16 {
  uint16_t bits;
};

/// The parts of a decoder between its matrix products, each one pass over a row. T (float or Bf16) is what is read and
/// written; arithmetic is float32. Rounding to T stands where the reference implementation rounds. Single-threaded.
template <typename T>
struct RowKernels {
  /// y = T(x / sqrt(mean(x^2) + eps)) * weight.   x, y [columns], weight [columns]
  void (*rms_norm)(const T* x, const T* weight, int64_t columns, float eps, T* y);
  /// y = x / sqrt(mean(x^2) + eps) * (1 + weight)
  void (*rms_norm_plus_one)(const T* x, const T* weight, int64_t columns, float eps, T* y);
  /// scores[0, count) become their softmax, scores[count, width) zero. `scratch` holds `count` floats.
  void (*softmax)(T* scores, int64_t count, int64_t width, float* scratch);
  /// x = c tanh(x / c).   [count]
  void (*soft_cap)(T* x, int64_t count, float c);
  /// gate = T(silu(gate)) * up.   [count]
  void (*silu_multiply)(T* gate, const T* up, int64_t count);
  /// gate = T(gelu(gate)) * up, with tanh in place of erf.   [count]
  void (*gelu_multiply)(T* gate, const T* up, int64_t count);
  /// Each pair (x[j], x[j + half]) turned by its angle and scaled.   x, y [2 half]; cosine, sine [half]
  void (*rotate)(const T* x, const T* cosine, const T* sine, int64_t half, float scale, T* y);
  /// The first of the largest of x, and ln sum_i exp(x_i), which is not finite where x has what is not a finite number.
  void (*log_sum)(const T* x, int64_t count, int64_t* largest_at, double* log_sum);
  /// y = x in the other type, rounded to nearest on the way to T.   [count]
  void (*widen)(const T* x, int64_t count, float* y);
  void (*narrow)(const float* x, int64_t count, T* y);
};

/// The kernels compiled for the best instruction set of this processor.
const RowKernels<float>& FloatRowKernels();
const RowKernels<Bf16>& Bf16RowKernels();

}  // namespace bitlaw
