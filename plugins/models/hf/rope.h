#pragma once

#include <cstdint>

#include "architectures.h"
#include "bitlaw/sdk/decoder/decoder_config.h"
#include "fields.h"

namespace bitlaw {

/// Fills config.rope and config.local_rope; the sizes of config are known. Settings stand in rope_parameters
/// (transformers 5), or in rope_scaling and beside it (4).
void ReadRope(const Fields& fields, const Architecture& architecture, DecoderConfig& config);

}  // namespace bitlaw
