#include "dequantize.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <span>

#include "bitlaw/sdk/checkpoint/packed_codes.h"

namespace bitlaw {

at::Tensor UnpackRows(const at::Tensor& words, int64_t columns, int bits) {
  const at::Tensor packed = words.contiguous();
  const int64_t rows = packed.size(0), row_bytes = packed.size(1) * 4, used = PackedSizeBytes(columns, bits);
  at::Tensor codes = at::empty({rows, columns}, at::kByte);
  const auto* from = static_cast<const uint8_t*>(packed.data_ptr());
  auto* to = codes.data_ptr<uint8_t>();
  for (int64_t r = 0; r < rows; ++r) {
    UnpackCodes({from + r * row_bytes, static_cast<size_t>(used)}, bits, {to + r * columns, static_cast<size_t>(columns)});
  }
  return codes;
}

at::Tensor UnpackWholeCodes(const at::Tensor& words, int64_t columns, int bits) {
  const at::Tensor packed = words.contiguous();
  const int64_t rows = packed.size(0), row_words = packed.size(1), in_word = 32 / bits;
  const uint32_t mask = (uint32_t{1} << bits) - 1;
  at::Tensor codes = at::empty({rows, columns}, at::kByte);
  const auto* from = packed.data_ptr<int32_t>();
  auto* to = codes.data_ptr<uint8_t>();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const auto word = static_cast<uint32_t>(from[r * row_words + c / in_word]);
      to[r * columns + c] = static_cast<uint8_t>(word >> (c % in_word * bits) & mask);
    }
  }
  return codes;
}

at::Tensor UnpackAwq(const at::Tensor& words) {
  static constexpr std::array<int64_t, 8> kColumn = {0, 2, 4, 6, 1, 3, 5, 7};
  const at::Tensor packed = words.contiguous();
  const int64_t count = packed.numel();
  at::Tensor codes = at::empty({packed.size(0), packed.size(1) * 8}, at::kByte);
  const auto* from = packed.data_ptr<int32_t>();
  auto* to = codes.data_ptr<uint8_t>();
  for (int64_t w = 0; w < count; ++w) {
    const auto word = static_cast<uint32_t>(from[w]);
    for (int i = 0; i < 8; ++i) to[w * 8 + kColumn[i]] = static_cast<uint8_t>(word >> (4 * i) & 15U);
  }
  return codes;
}

at::Tensor ZerosStoredLessOne(const at::Tensor& words, int64_t columns, int bits) {
  if (bits == 3) return UnpackRows(words, columns, bits).add_(1).bitwise_and_(7);
  // A one in the lowest bit of each code: 0x11111111 of 4 bits.
  const uint32_t ones = UINT32_MAX / ((uint32_t{1} << bits) - 1);
  at::Tensor added = words.contiguous().clone();
  auto* word = added.data_ptr<int32_t>();
  for (int64_t i = 0; i < added.numel(); ++i) word[i] = static_cast<int32_t>(static_cast<uint32_t>(word[i]) + ones);
  return UnpackRows(added, columns, bits);
}

at::Tensor UnpackE2m1(const at::Tensor& bytes) {
  static constexpr std::array<float, 16> kValues = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                                                    -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};
  const at::Tensor packed = bytes.contiguous();
  at::Tensor values = at::empty({packed.size(0), packed.size(1) * 2}, at::kFloat);
  const auto* from = packed.data_ptr<uint8_t>();
  auto* to = values.data_ptr<float>();
  for (int64_t i = 0; i < packed.numel(); ++i) {
    to[2 * i] = kValues[from[i] & 15U];
    to[2 * i + 1] = kValues[from[i] >> 4U];
  }
  return values;
}

at::Tensor FromE4m3(const at::Tensor& bytes) {
  // 1 bit of sign, 4 of exponent with bias 7, 3 of mantissa; all ones is not a number.
  static const std::array<float, 256> kValues = [] {
    std::array<float, 256> values{};
    for (int code = 0; code < 256; ++code) {
      const int exponent = code >> 3 & 15, mantissa = code & 7;
      const float size = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                       : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
      const bool is_number = (code & 127) != 127;
      values[static_cast<size_t>(code)] = !is_number ? NAN : code < 128 ? size : -size;
    }
    return values;
  }();
  const at::Tensor stored = bytes.contiguous();
  at::Tensor numbers = at::empty(stored.sizes(), at::kFloat);
  const auto* from = stored.data_ptr<uint8_t>();
  auto* to = numbers.data_ptr<float>();
  for (int64_t i = 0; i < stored.numel(); ++i) to[i] = kValues[from[i]];
  return numbers;
}

at::Tensor PowersOfTwo(const at::Tensor& exponents) {
  const at::Tensor stored = exponents.contiguous();
  at::Tensor values = at::empty(stored.sizes(), at::kFloat);
  const auto* from = stored.data_ptr<uint8_t>();
  auto* to = values.data_ptr<float>();
  for (int64_t i = 0; i < stored.numel(); ++i) to[i] = std::ldexp(1.0F, static_cast<int>(from[i]) - 127);
  return values;
}

at::Tensor Dequantized(at::Tensor level, const at::Tensor& scale, const at::Tensor& zero, const at::Tensor& group,
                       int64_t group_size) {
  const int64_t rows = level.size(0), columns = level.size(1), groups = scale.size(1);
  if (!group.defined() && groups * group_size == columns) {
    at::Tensor in_groups = level.view({rows, groups, group_size});  // [C_out, groups, G]
    if (zero.defined()) in_groups.sub_(zero.unsqueeze(2));
    in_groups.mul_(scale.unsqueeze(2));
    return level;
  }
  const at::Tensor index =
      group.defined() ? group : at::arange(columns, at::kLong).div_(group_size, "floor");  // [C_in]
  if (zero.defined()) level.sub_(zero.index_select(1, index));
  return level.mul_(scale.index_select(1, index));  // [C_out, C_in]
}

}  // namespace bitlaw
