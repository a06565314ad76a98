#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
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

/// Rows of `columns` codes, each row a dense string of bits in whole 32-bit words of its own, little-endian: what
/// compressed-tensors' "pack-quantized" and, of the transposed matrix, GPTQ's files hold.
///
/// Size    rows * ceil(columns * bits / 32) * 4 bytes. Errors as PackCodes().
BITLAW_EXPORT std::string PackRowsInWords(std::span<const uint8_t> codes, int64_t columns, int bits);

/// Bytes that `count` codes take.
BITLAW_EXPORT int64_t PackedSizeBytes(int64_t count, int bits);

}  // namespace bitlaw
