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

// Eight 6-bit scales and offsets in 12 bytes: the low six bits of bytes 0-3 and 4-7 are the first four of each; bytes
// 8-11 hold low nibbles of the last four, whose top bits are those of bytes 0-7.
struct ScaleAndOffset {
  int scale, offset;
};
ScaleAndOffset PackedScale(const uint8_t* packed, int s) {
  if (s < 4) return {packed[s] & 63, packed[s + 4] & 63};
  return {(packed[s + 4] & 0xF) | (packed[s - 4] >> 6) << 4, (packed[s + 4] >> 4) | (packed[s] >> 6) << 4};
}

// Eight sub-blocks of 32, two to a stretch of 32 bytes: the first in the low nibbles.
void Q4_K(const uint8_t* block, float* out) {
  const float d = HalfAt(block), d_min = HalfAt(block + 2);
  for (int s = 0; s < 8; ++s) {
    const auto [scale, offset] = PackedScale(block + 4, s);
    const float sub_scale = d * static_cast<float>(scale), sub_offset = d_min * static_cast<float>(offset);
    const uint8_t* bytes = block + 16 + s / 2 * 32;
    for (int j = 0; j < 32; ++j) {
      const int code = s % 2 == 0 ? bytes[j] & 0xF : bytes[j] >> 4;
      out[s * 32 + j] = sub_scale * static_cast<float>(code) - sub_offset;
    }
  }
}

// As Q4_K, and the fifth bit of element j of sub-block s is bit s of byte j of 32.
void Q5_K(const uint8_t* block, float* out) {
  const float d = HalfAt(block), d_min = HalfAt(block + 2);
  const uint8_t* high = block + 16;
  for (int s = 0; s < 8; ++s) {
    const auto [scale, offset] = PackedScale(block + 4, s);
    const float sub_scale = d * static_cast<float>(scale), sub_offset = d_min * static_cast<float>(offset);
    const uint8_t* bytes = block + 48 + s / 2 * 32;
    for (int j = 0; j < 32; ++j) {
      const int code = (s % 2 == 0 ? bytes[j] & 0xF : bytes[j] >> 4) | (high[j] >> s & 1) << 4;
      out[s * 32 + j] = sub_scale * static_cast<float>(code) - sub_offset;
    }
  }
}

// Two bits of element 128 h + 32 k + j at bit 2 k of byte 32 h + j.
int TwoBits(const uint8_t* bytes, int element) {
  return bytes[element / 128 * 32 + element % 32] >> element / 32 % 4 * 2 & 3;
}

// Sixteen sub-blocks of 16; a byte holds a scale in its low nibble, an offset in its high one.
void Q2_K(const uint8_t* block, float* out) {
  const float d = HalfAt(block + 80), d_min = HalfAt(block + 82);
  for (int s = 0; s < 16; ++s) {
    const float sub_scale = d * static_cast<float>(block[s] & 0xF);
    const float sub_offset = d_min * static_cast<float>(block[s] >> 4);
    for (int e = 16 * s; e < 16 * (s + 1); ++e) {
      out[e] = sub_scale * static_cast<float>(TwoBits(block + 16, e)) - sub_offset;
    }
  }
}

// Sixteen sub-blocks of 16. The third bit of element 32 b + j is bit b of byte j of 32, and counts -4 where it is not
// set. Of twelve bytes, the nibbles of the first eight are the low bits of the scales, low nibbles first; scale s has
// its top two bits at bit 2 (s / 4) of byte 8 + s % 4.
void Q3_K(const uint8_t* block, float* out) {
  const uint8_t *high = block, *low = block + 32, *packed = block + 96;
  const float d = HalfAt(block + 108);
  for (int s = 0; s < 16; ++s) {
    const int low_bits = s < 8 ? packed[s] & 0xF : packed[s - 8] >> 4;
    const int scale = (low_bits | (packed[8 + s % 4] >> s / 4 * 2 & 3) << 4) - 32;
    const float sub_scale = d * static_cast<float>(scale);
    for (int e = 16 * s; e < 16 * (s + 1); ++e) {
      const int code = TwoBits(low, e) - ((high[e % 32] >> e / 32 & 1) != 0 ? 0 : 4);
      out[e] = sub_scale * static_cast<float>(code);
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

constexpr int8_t kNonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void IQ4_NL(const uint8_t* block, float* out) {
  const float d = HalfAt(block);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(kNonlinear[block[2 + j] & 0xF]);
    out[j + 16] = d * static_cast<float>(kNonlinear[block[2 + j] >> 4]);
  }
}

// Eight sub-blocks of 32 as IQ4_NL's, with 6-bit scales: low nibbles in four bytes, top bits in a 16-bit word.
void IQ4_XS(const uint8_t* block, float* out) {
  const float d = HalfAt(block);
  const int high = block[2] | block[3] << 8;
  for (int s = 0; s < 8; ++s) {
    const int scale = ((block[4 + s / 2] >> s % 2 * 4 & 0xF) | (high >> 2 * s & 3) << 4) - 32;
    const float sub_scale = d * static_cast<float>(scale);
    const uint8_t* bytes = block + 8 + 16 * s;
    for (int j = 0; j < 16; ++j) {
      out[32 * s + j] = sub_scale * static_cast<float>(kNonlinear[bytes[j] & 0xF]);
      out[32 * s + j + 16] = sub_scale * static_cast<float>(kNonlinear[bytes[j] >> 4]);
    }
  }
}

// The sixteen 4-bit floats (two bits of exponent, one of fraction), doubled.
constexpr int8_t kFourBitFloats[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// The scale is a power of two, 2^(e - 127), halved for the doubled codes; the least two are subnormal.
void MXFP4(const uint8_t* block, float* out) {
  const uint32_t e = block[0];
  const float d = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(kFourBitFloats[block[1 + j] & 0xF]);
    out[j + 16] = d * static_cast<float>(kFourBitFloats[block[1 + j] >> 4]);
  }
}

// Five base-3 digits a byte, as a fraction of 256: multiplied by 3^n, what is left of the point is gone, and the next
// digit is the whole part of three times the rest. 32 and 16 bytes of five digits, then 4 bytes of four.
void TQ1_0(const uint8_t* block, float* out) {
  static constexpr struct {
    int first_byte, bytes, digits;
  } kParts[3] = {{0, 32, 5}, {32, 16, 5}, {48, 4, 4}};
  static constexpr int kPowers[5] = {1, 3, 9, 27, 81};
  const float d = HalfAt(block + 52);
  for (const auto& [first_byte, bytes, digits] : kParts) {
    for (int n = 0; n < digits; ++n) {
      for (int j = 0; j < bytes; ++j) {
        const int rest = block[first_byte + j] * kPowers[n] & 0xFF;
        *out++ = d * static_cast<float>((rest * 3 >> 8) - 1);
      }
    }
  }
}

void TQ2_0(const uint8_t* block, float* out) {
  const float d = HalfAt(block + 64);
  for (int e = 0; e < 256; ++e) out[e] = d * static_cast<float>(TwoBits(block, e) - 1);
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
  if (name == "Q2_K") one_block = Q2_K;
  if (name == "Q3_K") one_block = Q3_K;
  if (name == "Q4_K") one_block = Q4_K;
  if (name == "Q5_K") one_block = Q5_K;
  if (name == "Q6_K") one_block = Q6_K;
  if (name == "IQ4_NL") one_block = IQ4_NL;
  if (name == "IQ4_XS") one_block = IQ4_XS;
  if (name == "MXFP4") one_block = MXFP4;
  if (name == "TQ1_0") one_block = TQ1_0;
  if (name == "TQ2_0") one_block = TQ2_0;
  if (one_block == nullptr || begin % type.block_elements != 0 || end % type.block_elements != 0) {
    throw InternalError("Dequantize was given " + std::string(name) + " or elements that are not whole blocks.");
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(stored) + begin / type.block_elements * type.block_bytes;
  for (uint64_t i = begin; i < end; i += type.block_elements, bytes += type.block_bytes, out += type.block_elements) {
    one_block(bytes, out);
  }
}

}  // namespace bitlaw
