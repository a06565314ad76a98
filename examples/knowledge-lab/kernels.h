#pragma once

#include <cstdint>

namespace bitlaw::lab {

/// The elementwise and attention parts of training, forward and backward, each one pass over memory. Matrices are
/// row-major float32; M rows = B sequences x T tokens. All are deterministic for any number of threads.

/// y = x * r * w,  r = 1 / sqrt(mean(x^2) + eps), per row.   x, y [rows, d]; w [d]; r [rows].
void RmsNormForward(const float* x, const float* w, float eps, int64_t rows, int64_t d, float* y, float* r);
/// dx += gradient; dw = gradient (overwritten).
void RmsNormBackward(const float* dy, const float* x, const float* w, const float* r, int64_t rows, int64_t d, float* dx, float* dw);

struct HeadShape {
  int64_t batch, tokens, heads, kv_heads, head_dim;
  int64_t columns() const { return (heads + 2 * kv_heads) * head_dim; }  ///< q, k and v side by side.
};

/// Rotates the q and k columns of qkv [M, columns] by position (pairs j, j + head_dim / 2); direction -1 undoes it.
/// cosine, sine [T, head_dim / 2].
void Rotate(float* qkv, const HeadShape& shape, const float* cosine, const float* sine, int direction);

/// Norm of every q and k head of qkv in place (Qwen3); `raw` receives the columns before it, r [M, heads + kv_heads].
void HeadNormForward(float* qkv, const HeadShape& shape, const float* wq, const float* wk, float eps, float* raw, float* r);
/// dqkv in place; dwq, dwk [head_dim] overwritten.
void HeadNormBackward(float* dqkv, const HeadShape& shape, const float* wq, const float* wk, const float* raw, const float* r,
                      float* dwq, float* dwk);

/// Causal softmax attention. p [B, heads, T, T] keeps the probabilities; out [M, heads * head_dim].
void AttentionForward(const float* qkv, const HeadShape& shape, float* p, float* out);
void AttentionBackward(const float* dout, const float* qkv, const float* p, const HeadShape& shape, float* dqkv);

/// act = silu(gate) * up.   gate_up [rows, 2 f]: gate, then up; act [rows, f].
void SwigluForward(const float* gate_up, int64_t rows, int64_t f, float* act);
/// Overwrites gate_up with its gradient.
void SwigluBackward(const float* dact, int64_t rows, int64_t f, float* gate_up);

/// Weighted mean cross-entropy in nats; logits [rows, V] are overwritten with the gradient. weight[i] <= 0: no target.
/// Returns the loss; `correct` [rows] (may be null) says whether the target was the argmax.
double CrossEntropy(float* logits, const int32_t* targets, const float* weight, int64_t rows, int64_t vocabulary, char* correct);

/// One AdamW step (Loshchilov & Hutter 2019) with the gradient scaled by `clip`. decay applies where decays[i] != 0.
void AdamWStep(float* w, const float* g, float* m, float* v, const char* decays, int64_t n, double clip, double rate, double decay,
               int64_t step);
double SquaredNorm(const float* g, int64_t n);

}  // namespace bitlaw::lab
