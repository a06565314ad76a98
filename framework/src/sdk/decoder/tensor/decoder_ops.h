#pragma once

#include <ATen/core/Tensor.h>

#include "bitlaw/base/export.h"

// What stands between the matrix products of a decoder. Float32 and bfloat16; on the CPU each is one pass over memory.

namespace bitlaw {

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension, in float32 inside.
/// x [..., D], weight [D]; the result has x's shape and type.
BITLAW_EXPORT at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// silu(gate) * up, written over gate. Both of one shape, contiguous.
BITLAW_EXPORT at::Tensor SiluMultiply(const at::Tensor& gate, const at::Tensor& up);

/// Cosines and sines of rotary angles, [T, Dh / 2] each.
struct BITLAW_EXPORT RotaryAngles {
  at::Tensor cos, sin;
};

enum class HeadOrder { kHeadsFirst, kTokensFirst };

/// heads [B, T, heads, Dh], each pair (j, j + Dh / 2) turned by its token's angle and scaled. The result is [B, heads, T, Dh] or,
/// tokens first, of the shape of `heads`.
BITLAW_EXPORT at::Tensor Rotate(const at::Tensor& heads, const RotaryAngles& angles, double scale, HeadOrder order);

/// Causal softmax(q k^T) v, in float32 inside the softmax; queries come scaled.
///
/// queries [B, H, T, Dh]; keys and values [B, K, S, Dh] with H a multiple of K, the last T of S belong to the queries.
/// Returns [B, T, H Dh].
BITLAW_EXPORT at::Tensor Attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values);

}  // namespace bitlaw
