#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "bitlaw/sdk/grids/integer_grid.h"

namespace bitlaw {

// a^norm for a >= 0 as 2^(norm * log2 a), relative error below 1e-5: it only ranks candidate ranges. Free of branches,
// so that loops over it become vector code; 0 gives a number too small to count.
inline float PowerOf(float a, float norm) {
  const int32_t word = std::max(std::bit_cast<int32_t>(a), std::bit_cast<int32_t>(1e-30f));  // same order as floats
  const int32_t exponent = ((word - 0x3f3504f3) >> 23);  // mantissa in [sqrt(1/2), sqrt(2))
  const float mantissa = std::bit_cast<float>(word - (exponent << 23));
  // log2 m = 2 / ln 2 * atanh(t), t = (m - 1) / (m + 1), |t| < 0.172
  const float t = (mantissa - 1.0f) / (mantissa + 1.0f), t2 = t * t;
  const float log2_mantissa =
      t * (2.88539008f + t2 * (0.96179669f + t2 * (0.57707802f + t2 * (0.41219858f + t2 * 0.32059890f))));
  const float y = norm * (static_cast<float>(exponent) + log2_mantissa);
  const float whole = RoundHalfToEven(y), f = y - whole;
  const int32_t shift = std::min(std::max(static_cast<int32_t>(whole), -126), 126);
  // 2^f by its Taylor series, |f| <= 1/2
  const float power =
      1.0f + f * (0.69314718f +
                  f * (0.24022651f + f * (0.05550411f + f * (0.00961813f + f * (0.00133336f + f * 0.00015404f)))));
  return std::bit_cast<float>(std::bit_cast<int32_t>(power) + (shift << 23));
}

}  // namespace bitlaw
