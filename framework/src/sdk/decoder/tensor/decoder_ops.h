#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "bitlaw/base/export.h"
#include "bitlaw/sdk/decoder/decoder_config.h"

// What stands between the matrix products of a decoder. Float32 and bfloat16; on the CPU each is one pass over memory.

namespace bitlaw {

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension, in float32 inside; times 1 + weight if `adds_one`.
/// x [..., D], weight [D]; the result has x's shape and type.
BITLAW_EXPORT at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one = false);

/// activation(gate) * up, written over gate. Both of one shape, contiguous.
BITLAW_EXPORT at::Tensor GateMultiply(const at::Tensor& gate, const at::Tensor& up, GateActivation activation);

/// cap tanh(x / cap), over x where the project's own kernels run. x contiguous.
BITLAW_EXPORT at::Tensor SoftCap(const at::Tensor& x, double cap);

/// Cosines and sines of rotary angles, [T, d / 2] each; undefined: nothing rotates.
struct BITLAW_EXPORT RotaryAngles {
  at::Tensor cos, sin;
};

enum class HeadOrder { kHeadsFirst, kTokensFirst };

/// heads [B, T, heads, Dh], each pair (j, j + d / 2) of the first d dimensions turned by its token's angle, and all scaled. The
/// result is [B, heads, T, Dh] or, tokens first, of the shape of `heads`.
BITLAW_EXPORT at::Tensor Rotate(const at::Tensor& heads, const RotaryAngles& angles, double scale, HeadOrder order);

/// What attention does to scores beside its softmax.
struct BITLAW_EXPORT AttentionSetting {
  int64_t window = 0;  ///< A query sees its own key and the window - 1 before it; 0: all before it.
  double softcap = 0;  ///< c: a score s becomes c tanh(s / c) before the softmax; 0: it stays.
  bool is_plain() const { return window == 0 && softcap == 0; }
};

/// Causal softmax(q k^T) v, in float32 inside the softmax; queries come scaled.
///
/// queries [B, H, T, Dh]; keys and values [B, K, S, Dh] with H a multiple of K, the last T of S belong to the queries.
/// Returns [B, T, H Dh].
BITLAW_EXPORT at::Tensor Attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                                const AttentionSetting& setting = {});

}  // namespace bitlaw
