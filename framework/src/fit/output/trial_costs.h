#pragma once

#include <filesystem>

#include "bitlaw/base/export.h"
#include "records/table.h"

namespace bitlaw {

/// What the trials of `observations` took, as the timings beside their records tell: columns trial, quantize_s (missing
/// for the unquantized model) and evaluate_s (seconds over all tasks; missing where one has none). Empty where no trial
/// has any: a folder that was copied without its timings.
BITLAW_EXPORT Table TrialCosts(const Table& observations, const std::filesystem::path& output);

}  // namespace bitlaw
