#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Codes of `bits` bits each as one dense string of bits: code i occupies bits [i * bits, (i + 1) * bits), lowest bit
/// first, bytes in rising order; the last byte is padded with zeros.
///
/// Size    ceil(count * bits / 8) bytes.
/// Errors  InternalError for a code that needs more than `bits` bits (1 to 8), or a span of the wrong size.
BITLAW_EXPORT std::vector<uint8_t> PackCodes(std::span<const uint8_t> codes, int bits);
BITLAW_EXPORT void UnpackCodes(std::span<const uint8_t> packed, int bits, std::span<uint8_t> codes);

/// Bytes that `count` codes take.
BITLAW_EXPORT int64_t PackedSizeBytes(int64_t count, int bits);

}  // namespace bitlaw
