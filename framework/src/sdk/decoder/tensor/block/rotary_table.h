#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/decoder/rotary_setting.h"
#include "sdk/decoder/tensor/decoder_ops.h"

namespace bitlaw {

/// Cosines and sines of one rotary setting, for as many positions as were asked for so far.
///
/// Where frequencies depend on a text's length, a text that is read in one pass has those of its length, and one that
/// is read in pieces those of its first piece. Error(kUnsupported) for a piece that would need others: the keys before
/// it were turned with the first ones.
class BITLAW_EXPORT RotaryTable {
 public:
  RotaryTable(RotarySetting rope, int64_t head_dim, const at::TensorOptions& options);

  /// Positions 0 .. T - 1 of texts of T tokens: [T, d / 2] each.
  RotaryAngles First(int64_t tokens);
  /// The tokens of a pass over `cache`, at `positions` (KvCache::Positions).
  RotaryAngles Of(const KvCache& cache, std::span<const TokenRun> runs, const std::vector<int64_t>& positions);

 private:
  struct Turned {
    at::Tensor frequencies;  // [d / 2] float32
    at::Tensor cos, sin;     // [positions, d / 2]
  };
  Turned& Grown(int64_t positions, int64_t text_tokens);
  bool IsLong(int64_t tokens) const;

  const RotarySetting rope_;
  const int64_t head_dim_;
  const at::TensorOptions options_;
  Turned short_, long_;
  int64_t long_tokens_ = 0;  // The text that long_ is for.
};

}  // namespace bitlaw
