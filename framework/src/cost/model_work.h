#pragma once

#include <cstdint>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// What a model's shapes say of the work and memory that it takes, before any weight is read. Operations count a
/// multiplication and an addition as two. Layers of experts count with the share of tokens that are routed to them.
struct BITLAW_EXPORT ModelWork {
  double token_flop = 0;      ///< Of the linear layers, for one token: 2 sum C_in C_out.
  /// 2 sum max(C_in, C_out): what one token adds for a layer's narrow side. A product of narrow layers is slower by
  /// 1 + w / min(C_in, C_out), w the width at which a machine reaches half its rate (Rates::half_width).
  double edge_flop = 0;
  double head_flop = 0;       ///< Of one position's logits: 2 V D.
  double moment_flop = 0;     ///< Second moments, for one calibration token: sum over inputs C_in (C_in + 1).
  /// Of a quantizer with second moments: sum over inputs C_in^3 (the inverse factor), over layers 2 C_in^2 C_out.
  double solver_flop = 0;
  double layers = 0, sites = 0;
  double weights = 0;         ///< Of all linear layers, quantizable.
  double parameters = 0;      ///< All.
  double hidden = 0;          ///< D
  double widest_input = 0;    ///< The largest C_in.
  double stage_moments = 0;   ///< Numbers of the second moments that one stage has in memory (kStage).
  double block_moments = 0;   ///< Those of one block (kBlock, kNone).
  double model_moments = 0;   ///< Those of all blocks.
  double largest_block = 0;   ///< Weights of one block.
  double kv_numbers = 0;      ///< Keys and values of one token, in all blocks.
};
BITLAW_EXPORT ModelWork WorkOf(const ModelSummary& summary);

/// What the linear layers of a block read and write for one token; of experts, those that it is routed to.
BITLAW_EXPORT int64_t ActivationBytes(const ModelSummary& summary, Dtype dtype);

/// 4 or 2.
inline double BytesOf(Dtype dtype) { return dtype == Dtype::kFloat32 ? 4 : 2; }

}  // namespace bitlaw
