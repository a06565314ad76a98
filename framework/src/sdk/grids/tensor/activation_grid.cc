// ActivationGrid (api/quantized_linear.h) and KvGrid (api/kv_cache.h): here, since inputs and weights share what their
// numbers are.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/device_grid.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "bitlaw/sdk/grids/mx_grid.h"
#include "bitlaw/sdk/grids/nvfp4_grid.h"

namespace bitlaw {
namespace {

double LargestCode(const ActivationGrid& grid) {
  return static_cast<double>((int64_t{1} << (grid.symmetric ? grid.bits - 1 : grid.bits)) - 1);
}

// A tensor: what a device does with a number as a divisor may be a product with its inverse.
at::Tensor OnDeviceOf(const at::Tensor& like, double value) { return at::full({1}, value, like.options()); }

// Codes in [-q_max, q_max]: the grid has a zero and no point that its mirror lacks.
at::Tensor RoundSymmetric(const ActivationGrid& grid, const at::Tensor& x) {
  const double q_max = LargestCode(grid);
  const at::Tensor scale = grid.per_token ? x.abs().amax(-1, /*keepdim=*/true).div_(OnDeviceOf(x, q_max))  // [..., 1]
                                          : OnDeviceOf(x, grid.static_scale);
  // A row of zeros stays one: its scale is 0 and 0 / 1 * 0 = 0.
  const at::Tensor divisor = scale.masked_fill(scale == 0, 1.0);
  return x.div(divisor).round_().clamp_(-q_max, q_max).mul_(scale);  // [rows, C]
}

at::Tensor RoundAsymmetric(const ActivationGrid& grid, const at::Tensor& x) {
  const double q_max = LargestCode(grid);
  if (!grid.per_token) {
    const at::Tensor scale = OnDeviceOf(x, grid.static_scale);
    const double zero = static_cast<double>(grid.static_zero);
    return x.div(scale).round_().add_(zero).clamp_(0.0, q_max).sub_(zero).mul_(scale);  // [rows, C]
  }
  const at::Tensor low = x.amin(-1, true).clamp_max_(0.0);                                         // [..., 1]
  const at::Tensor scale = x.amax(-1, true).clamp_min_(0.0).sub_(low).div_(OnDeviceOf(x, q_max));  // [..., 1]
  const at::Tensor divisor = scale.masked_fill(scale == 0, 1.0);                                   // [..., 1]
  const at::Tensor zero = low.neg().div_(divisor).round_();                                        // [..., 1]
  return x.div(divisor).round_().add_(zero).clamp_(0.0, q_max).sub_(zero).mul_(scale);             // [rows, C]
}

// x / scale rounded to the format, times scale. What is not a number stays none.
at::Tensor RoundScaled(FloatFormat format, const at::Tensor& x, const at::Tensor& scale) {
  const at::Tensor quotient = x.div(scale);
  return RoundTo(format, quotient).masked_fill_(quotient.isnan(), std::numeric_limits<double>::quiet_NaN()).mul_(scale);
}

at::Tensor RoundFp8(const ActivationGrid& grid, const at::Tensor& x) {
  if (!grid.per_token) return RoundScaled(FloatFormat::kE4M3, x, OnDeviceOf(x, grid.static_scale));
  const at::Tensor largest = x.abs().amax(-1, /*keepdim=*/true);  // [..., 1]
  const at::Tensor scale = largest.div(OnDeviceOf(x, LargestOf(FloatFormat::kE4M3)));
  return RoundScaled(FloatFormat::kE4M3, x, scale.masked_fill(scale == 0, 1.0));
}

// The grid of weights that has these blocks.
std::unique_ptr<const WeightGrid> BlocksOf(const ActivationGrid& grid) {
  switch (grid.format) {
    case InputFormat::kMxfp4: return std::make_unique<MxGrid>("mxfp4", FloatFormat::kE2M1, grid.scale_rule);
    case InputFormat::kMxfp8: return std::make_unique<MxGrid>("mxfp8", FloatFormat::kE4M3, grid.scale_rule);
    default: return std::make_unique<Nvfp4Grid>(grid.scale_divisor);
  }
}

// x [blocks, block size]
at::Tensor RoundBlocks(const ActivationGrid& grid, const at::Tensor& x) {
  const at::Tensor scales = at::empty({x.size(0)}, x.options()), zeros = at::empty({x.size(0)}, x.options());
  FindGroupsOf(*BlocksOf(grid), x.contiguous(), scales, zeros);
  return RoundScaled(grid.format == InputFormat::kMxfp8 ? FloatFormat::kE4M3 : FloatFormat::kE2M1, x,
                     scales.unsqueeze(1));
}

}  // namespace

int64_t ActivationGrid::effective_group_size() const {
  const int64_t block = BlockSizeOf(format);
  return block > 0 ? block : per_token ? group_size : 0;
}

std::string ActivationGrid::ExplainChannels(int64_t channels) const {
  const int64_t group = effective_group_size();
  if (group == 0 || channels % group == 0) return "";
  return fmt::format(
      "its inputs have {} channels, and activations are rounded in {} of {}, which does not divide them.", channels,
      BlockSizeOf(format) > 0 ? "blocks" : "groups", group);
}

ActivationGrid ActivationGrid::WithRange(float low, float high) const {
  ActivationGrid grid = *this;
  const float largest = std::max(std::fabs(low), std::fabs(high));
  if (format == InputFormat::kNvfp4) {
    grid.scale_divisor = Nvfp4Grid::DivisorFor(largest);
    return grid;
  }
  if (per_token) return grid;
  const bool is_asymmetric = format == InputFormat::kInteger && !symmetric;
  low = std::min(low, 0.0F);
  high = std::max(high, 0.0F);
  const float span = is_asymmetric ? high - low : largest;
  const float steps =
      format == InputFormat::kFp8E4m3 ? LargestOf(FloatFormat::kE4M3) : static_cast<float>(LargestCode(*this));
  const float scale = span / steps;
  grid.static_scale = scale > 0 ? scale : 1.0F;
  if (is_asymmetric) grid.static_zero = std::lround(std::nearbyint(-low / static_cast<float>(grid.static_scale)));
  return grid;
}

at::Tensor ActivationGrid::Round(const at::Tensor& rows) const {
  const int64_t group = effective_group_size();
  const at::Tensor x = group == 0 ? rows : rows.reshape({-1, group});  // [..., C] or [groups, G]
  at::Tensor rounded;
  switch (format) {
    case InputFormat::kInteger: rounded = symmetric ? RoundSymmetric(*this, x) : RoundAsymmetric(*this, x); break;
    case InputFormat::kFp8E4m3: rounded = RoundFp8(*this, x); break;
    default: rounded = RoundBlocks(*this, x);
  }
  return group == 0 ? rounded : rounded.view(rows.sizes());
}

namespace {

// Of low or high [K, Dh] over all that shares a scale: [K or 1, Dh or 1].
at::Tensor Shared(const at::Tensor& bound, KvScaleOf scale_of, bool is_low) {
  if (scale_of == KvScaleOf::kChannel) return bound;
  const at::Tensor of_heads = is_low ? bound.amin(-1, /*keepdim=*/true) : bound.amax(-1, true);  // [K, 1]
  if (scale_of == KvScaleOf::kHead) return of_heads;
  return is_low ? of_heads.amin(0, true) : of_heads.amax(0, true);  // [1, 1]
}

}  // namespace

KvGrid KvGrid::WithRanges(const std::vector<KvRange>& ranges) const {
  KvGrid grid = *this;
  if (!is_static()) return grid;
  grid.blocks.clear();
  for (const KvRange& range : ranges) {
    const at::Tensor low = Shared(range.low, scale_of, true), high = Shared(range.high, scale_of, false);
    const bool is_float = numbers.format != InputFormat::kInteger, has_low = !is_float && !numbers.symmetric;
    const at::Tensor span = has_low ? high.sub(low) : at::maximum(low.abs(), high.abs());
    const double steps = is_float ? LargestOf(FloatFormat::kE4M3) : LargestCode(numbers);
    const at::Tensor scales = span.div(OnDeviceOf(span, steps));
    grid.blocks.push_back({scales.masked_fill(scales == 0, 1.0), has_low ? low.clone() : at::Tensor()});
  }
  return grid;
}

at::Tensor KvGrid::Round(const at::Tensor& heads, int64_t block, int64_t heads_at) const {
  const at::Tensor x = heads.to(at::kFloat);
  if (!is_static()) return numbers.Round(x).to(heads.scalar_type());
  if (block < 0 || block >= static_cast<int64_t>(blocks.size())) {
    throw InternalError(fmt::format("KvGrid: no static scales are known of block {}", block));
  }
  const auto beside_heads = [&](const at::Tensor& of_channels) {  // [K or 1, 1, Dh or 1] where tokens come between.
    return heads_at == -3 ? of_channels.unsqueeze(-2) : of_channels;
  };
  const at::Tensor scales = beside_heads(blocks[block].scales);
  if (numbers.format == InputFormat::kFp8E4m3) {
    return RoundScaled(FloatFormat::kE4M3, x, scales).to(heads.scalar_type());
  }
  const double q_max = LargestCode(numbers);
  if (numbers.symmetric) return x.div(scales).round_().clamp_(-q_max, q_max).mul_(scales).to(heads.scalar_type());
  const at::Tensor lows = beside_heads(blocks[block].lows);
  return x.sub(lows).div_(scales).round_().clamp_(0.0, q_max).mul_(scales).add_(lows).to(heads.scalar_type());
}

}  // namespace bitlaw
