#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"

/// Four levels, symmetric and without a zero, at the scale of the group's largest weight: w ~ scale * level(code).
class MyGrid final : public bitlaw::WeightGrid {
 public:
  static bitlaw::OptionSchema Schema() {
    bitlaw::OptionSchema schema;
    schema.Real("inner").Above(0).Below(1).Default(0.25).Doc("The inner two levels, of the outer ones.");
    return schema;
  }

  explicit MyGrid(const bitlaw::Options& options) {
    const auto inner = static_cast<float>(options.Real("inner"));
    levels_ = {-1.0F, -inner, inner, 1.0F};
  }

  int bits() const override { return 2; }
  std::span<const float> levels() const override { return levels_; }
  bool stores_zeros() const override { return false; }
  std::string_view scale_dtype() const override { return "float32"; }  // A scale is rounded to it in FindGroups().
  int scale_bits() const override { return 32; }

  /// Scale and zero point of `rows` groups, group r being weights[r * row_stride + (0 .. columns - 1)].
  void FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                  float* zeros) const override {
    for (int64_t r = 0; r < rows; ++r) {
      float largest = 0;
      for (int64_t j = 0; j < columns; ++j) largest = std::max(largest, std::fabs(weights[r * row_stride + j]));
      scales[r] = largest > 0 ? largest : 1.0F;  // A group of zeros.
      zeros[r] = 0;
    }
  }

 private:
  std::array<float, 4> levels_{};
};
