#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bitlaw/sdk/decoder/decoder_config.h"

namespace bitlaw {

/// What llama.cpp computes for a value of general.architecture beside what the metadata say.
struct GgufArchitecture {
  std::string_view name;
  bool interleaved = false;   ///< Query and key rows lie with the halves of a head interleaved.
  NormPlace norm_place = NormPlace::kBefore;
  bool qk_norm_whole = false;
  GateActivation activation = GateActivation::kSilu;
  bool scales_embedding = false;     ///< By sqrt(embedding_length).
  int64_t window_period = 0;         ///< Every so many-th block has no window; 1: all have it; 0: none is read.
  int64_t default_window = 0;
  int64_t blocks_of_wide_heads = 0;  ///< A model of so many blocks scales queries by 1 / sqrt(D / H).
  double local_rope_theta = 0;       ///< Windowed blocks rotate by it, unscaled; 0: as the others.
  int64_t no_rope_period = 0;        ///< Every so many-th block does not rotate.
  bool softcaps = false;             ///< Reads attn_logit_softcapping and final_logit_softcapping.
  bool long_rope = false;            ///< Reads rope_factors_long and _short, and rotates a part of a head.
};

/// Null for one that is not read.
const GgufArchitecture* FindGgufArchitecture(std::string_view name);
/// "gemma, gemma2, ..."
std::string KnownGgufArchitectures();

bool HasInterleavedHeads(std::string_view architecture);

}  // namespace bitlaw
