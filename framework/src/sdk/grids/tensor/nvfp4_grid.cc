#include "bitlaw/sdk/grids/nvfp4_grid.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/sdk/grids/integer_grid.h"

namespace bitlaw {
namespace {

constexpr float kLargestLevel = 6, kLargestScale = 448, kSmallestScale = 0x1p-9F;

}  // namespace

std::shared_ptr<const WeightGrid> Nvfp4Grid::ForTensor(const at::Tensor& weight) const {
  if (divisor_ != 0) return nullptr;
  return std::make_shared<Nvfp4Grid>(DivisorFor(LargestMagnitude({&weight, 1})), search_);
}

std::shared_ptr<const WeightGrid> Nvfp4Grid::ForSite(std::span<const at::Tensor> weights) const {
  if (divisor_ != 0 || !one_a_site_) return nullptr;
  return std::make_shared<Nvfp4Grid>(DivisorFor(LargestMagnitude(weights)), search_);
}

float Nvfp4Grid::DivisorFor(float largest) {
  const float divisor = kLargestScale * kLargestLevel * (1.0F / largest);  // As a number over a tensor is in torch.
  return std::isfinite(divisor) ? divisor : 1.0F;
}

float Nvfp4Grid::ScaleOf(float largest) const {
  const float sought = scale_divisor() * (largest / kLargestLevel);
  return std::max(RoundTo(FloatFormat::kE4M3, sought), kSmallestScale) / scale_divisor();
}

void Nvfp4Grid::FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                           float* zeros) const {
  FindScales(*this, search_, [this](float largest) { return ScaleOf(largest); }, weights, rows, columns, row_stride, scales,
             zeros);
}

bool Nvfp4Grid::FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const {
  if (search_.is_on) return false;
  const at::Tensor largest = weights.abs().amax(1);  // [rows]
  // Tensors for divisors: what a device does with a number may be a product with its inverse.
  const at::Tensor sought = largest.div(at::full_like(largest, kLargestLevel)).mul(scale_divisor());
  scales.copy_(RoundTo(FloatFormat::kE4M3, sought).clamp_min(kSmallestScale).div(at::full_like(largest, scale_divisor())));
  zeros.zero_();
  return true;
}

}  // namespace bitlaw
