#include "bitlaw/sdk/grids/float_format.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

struct Layout {
  int exponent_bits, mantissa_bits, bias;
  int finite_codes;  // Of one sign, from 0 on; what follows are infinities and NaN.
};

Layout LayoutOf(FloatFormat format) {
  switch (format) {
    case FloatFormat::kE2M1: return {2, 1, 1, 8};
    case FloatFormat::kE4M3: return {4, 3, 7, 127};
    case FloatFormat::kE5M2: return {5, 2, 15, 124};
    case FloatFormat::kE8M0: break;
  }
  throw InternalError("E8M0 has no sign, no zero and no digits");
}

float ValueOf(const Layout& layout, int code) {
  const int exponent = code >> layout.mantissa_bits, mantissa = code & ((1 << layout.mantissa_bits) - 1);
  const int digits = exponent == 0 ? mantissa : mantissa + (1 << layout.mantissa_bits);
  return std::ldexp(static_cast<float>(digits), std::max(exponent, 1) - layout.bias - layout.mantissa_bits);
}

// Values and where their cells end.
struct Table {
  std::vector<float> levels, bounds;

  explicit Table(FloatFormat format) {
    const Layout layout = LayoutOf(format);
    const int last = layout.finite_codes - 1;
    for (int code = -last; code <= last; ++code) {
      levels.push_back(code < 0 ? -ValueOf(layout, -code) : ValueOf(layout, code));
    }
    for (int code = -last; code < last; ++code) {
      const float low = levels[static_cast<size_t>(code + last)], high = levels[static_cast<size_t>(code + last + 1)];
      const float half = (low + high) / 2;  // Exact.
      // An even code's last digit is even. Where the upper value takes what is halfway, the cell ends just below.
      bounds.push_back(code % 2 == 0 ? half : std::nextafter(half, -INFINITY));
    }
  }
};

const Table& TableOf(FloatFormat format) {
  static const Table kE2M1(FloatFormat::kE2M1), kE4M3(FloatFormat::kE4M3), kE5M2(FloatFormat::kE5M2);
  switch (format) {
    case FloatFormat::kE2M1: return kE2M1;
    case FloatFormat::kE4M3: return kE4M3;
    default: LayoutOf(format); return kE5M2;
  }
}

// The values of all codes, [256] (E2M1: [16]) float32.
at::Tensor ValuesOfCodes(FloatFormat format) {
  const int bits = format == FloatFormat::kE2M1 ? 4 : 8;
  std::vector<float> values;
  for (int code = 0; code < 1 << bits; ++code) {
    if (format == FloatFormat::kE8M0) {
      values.push_back(code == 255 ? NAN : std::ldexp(1.0F, code - 127));
      continue;
    }
    const Layout layout = LayoutOf(format);
    const int size = code & ((1 << (bits - 1)) - 1);
    const float value = size < layout.finite_codes ? ValueOf(layout, size) : NAN;
    values.push_back(size == code ? value : -value);
  }
  return at::tensor(values, at::kFloat);
}

}  // namespace

FloatFormat FloatFormatOf(std::string_view torch_dtype) {
  if (torch_dtype == "float8_e4m3fn") return FloatFormat::kE4M3;
  if (torch_dtype == "float8_e5m2") return FloatFormat::kE5M2;
  if (torch_dtype == "float8_e8m0fnu") return FloatFormat::kE8M0;
  throw Error(ErrorKind::kSpec, "'" + std::string(torch_dtype) +
                                    "' is no small floating-point format. It must be float8_e4m3fn, float8_e5m2 or "
                                    "float8_e8m0fnu.");
}

const char* SafetensorsDtype(FloatFormat format) {
  switch (format) {
    case FloatFormat::kE2M1: return "F4";
    case FloatFormat::kE4M3: return "F8_E4M3";
    case FloatFormat::kE5M2: return "F8_E5M2";
    case FloatFormat::kE8M0: return "F8_E8M0";
  }
  throw InternalError("FloatFormat out of range");
}

std::span<const float> LevelsOf(FloatFormat format) { return TableOf(format).levels; }
std::span<const float> BoundsOf(FloatFormat format) { return TableOf(format).bounds; }

int LargestExponentOf(FloatFormat format) { return std::ilogb(LargestOf(format)); }

float RoundTo(FloatFormat format, float value) {
  const Table& table = TableOf(format);
  return table.levels[static_cast<size_t>(std::lower_bound(table.bounds.begin(), table.bounds.end(), value) -
                                          table.bounds.begin())];
}

at::Tensor RoundTo(FloatFormat format, const at::Tensor& values) {
  const Table& table = TableOf(format);
  const auto on_device = [&](const std::vector<float>& list) { return at::tensor(list, at::kFloat).to(values.device()); };
  const at::Tensor codes = at::bucketize(values.contiguous(), on_device(table.bounds));
  return on_device(table.levels).index_select(0, codes.flatten()).view(values.sizes());
}

at::Tensor EncodeFloats(FloatFormat format, const at::Tensor& values) {
  const at::Tensor known = ValuesOfCodes(format).to(values.device());
  // Codes of one sign ascend as their values do; NaN come last.
  const int64_t one_sign = format == FloatFormat::kE8M0 ? 255 : LayoutOf(format).finite_codes;
  const at::Tensor codes = at::bucketize(values.abs().contiguous(), known.narrow(0, 0, one_sign).contiguous());
  if (format == FloatFormat::kE8M0) return codes.to(at::kByte);
  const int64_t sign = format == FloatFormat::kE2M1 ? 8 : 128;
  return codes.add(values.signbit(), sign).to(at::kByte);
}

at::Tensor DecodeFloats(FloatFormat format, const at::Tensor& bits) {
  const at::Tensor values = ValuesOfCodes(format).to(bits.device());
  return values.index_select(0, bits.flatten().to(at::kLong)).view(bits.sizes());
}

}  // namespace bitlaw
