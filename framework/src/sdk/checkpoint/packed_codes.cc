#include "bitlaw/sdk/checkpoint/packed_codes.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

void CheckWidth(int bits) {
  if (bits < 1 || bits > 8) throw InternalError("packed codes have " + std::to_string(bits) + " bits, not 1 to 8");
}

}  // namespace

int64_t PackedSizeBytes(int64_t count, int bits) {
  CheckWidth(bits);
  return (count * bits + 7) / 8;
}

std::vector<uint8_t> PackCodes(std::span<const uint8_t> codes, int bits) {
  std::vector<uint8_t> packed(static_cast<size_t>(PackedSizeBytes(static_cast<int64_t>(codes.size()), bits)));
  uint32_t word = 0, seen = 0;
  int filled = 0;
  size_t out = 0, at = 0;
  for (; at + 8 <= codes.size(); at += 8, out += static_cast<size_t>(bits)) {  // Eight codes are `bits` bytes.
    uint64_t eight = 0;
    for (int i = 0; i < 8; ++i) {
      seen |= codes[at + i];
      eight |= static_cast<uint64_t>(codes[at + i]) << (i * bits);
    }
    for (int i = 0; i < bits; ++i) packed[out + i] = static_cast<uint8_t>(eight >> (8 * i));
  }
  for (const uint8_t code : codes.subspan(at)) {
    seen |= code;
    word |= static_cast<uint32_t>(code) << filled;
    for (filled += bits; filled >= 8; filled -= 8, word >>= 8) packed[out++] = static_cast<uint8_t>(word);
  }
  if (filled > 0) packed[out] = static_cast<uint8_t>(word);
  if (seen >> bits != 0) throw InternalError("a code does not fit into " + std::to_string(bits) + " bits");
  return packed;
}

std::string PackRowsInWords(std::span<const uint8_t> codes, int64_t columns, int bits) {
  if (columns < 1 || codes.size() % static_cast<size_t>(columns) != 0) {
    throw InternalError(std::to_string(codes.size()) + " codes are no rows of " + std::to_string(columns));
  }
  const size_t row = static_cast<size_t>(columns), row_bytes = static_cast<size_t>((columns * bits + 31) / 32 * 4);
  std::string words(codes.size() / row * row_bytes, '\0');
  for (size_t r = 0; r * row < codes.size(); ++r) {
    const std::vector<uint8_t> packed = PackCodes(codes.subspan(r * row, row), bits);
    std::copy(packed.begin(), packed.end(), words.begin() + static_cast<std::ptrdiff_t>(r * row_bytes));
  }
  return words;
}

void UnpackCodes(std::span<const uint8_t> packed, int bits, std::span<uint8_t> codes) {
  if (static_cast<int64_t>(packed.size()) != PackedSizeBytes(static_cast<int64_t>(codes.size()), bits)) {
    throw InternalError("packed codes have " + std::to_string(packed.size()) + " bytes, but " +
                        std::to_string(codes.size()) + " codes of " + std::to_string(bits) + " bits are asked for");
  }
  const uint32_t mask = (1u << bits) - 1;
  uint32_t word = 0;
  int held = 0;
  size_t in = 0;
  for (uint8_t& code : codes) {
    if (held < bits) {
      word |= static_cast<uint32_t>(packed[in++]) << held;
      held += 8;
    }
    code = static_cast<uint8_t>(word & mask);
    word >>= bits;
    held -= bits;
  }
}

}  // namespace bitlaw
