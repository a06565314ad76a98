#include "bitlaw/sdk/grids/mx_grid.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "bitlaw/sdk/grids/integer_grid.h"
#include "bitlaw/sdk/machine/vector_code.h"

namespace bitlaw {
namespace {

// What is added to the word of a float so that its exponent is the one sought, and then the rest is cut off.
int32_t CarryOf(MxScale scale) {
  switch (scale) {
    case MxScale::kFloor: return 0;
    case MxScale::kRound: return 1 << 21;        // A quarter of its power of two.
    case MxScale::kCeil: return (1 << 23) - 1;
  }
  return 0;
}

constexpr int kLowest = -126, kHighest = 127;

BITLAW_VECTOR_CODE float LargestOfRun(const float* w, int64_t columns) {
  float largest = 0;
  for (int64_t j = 0; j < columns; ++j) largest = std::fabs(w[j]) > largest ? std::fabs(w[j]) : largest;
  return largest;
}

}  // namespace

void MxGrid::AddOptions(OptionSchema& schema) {
  schema.Choice("scale_rule", {"floor", "round", "ceil"})
      .Default("floor")
      .Doc("Power of two of a block whose largest |w| is m: floor: 2^floor(log2 m) over that of the largest level, as the "
           "specification; round: one more where m is at least 1.75 times its power; ceil: the smallest that cuts off "
           "nothing. Not read with mse.");
  AddRangeSearchOptions(schema);
}

MxScale MxGrid::ScaleFrom(const Options& options) {
  return MxScaleOf(options.String("scale_rule"));
}

std::string MxGrid::ExplainGroupSize(int64_t group_size) const { return ExplainBlockSize(name_, kBlock, group_size); }

float MxGrid::ScaleOf(float largest) const {
  if (largest == 0) return 1.0F;
  const bool is_ceil = scale_ == MxScale::kCeil;
  const float sought = is_ceil ? largest / LargestOf(format_) : largest;
  const int below = is_ceil ? 0 : LargestExponentOf(format_);
  const int exponent = (std::bit_cast<int32_t>(sought) + CarryOf(scale_)) / (1 << 23) - 127 - below;
  return std::ldexp(1.0F, std::clamp(exponent, kLowest, kHighest));
}

void MxGrid::FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                        float* zeros) const {
  FindScales(*this, search_, [this](float largest) { return ScaleOf(largest); }, weights, rows, columns, row_stride, scales,
             zeros);
}

bool MxGrid::FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const {
  if (search_.is_on) return false;
  const at::Tensor largest = weights.abs().amax(1);  // [rows]
  // A tensor for the divisor: what a device does with a number may be a product with its inverse.
  const at::Tensor sought =
      scale_ == MxScale::kCeil ? largest.div(at::full_like(largest, LargestOf(format_))) : largest;
  const int below = scale_ == MxScale::kCeil ? 0 : LargestExponentOf(format_);
  const at::Tensor exponent = sought.contiguous().view(at::kInt).add(CarryOf(scale_)).bitwise_right_shift(23).sub(127 + below);
  const at::Tensor power = exponent.clamp(kLowest, kHighest).add(127).bitwise_left_shift(23).view(at::kFloat);
  scales.copy_(at::where(largest == 0, at::ones_like(largest), power));
  zeros.zero_();
  return true;
}

std::string ExplainBlockSize(std::string_view grid, int64_t block, int64_t group_size) {
  if (group_size == block) return "";
  return fmt::format("grid '{}' has blocks of {} weights, and group_size is {}. Set group_size: {}.", grid, block,
                     group_size < 0 ? "'row'" : fmt::format("{}", group_size), block);
}

float LargestMagnitude(const float* weights, int64_t columns) { return LargestOfRun(weights, columns); }

}  // namespace bitlaw
