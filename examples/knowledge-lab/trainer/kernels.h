#pragma once

#include <cstdint>

namespace bitlaw::lab {

/// bfloat16 by its bits: the upper half of a float32.
struct Bf16 {
  uint16_t bits;
};

/// A row's text is a run of documents; attention sees only the tokens of its own document, whose positions count from
/// 0.
struct AttentionShape {
  int64_t heads, kv_heads, head_dim;  ///< head_dim is 16, 32 or 64.
  const int32_t* starts;              ///< [documents + 1]: first row of each document, then the number of rows.
  int64_t documents;
  const float* cosine;      ///< [kMaxDocument, head_dim]: of the pairs, twice.
  const float* sine;        ///< [kMaxDocument, head_dim]: the first half negative.
  const float* query_norm;  ///< [head_dim] or null: no norm of heads.
  const float* key_norm;
  float eps;

  int64_t columns() const { return (heads + 2 * kv_heads) * head_dim; }  ///< q, k and v side by side.
};

constexpr int64_t kMaxDocument = 128;  ///< Tokens.

/// The elementwise and attention parts of training, forward and backward, each one pass over memory. Matrices are
/// row-major; T (float or Bf16) is what matrix products read and write, sums are float32. Single-threaded.
template <typename T>
struct Kernels {
  /// sum = a + b (b may be null), y = sum * r * w, r = 1 / sqrt(mean(sum^2) + eps), per row.  a, sum, b, y [rows, d]; r
  /// [rows].
  void (*add_norm)(const float* a, const T* b, const float* w, float eps, int64_t rows, int64_t d, float* sum, T* y,
                   float* r);
  /// dx += gradient, rounded = dx; dw += gradient.
  void (*norm_backward)(const T* dy, const float* x, const float* w, const float* r, int64_t rows, int64_t d, float* dx,
                        T* rounded, float* dw);
  /// Head norm (if any), rotation by position (pairs j, j + head_dim / 2), causal softmax attention. out [rows, heads *
  /// head_dim].
  void (*attention_forward)(const T* qkv, const AttentionShape& shape, T* out);
  /// dqkv overwritten; dquery_norm, dkey_norm += gradient. Computes the probabilities anew.
  void (*attention_backward)(const T* dout, const T* qkv, const AttentionShape& shape, T* dqkv, float* dquery_norm,
                             float* dkey_norm);
  /// act = silu(gate) * up.   gate_up [rows, 2 f]: gate, then up; act [rows, f].
  void (*swiglu_forward)(const T* gate_up, int64_t rows, int64_t f, T* act);
  /// Overwrites gate_up with its gradient.
  void (*swiglu_backward)(const T* dact, int64_t rows, int64_t f, T* gate_up);
  /// Sum over rows of weight * cross-entropy in nats; logits [rows, V] are overwritten with the gradient.
  /// correct[i] says whether the target was the argmax; it may be null.
  double (*cross_entropy)(T* logits, const int32_t* targets, const float* weight, int64_t rows, int64_t vocabulary,
                          char* correct);
  void (*widen)(const T* from, int64_t n, float* to);                     ///< to = from
  void (*round)(const float* from, int64_t n, T* to);                     ///< to = from, rounded to nearest even
  void (*add_scaled)(const T* from, float factor, int64_t n, float* to);  ///< to += factor * from
  float (*dot)(const T* a, const T* b, int64_t n);
  /// One AdamW step (Loshchilov & Hutter 2019; betas 0.9 and 0.95) with the gradient scaled by `clip`.
  void (*adamw)(float* w, const float* g, float* m, float* v, int64_t n, float clip, float rate, float decay,
                int64_t step);
  double (*squared_norm)(const float* g, int64_t n);
};

/// The kernels compiled for the best instruction set of this machine.
const Kernels<float>& FloatKernels();
const Kernels<Bf16>& Bf16Kernels();
template <typename T>
const Kernels<T>& KernelsOf() {
  if constexpr (sizeof(T) == 2) {
    return Bf16Kernels();
  } else {
    return FloatKernels();
  }
}

}  // namespace bitlaw::lab
