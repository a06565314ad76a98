#include "bitlaw/sdk/grids/nvfp4_grid.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bitlaw {
namespace {

constexpr float kLargestLevel = 6, kLargestScale = 448, kSmallestScale = 0x1p-9F;

}  // namespace

std::shared_ptr<const WeightGrid> Nvfp4Grid::ForTensor(const at::Tensor& weight) const {
  if (divisor_ != 0) return nullptr;
  return std::make_shared<Nvfp4Grid>(DivisorFor(weight.abs().max().item<float>()));
}

float Nvfp4Grid::DivisorFor(float largest) {
  const float divisor = kLargestScale * kLargestLevel / largest;
  return std::isfinite(divisor) ? divisor : 1.0F;
}

void Nvfp4Grid::FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                           float* zeros) const {
  for (int64_t r = 0; r < rows; ++r) {
    const float largest = LargestMagnitude(weights + r * row_stride, columns);
    const float sought = scale_divisor() * (largest / kLargestLevel);
    scales[r] = std::max(RoundTo(FloatFormat::kE4M3, sought), kSmallestScale) / scale_divisor();
    zeros[r] = 0;
  }
}

bool Nvfp4Grid::FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const {
  const at::Tensor largest = weights.abs().amax(1);  // [rows]
  // Tensors for divisors: what a device does with a number may be a product with its inverse.
  const at::Tensor sought = largest.div(at::full_like(largest, kLargestLevel)).mul(scale_divisor());
  scales.copy_(RoundTo(FloatFormat::kE4M3, sought).clamp_min(kSmallestScale).div(at::full_like(largest, scale_divisor())));
  zeros.zero_();
  return true;
}

}  // namespace bitlaw
