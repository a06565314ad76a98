#pragma once

#include <string>
#include <vector>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/checkpoint/hf_export.h"

namespace bitlaw {

/// Why kv_cache_scheme does not say what a model's keys and values are rounded to. Empty exactly when it does: both on
/// one grid of integers or E4M3 with static scales of a layer ("tensor") or a head ("attn_head"), keys as they lie in a
/// cache.
std::string ExplainNoKvScheme(const KvCacheGrid& cache, const ModelSummary& summary);

/// kv_cache_scheme of a grid that has one.
Value KvSchemeJson(const KvCacheGrid& cache);

/// Adds k_scale and v_scale of every attention: float32 of [1], or of [K, 1, 1], K heads of keys and values.
void AddKvScales(const KvCacheGrid& cache, const ModelSummary& summary, HfExport& out);

}  // namespace bitlaw
