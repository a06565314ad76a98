#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace bitlaw {

/// Rows of codes in words of 32 bits, each row a dense string of bits, lowest first: words [R, ceil(C * bits / 32)] int32
/// -> [R, C] uint8.
at::Tensor UnpackRows(const at::Tensor& words, int64_t columns, int bits);

/// Rows of codes in words that hold as many whole codes as fit (compressed-tensors before 0.20): words
/// [R, ceil(C / (32 / bits))] int32 -> [R, C] uint8.
at::Tensor UnpackWholeCodes(const at::Tensor& words, int64_t columns, int bits);

/// AWQ's words: eight codes of 4 bits along the columns, of columns 0, 2, 4, 6, 1, 3, 5, 7: [R, C / 8] int32 -> [R, C] uint8.
at::Tensor UnpackAwq(const at::Tensor& words);

/// Zero points of GPTQ's first format, which are stored less one, in words [R, W] int32: one is added to each of C codes as
/// GPTQModel does it. Of 2, 4 and 8 bits it carries into the next code of a word where a code is full, which undoes the
/// borrow with which that program stored a zero point of 0; of 3 bits a full code becomes 0. -> [R, C] uint8.
at::Tensor ZerosStoredLessOne(const at::Tensor& words, int64_t columns, int bits);

/// Two numbers of E2M1 a byte, the first in the low half: [R, C / 2] uint8 -> [R, C] float32.
at::Tensor UnpackE2m1(const at::Tensor& bytes);

/// E4M3 without infinities, as 8-bit floating-point checkpoints have it: uint8 -> float32.
at::Tensor FromE4m3(const at::Tensor& bytes);

/// Powers of two as their exponent plus 127: uint8 -> float32.
at::Tensor PowersOfTwo(const at::Tensor& exponents);

/// w[o, j] = (level[o, j] - zero[o, g]) * scale[o, g] in float32, rounded once: as QuantizedLinear::Dequantize().
///
/// Shapes   level [C_out, C_in] float32, overwritten; scale [C_out, groups] float32; zero the same or undefined (none);
///          group [C_in] int64, or undefined: g = j / group_size.
at::Tensor Dequantized(at::Tensor level, const at::Tensor& scale, const at::Tensor& zero, const at::Tensor& group,
                       int64_t group_size);

}  // namespace bitlaw
