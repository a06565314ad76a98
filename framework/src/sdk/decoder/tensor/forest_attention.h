#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/base/export.h"
#include "sdk/decoder/tensor/decoder_ops.h"

namespace bitlaw {

/// Causal softmax(q k^T) v of a pass over a forest of texts: each token sees the tokens of its own segment up to itself
/// and all that comes before that segment. Keys and values of the pass have been written to `cache`.
///
/// queries [T, H, Dh], scaled, in the order of `runs`. Returns [T, H Dh]. The softmax is in float32; on the CPU so are
/// both products, those of bfloat16 included where segments are short.
BITLAW_EXPORT at::Tensor AttendInForest(const at::Tensor& queries, const KvCache& cache, int64_t block,
                                        std::span<const TokenRun> runs, const AttentionSetting& setting = {});

}  // namespace bitlaw
