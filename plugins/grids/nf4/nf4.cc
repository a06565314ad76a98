#include "nf4.h"

#include <ATen/ATen.h>

#include <array>

#include "bitlaw/sdk/grids/grid_options.h"

namespace bitlaw {
namespace {

// As bitsandbytes prints them (functional.py, get_4bit_type).
constexpr std::array<float, 16> kLevels = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

}  // namespace

OptionSchema Nf4Grid::Schema() {
  OptionSchema schema;
  AddScaleDtypeOption(schema, "float32");
  AddRangeSearchOptions(schema);
  return schema;
}

std::span<const float> Nf4Grid::levels() const { return kLevels; }

void Nf4Grid::FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                         float* zeros) const {
  const auto scale_of = [this](float largest) { return largest == 0 ? 1.0F : StoredScale(largest, scale_dtype_); };
  FindScales(*this, search_, scale_of, weights, rows, columns, row_stride, scales, zeros);
}

bool Nf4Grid::FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const {
  if (search_.is_on) return false;
  const at::Tensor largest = weights.abs().amax(1);  // [rows]
  const at::Tensor rounded = scale_dtype_ == ScaleDtype::kFloat16 ? largest.to(at::kHalf).to(at::kFloat) : largest;
  scales.copy_(at::where(largest == 0, at::ones_like(largest),
                         rounded.masked_fill(rounded == 0, StoredScale(0.0F, scale_dtype_))));
  zeros.zero_();
  return true;
}

}  // namespace bitlaw
