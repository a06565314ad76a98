#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/base/export.h"
#include "sdk/decoder/tensor/decoder_ops.h"

// Attention over a forest of texts where launches are dear and memory is fast: on a CUDA device. What a pass sees is gathered
// once a block by one list of slots, and one fused attention of variable lengths takes all texts; or in several parts where
// that would take too much memory.

namespace bitlaw {

/// Texts one after the other, without padding.
struct BITLAW_EXPORT PackedTexts {
  at::Tensor slots;                  ///< [S] int64: those of the keys of each text, text after text.
  at::Tensor query_ends, key_ends;   ///< [texts + 1] int32: rows before the end of each, from 0.
  std::vector<int64_t> query_bounds, key_bounds;  ///< The same on the host.
  int64_t most_queries = 0, most_keys = 0;        ///< Of one text.
};

/// What all blocks need to know of one pass.
struct BITLAW_EXPORT ForestPass {
  std::vector<int64_t> positions;  ///< [T]
  RotaryAngles angles, local_angles;  ///< At them, for each rotary setting. Undefined until a block has asked.
  at::Tensor slots;                ///< [T] int64: where each token's keys and values go. Undefined on the host.
  /// Each run's keys but those of `header`, its own tokens last; run after run, in parts that are gathered in turn.
  std::vector<PackedTexts> parts;
  PackedTexts header;              ///< What comes before all runs: read by every token, gathered once. Undefined: nothing.
};

/// Whether attention of such queries is packed: libtorch has its fused kernels on their device.
BITLAW_EXPORT bool IsPacked(const at::Tensor& queries);
/// Whether its result can be merged with that over other keys, so that a common header is read once.
BITLAW_EXPORT bool CanMerge(const at::Tensor& queries);

/// Keys with their values that may be gathered at once for queries like these, [T, H, Dh], over `kv_heads` heads, within 512
/// MiB; with the copies for all query heads where the fused attention knows no shared ones, as in float32.
BITLAW_EXPORT int64_t GatheredKeys(const at::Tensor& queries, int64_t kv_heads);

/// A pass over `cache`, its lists on `device`. A common header of fewer tokens than `least_header` counts to each text. Parts
/// have at most `most_keys` keys, or one text.
BITLAW_EXPORT ForestPass PlanPass(const KvCache& cache, std::span<const TokenRun> runs, const at::Device& device,
                                  int64_t least_header, int64_t most_keys);

/// AttendInForest() for a pass whose keys and values have been written. queries [T, H, Dh], scaled; returns [T, H Dh].
/// On the host it is for tests: with libtorch's operations, text after text.
BITLAW_EXPORT at::Tensor AttendPacked(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                                      const ForestPass& pass);

/// The current pass, planned once for all blocks of a model.
class BITLAW_EXPORT PassMemory {
 public:
  /// Plans the pass if it is not the one of the call before: another cache, other runs, a cache that changed since.
  /// With slots and parts for AttendPacked() if queries like these, [T, H, Dh] over `kv_heads` heads, are packed.
  ForestPass& For(const KvCache& cache, std::span<const TokenRun> runs, const at::Tensor& queries, int64_t kv_heads);

 private:
  const KvCache* cache_ = nullptr;
  uint64_t generation_ = 0;
  std::vector<TokenRun> runs_;
  std::optional<ForestPass> pass_;
};

}  // namespace bitlaw
