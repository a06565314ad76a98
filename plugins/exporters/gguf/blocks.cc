#include "blocks.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstdint>
#include <cstring>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/float_format.h"

namespace bitlaw {
namespace {

constexpr int64_t kBlock = 32;
constexpr uint32_t kQ4_0 = 2, kQ4_1 = 3, kQ5_0 = 6, kQ5_1 = 7, kQ8_0 = 8, kMxfp4 = 39;

// Of the integers' types; 0 where there is none.
uint32_t IntegerType(const QuantizedLinear& q) {
  if (q.symmetric) return q.bits <= 4 ? kQ4_0 : q.bits == 5 ? kQ5_0 : kQ8_0;
  return q.bits <= 4 ? kQ4_1 : q.bits == 5 ? kQ5_1 : 0;
}

bool IsMxfp4(const QuantizedLinear& q) {
  const std::span<const float> levels = LevelsOf(FloatFormat::kE2M1);
  return q.symmetric && q.scale_dtype == "float8_e8m0fnu" && q.levels.defined() &&
         q.levels.cpu().equal(at::tensor(at::ArrayRef<float>(levels.data(), levels.size())));
}

// [R, groups] float32: what is added to scale times code.
at::Tensor Offsets(const QuantizedLinear& q) { return q.scales.mul(q.zeros.to(at::kFloat)).neg_(); }

bool IsFloat16(const at::Tensor& values) {
  const at::Tensor half = values.to(at::kHalf).to(at::kFloat);
  return half.equal(values) && half.isfinite().all().item<bool>();
}

// [C_in / 32] int64: the group of each block; undefined where columns of a block are of several.
at::Tensor GroupsOfBlocks(const QuantizedLinear& q) {
  const at::Tensor blocks = q.group_index.cpu().to(at::kLong).view({-1, kBlock});
  const at::Tensor first = blocks.select(1, 0).contiguous();
  return blocks.eq(first.unsqueeze(1)).all().item<bool>() ? first : at::Tensor();
}

// [C_out, C_in / 32] of [R, groups].
at::Tensor OfBlocks(const QuantizedLinear& q, const at::Tensor& of_groups, const at::Tensor& order) {
  at::Tensor rows = of_groups.cpu();
  if (q.row_index.defined()) rows = rows.index_select(0, q.row_index.cpu().to(at::kLong));
  if (order.defined()) rows = rows.index_select(0, order);
  return rows.index_select(1, GroupsOfBlocks(q)).contiguous();
}

// One block from its 32 codes, each in a byte. Of four bits element j < 16 is the low half of byte j, element j + 16
// the high one; the fifth bit of element j is bit j of a word before them.
void PutNibbles(const uint8_t* codes, char* out) {
  constexpr int64_t kHalf = kBlock / 2;
  for (int64_t j = 0; j < kHalf; ++j) out[j] = static_cast<char>((codes[j] & 15) | (codes[j + kHalf] & 15) << 4);
}

void PutFifthBits(const uint8_t* codes, char* out) {
  uint32_t word = 0;
  for (int64_t j = 0; j < kBlock; ++j) word |= static_cast<uint32_t>(codes[j] >> 4 & 1) << j;
  std::memcpy(out, &word, sizeof word);
}

// [C_out, C_in] uint8: codes as the type counts them.
at::Tensor StoredCodes(const QuantizedLinear& q, uint32_t type, const at::Tensor& order) {
  at::Tensor codes = q.codes.cpu();
  if (order.defined()) codes = codes.index_select(0, order);
  if (type == kMxfp4) {
    const at::Tensor levels = q.levels.cpu().index_select(0, codes.flatten().to(at::kLong)).view(codes.sizes());
    return EncodeFloats(FloatFormat::kE2M1, levels).contiguous();
  }
  if (type == kQ4_1 || type == kQ5_1) return codes.contiguous();
  const int64_t middle = int64_t{1} << (q.bits - 1), zero = type == kQ4_0 ? 8 : type == kQ5_0 ? 16 : 0;
  return codes.to(at::kShort).add_(zero - middle).to(type == kQ8_0 ? at::kChar : at::kByte).contiguous();
}

}  // namespace

std::string ExplainNoBlocks(const QuantizedLinear& q, bool is_table) {
  const int64_t columns = q.codes.size(1);
  if (q.input_scale.defined()) return "its inputs are divided by a scale, which the format cannot say.";
  if (columns % kBlock != 0) {
    return fmt::format("its rows have {} columns, and blocks of GGUF have 32. Use exporter dense.", columns);
  }
  if (!GroupsOfBlocks(q).defined()) {
    return fmt::format("columns of a block of 32 are of several groups (group_size = {}), and a block has one scale. "
                       "Quantize with a group_size that is a multiple of 32{}.",
                       q.group_size, q.GroupsAreRuns() ? "" : ", and group_params: static");
  }
  if (q.levels.defined()) {
    return IsMxfp4(q) ? "" : "no type of GGUF has its grid's levels. Use grid uniform or mxfp4, or exporter dense.";
  }
  if (q.has_real_zeros()) {
    return "its zero points are real numbers, which no type of GGUF says exactly. Use exporter dense.";
  }
  if (IntegerType(q) == 0) {
    return fmt::format("its codes have {} bits and a zero point, which types of GGUF have up to 5. Quantize with "
                       "symmetric: true (Q8_0).",
                       q.bits);
  }
  if (q.scale_dtype != "float16") {
    return "its scales are exact in float32 only, and the format holds float16. Quantize with scale_dtype: float16.";
  }
  if (q.symmetric) {
    const bool has_middle = q.zeros.eq(1 << (q.bits - 1)).all().item<bool>();
    return has_middle ? "" : "it is symmetric around another code than the middle one, which no type of GGUF says.";
  }
  if (!IsFloat16(Offsets(q))) {
    return fmt::format("a scale times its zero point is no float16 number, as {} stores it, so that the file would be "
                       "another model. Quantize with {}symmetric: true.",
                       FindGgmlType(IntegerType(q))->name, is_table ? "" : "scale_dtype: float16_short, or ");
  }
  return "";
}

const GgmlType& BlockTypeOf(const QuantizedLinear& q) {
  const GgmlType* type = FindGgmlType(IsMxfp4(q) ? kMxfp4 : IntegerType(q));
  if (type == nullptr) throw InternalError("a layer that no block says was to be written");
  return *type;
}

std::string BlocksOf(const QuantizedLinear& q, const at::Tensor& order) {
  const GgmlType& type = BlockTypeOf(q);
  const at::Tensor codes = StoredCodes(q, type.id, order);  // [C_out, C_in]
  const bool has_offsets = type.id == kQ4_1 || type.id == kQ5_1, has_fifths = type.id == kQ5_0 || type.id == kQ5_1;
  at::Tensor scales = OfBlocks(q, q.scales, order);  // [C_out, C_in / 32]
  scales = type.id == kMxfp4 ? EncodeFloats(FloatFormat::kE8M0, scales) : scales.to(at::kHalf);
  const at::Tensor offsets = has_offsets ? OfBlocks(q, Offsets(q), order).to(at::kHalf) : at::Tensor();
  const int64_t blocks = scales.numel();
  const auto scale_bytes = scales.element_size();
  const auto* code = static_cast<const uint8_t*>(codes.data_ptr());
  const auto* scale = static_cast<const char*>(scales.data_ptr());
  std::string bytes(static_cast<size_t>(blocks) * type.block_bytes, '\0');
  char* out = bytes.data();
  for (int64_t b = 0; b < blocks; ++b, code += kBlock) {
    std::memcpy(out, scale + b * static_cast<int64_t>(scale_bytes), scale_bytes);
    out += scale_bytes;
    if (has_offsets) {
      std::memcpy(out, static_cast<const char*>(offsets.data_ptr()) + 2 * b, 2);
      out += 2;
    }
    if (has_fifths) {
      PutFifthBits(code, out);
      out += 4;
    }
    if (type.id == kQ8_0) {
      std::memcpy(out, code, kBlock);
      out += kBlock;
    } else {
      PutNibbles(code, out);
      out += kBlock / 2;
    }
  }
  return bytes;
}

}  // namespace bitlaw
