#include "dequantize.h"

#include <bit>
#include <cstring>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// IEEE half to float, exactly; signs, subnormals, infinities and NaN included.
float HalfAt(const uint8_t* bytes) {
  const uint32_t half = static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8;
  const uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 0x1Fu, fraction = half & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

uint32_t WordAt(const uint8_t* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, 4);
  return word;
}

// Nibbles: element j < 16 of a block is the low one of byte j, element j + 16 the high one.
void Q4_0(const uint8_t* block, float* out) {
  const float d = HalfAt(block);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>((block[2 + j] & 0xF) - 8);
    out[j + 16] = d * static_cast<float>((block[2 + j] >> 4) - 8);
  }
}

void Q4_1(const uint8_t* block, float* out) {
  const float d = HalfAt(block), m = HalfAt(block + 2);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(block[4 + j] & 0xF) + m;
    out[j + 16] = d * static_cast<float>(block[4 + j] >> 4) + m;
  }
}

// The fifth bit of element j is bit j of a 32-bit word.
void Q5_0(const uint8_t* block, float* out) {
  const float d = HalfAt(block);
  const uint32_t high = WordAt(block + 2);
  for (int j = 0; j < 16; ++j) {
    const int low_element = (block[6 + j] & 0xF) | static_cast<int>((high >> j & 1) << 4);
    const int high_element = (block[6 + j] >> 4) | static_cast<int>((high >> (j + 16) & 1) << 4);
    out[j] = d * static_cast<float>(low_element - 16);
    out[j + 16] = d * static_cast<float>(high_element - 16);
  }
}

void Q5_1(const uint8_t* block, float* out) {
  const float d = HalfAt(block), m = HalfAt(block + 2);
  const uint32_t high = WordAt(block + 4);
  for (int j = 0; j < 16; ++j) {
    const int low_element = (block[8 + j] & 0xF) | static_cast<int>((high >> j & 1) << 4);
    const int high_element = (block[8 + j] >> 4) | static_cast<int>((high >> (j + 16) & 1) << 4);
    out[j] = d * static_cast<float>(low_element) + m;
    out[j + 16] = d * static_cast<float>(high_element) + m;
  }
}

void Q8_0(const uint8_t* block, float* out) {
  const float d = HalfAt(block);
  for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(static_cast<int8_t>(block[2 + j]));
}

// Eight sub-blocks of 32 with 6-bit scales and offsets, packed in 12 bytes: the low six bits of bytes 0-3 and 4-7
// are the first four of each; bytes 8-11 hold low nibbles of the last four, whose top bits are those of bytes 0-7.
void Q4_K(const uint8_t* block, float* out) {
  const float d = HalfAt(block), d_min = HalfAt(block + 2);
  const uint8_t *packed = block + 4, *codes = block + 16;
  for (int s = 0; s < 8; ++s) {
    int scale, offset;
    if (s < 4) {
      scale = packed[s] & 63;
      offset = packed[s + 4] & 63;
    } else {
      scale = (packed[s + 4] & 0xF) | (packed[s - 4] >> 6) << 4;
      offset = (packed[s + 4] >> 4) | (packed[s] >> 6) << 4;
    }
    const float sub_scale = d * static_cast<float>(scale), sub_offset = d_min * static_cast<float>(offset);
    const uint8_t* bytes = codes + s / 2 * 32;
    for (int j = 0; j < 32; ++j) {
      const int code = s % 2 == 0 ? bytes[j] & 0xF : bytes[j] >> 4;
      out[s * 32 + j] = sub_scale * static_cast<float>(code) - sub_offset;
    }
  }
}

// Two halves of 128; in each, element 32 k + j has its low nibble in byte (k odd ? 32 : 0) + j of 64 (high nibble for
// k >= 2) and its top two bits at bit 2 k of byte j of 32. Sixteen 8-bit scales, one for 16 elements.
void Q6_K(const uint8_t* block, float* out) {
  const uint8_t *low = block, *high = block + 128;
  const auto* scales = reinterpret_cast<const int8_t*>(block + 192);
  const float d = HalfAt(block + 208);
  for (int half = 0; half < 2; ++half, low += 64, high += 32, scales += 8, out += 128) {
    for (int k = 0; k < 4; ++k) {
      for (int j = 0; j < 32; ++j) {
        const uint8_t nibbles = low[k % 2 * 32 + j];
        const int code = (k < 2 ? nibbles & 0xF : nibbles >> 4) | (high[j] >> 2 * k & 3) << 4;
        out[32 * k + j] = d * static_cast<float>(scales[2 * k + j / 16]) * static_cast<float>(code - 32);
      }
    }
  }
}

}  // namespace

void Dequantize(const GgmlType& type, const std::byte* stored, uint64_t begin, uint64_t end, float* out) {
  void (*one_block)(const uint8_t*, float*) = nullptr;
  const std::string_view name = type.name;
  if (name == "Q4_0") one_block = Q4_0;
  if (name == "Q4_1") one_block = Q4_1;
  if (name == "Q5_0") one_block = Q5_0;
  if (name == "Q5_1") one_block = Q5_1;
  if (name == "Q8_0") one_block = Q8_0;
  if (name == "Q4_K") one_block = Q4_K;
  if (name == "Q6_K") one_block = Q6_K;
  if (one_block == nullptr || begin % type.block_elements != 0 || end % type.block_elements != 0) {
    throw InternalError("Dequantize was given " + std::string(name) + " or elements that are not whole blocks.");
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(stored) + begin / type.block_elements * type.block_bytes;
  for (uint64_t i = begin; i < end; i += type.block_elements, bytes += type.block_bytes, out += type.block_elements) {
    one_block(bytes, out);
  }
}

}  // namespace bitlaw
