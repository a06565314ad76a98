#pragma once

#include <cstdint>
#include <optional>

#include "bitlaw/base/export.h"
#include "quantize/quantize_model.h"

namespace bitlaw {

/// How many calibration tokens were routed to the experts of a quantized model, which its layers say each of its own
/// ("routed_tokens").
struct BITLAW_EXPORT ExpertTokens {
  int64_t experts = 0;  ///< Of all blocks.
  int64_t least = 0, median = 0, greatest = 0;  ///< Median: the lower of two in the middle.
  int64_t below_minimum = 0;  ///< Experts that got fewer than were asked for.
};
/// Empty for a model without experts, and where nothing was calibrated.
BITLAW_EXPORT std::optional<ExpertTokens> RoutedTokens(const QuantizedModel& quantized, int64_t minimum_tokens);

}  // namespace bitlaw
