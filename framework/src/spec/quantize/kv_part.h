#pragma once

#include <string>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// Options of `kv_cache`: key_bits, value_bits, symmetric, key_format, value_format, key_per, value_per,
/// keys_before_rotation, scale_rule.
const OptionSchema& KvCacheSchema();

/// {key_bits, value_bits, symmetric} of a cell from its resolved options, widths filled in for formats that have their
/// own, and of the others those that count and are not the default. Null where neither keys nor values are rounded.
Value KvCacheOf(const Value& section);

/// Whether a static scale comes from the calibration set.
bool CalibratesKvCache(const Value& kv_cache);

/// Error(kUnsupported) for options that do not go together.
void CheckKvCache(const Value& kv_cache);

/// Why keys and values of `model` cannot be rounded so; empty if they can.
std::string ExplainUnsupportedKvCache(const Value& kv_cache, const ModelSummary& model);

}  // namespace bitlaw
