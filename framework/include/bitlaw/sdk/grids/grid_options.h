#pragma once

#include <cstdint>
#include <memory>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/integer_grid.h"

namespace bitlaw {

/// Adds the options of groups and of the integer grid under the names that every quantizer shares, so that one study
/// can sweep them over several: bits, group_size ("row" = -1), symmetric, mse, mse_norm, scale_dtype,
/// allow_partial_group.
BITLAW_EXPORT void AddGridOptions(OptionSchema& schema);

/// Adds the options of the integer grid alone: AddGridOptions() without group_size and allow_partial_group.
BITLAW_EXPORT void AddUniformGridOptions(OptionSchema& schema);

/// Adds scale_dtype, float16 or float32, for grids without zero points.
BITLAW_EXPORT void AddScaleDtypeOption(OptionSchema& schema, const char* default_dtype);

/// The grid that options of AddGridOptions() ask for; group_size and allow_partial_group are read by the quantizer.
BITLAW_EXPORT GridRule GridRuleFrom(const Options& options);
BITLAW_EXPORT ScaleDtype ScaleDtypeFrom(const Options& options);

/// Why `layer` cannot have groups of `group_size` on `grid`: ExplainGroupSize() of the layer, then of the grid.
BITLAW_EXPORT std::string ExplainGroupsOn(const WeightGrid& grid, const LinearShape& layer, int64_t group_size,
                                          bool allow_partial_group);

/// How an exporter would store a layer whose groups lie on `grid`: what StoredBitsPerWeight() asks for.
BITLAW_EXPORT StorageRule StorageOf(const WeightGrid& grid, int64_t group_size, bool stores_group_index = false);

}  // namespace bitlaw
