#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string_view>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Small floating-point formats: a sign, `exponent` bits, `mantissa` bits; subnormals; no infinities but in E5M2.
///
///   E2M1   4 bits, largest 6                      OCP Microscaling Formats (MX) v1.0
///   E4M3   8 bits, largest 448, NaN 0x7f          OCP 8-bit Floating Point (OFP8) v1.0; "float8_e4m3fn"
///   E5M2   8 bits, largest 57344                  the same; "float8_e5m2"
///   E8M0   8 bits, powers of two 2^-127 .. 2^127  MX v1.0, no sign, no zero; "float8_e8m0fnu"
enum class FloatFormat { kE2M1, kE4M3, kE5M2, kE8M0 };

/// Error(kSpec) on another name than "float8_e4m3fn", "float8_e5m2" and "float8_e8m0fnu".
BITLAW_EXPORT FloatFormat FloatFormatOf(std::string_view torch_dtype);
/// What a safetensors file calls it: "F8_E4M3"; "F4" for E2M1.
BITLAW_EXPORT const char* SafetensorsDtype(FloatFormat format);

/// The finite values, ascending, one zero: 15 of E2M1, 253 of E4M3, 247 of E5M2. Not of E8M0.
BITLAW_EXPORT std::span<const float> LevelsOf(FloatFormat format);
/// WeightGrid::bounds() of these: halfway between two values the one with an even last digit, as the formats round.
BITLAW_EXPORT std::span<const float> BoundsOf(FloatFormat format);
inline float LargestOf(FloatFormat format) { return LevelsOf(format).back(); }
/// The exponent of the largest value: 2, 8, 15.
BITLAW_EXPORT int LargestExponentOf(FloatFormat format);

/// `value`, finite, rounded to the format, half to even; what lies beyond the largest value becomes it. Not of E8M0.
BITLAW_EXPORT float RoundTo(FloatFormat format, float value);
/// The same, [...] float32, on any device.
BITLAW_EXPORT at::Tensor RoundTo(FloatFormat format, const at::Tensor& values);

/// The bits of values that the format has, a byte each (E2M1: in the low half): [...] float32 to uint8.
BITLAW_EXPORT at::Tensor EncodeFloats(FloatFormat format, const at::Tensor& values);
/// The values of such bits, [...] uint8 to float32. NaN and infinities become NaN.
BITLAW_EXPORT at::Tensor DecodeFloats(FloatFormat format, const at::Tensor& bits);

}  // namespace bitlaw
