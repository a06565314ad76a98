#pragma once

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/grids/integer_grid.h"

namespace bitlaw {

/// Adds the options of a grid under the names that every quantizer shares, so that one study can sweep them over
/// several: bits, group_size ("row" = -1), symmetric, mse, mse_norm, scale_dtype, allow_partial_group.
BITLAW_EXPORT void AddGridOptions(OptionSchema& schema);

/// The grid that options of AddGridOptions() ask for; group_size and allow_partial_group are read by the quantizer.
BITLAW_EXPORT GridRule GridRuleFrom(const Options& options);

}  // namespace bitlaw
