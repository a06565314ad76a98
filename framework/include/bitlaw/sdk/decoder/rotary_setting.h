#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Frequency scaling of Llama 3.1 and later ("rope_type": "llama3").
struct BITLAW_EXPORT Llama3RopeScaling {
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  double original_max_positions = 8192.0;
};

/// YaRN (Peng et al. 2023, arXiv:2309.00071): pairs that turn less than beta_slow times in the original context are
/// slowed by `factor`, those that turn more than beta_fast times are kept, and between both lies a linear ramp.
struct BITLAW_EXPORT YarnRopeScaling {
  double factor = 1.0;
  double original_max_positions = 0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;           ///< The ramp begins and ends at whole pairs.
  double attention_factor = 1.0;  ///< Cosines and sines are multiplied by it.
};

/// "dynamic": a text of T > original_max_positions tokens has the base
/// theta (factor T / original_max_positions - (factor - 1))^(d / (d - 2)), d dimensions rotating.
struct BITLAW_EXPORT DynamicRopeScaling {
  double factor = 1.0;
  double original_max_positions = 0;
};

/// LongRoPE (Ding et al. 2024, arXiv:2402.13753): frequencies are divided by the long factors in texts of more than
/// original_max_positions tokens and by the short ones in others.
struct BITLAW_EXPORT LongRopeScaling {
  std::vector<float> short_factors, long_factors;  ///< [d / 2] each, d dimensions rotating.
  double original_max_positions = 0;
  double attention_factor = 1.0;  ///< Cosines and sines are multiplied by it, in all texts.
};

/// How pairs of a head's dimensions turn with the position: pair j by theta^(-2j / d) radians a position, then scaled.
struct BITLAW_EXPORT RotarySetting {
  double theta = 10000.0;
  int64_t dims = 0;  ///< d: so many of a head's dimensions rotate, the first ones; even. 0: all.
  std::variant<std::monostate, Llama3RopeScaling, YarnRopeScaling, DynamicRopeScaling, LongRopeScaling> scaling;
  /// Empty, or d / 2 numbers that the frequencies are divided by at last ("linear"; GGUF stores scalings in this form).
  std::vector<float> divisors;

  int64_t RotatedDims(int64_t head_dim) const { return dims > 0 ? dims : head_dim; }
  /// The longest text whose frequencies are those of a short one; 0 where they are the same in every text.
  double OriginalPositions() const {
    if (const auto* dynamic = std::get_if<DynamicRopeScaling>(&scaling)) return dynamic->original_max_positions;
    if (const auto* longrope = std::get_if<LongRopeScaling>(&scaling)) return longrope->original_max_positions;
    return 0;
  }
};

}  // namespace bitlaw
