#include "range_search.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/device_grid.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/integer_grid.h"

namespace bitlaw {
namespace {

constexpr int kSteps = 20, kTried = 10;  // p = 1 - i / 20, i = 0 .. 9.

// What one group becomes on the grid of its weights cut off at a share of their largest.
struct Candidate {
  at::Tensor scales, zeros;  // [rows]
  at::Tensor codes;          // [rows, G] uint8
  at::Tensor error;          // [rows]
};

Candidate Try(const WeightGrid& grid, const at::Tensor& w, const at::Tensor& moment, const at::Tensor& levels, double share) {
  Candidate tried;
  const at::Tensor most = w.abs().amax(1, /*keepdim=*/true).mul(share);  // [rows, 1]
  const at::Tensor cut = share == 1 ? w.contiguous() : at::minimum(at::maximum(w, most.neg()), most);
  tried.scales = at::empty({w.size(0)}, w.options());
  tried.zeros = at::empty_like(tried.scales);
  FindGroupsOf(grid, cut, tried.scales, tried.zeros);
  const at::Tensor scale = tried.scales.unsqueeze(1), zero = tried.zeros.unsqueeze(1);  // [rows, 1]
  tried.codes = NearestCodesOf(grid, w, scale, zero, at::zeros({w.size(1)}, w.options().dtype(at::kLong)));
  const at::Tensor level = levels.defined() ? levels.index_select(0, tried.codes.flatten().to(at::kLong)).view_as(w)
                                            : tried.codes.to(at::kFloat);
  const at::Tensor d = w - (level - zero) * scale;  // [rows, G]
  tried.error = at::mm(d, moment).mul_(d).sum(1);
  return tried;
}

}  // namespace

QuantizedLinear RoundToSearchedRanges(const WeightGrid& given, const at::Tensor& weight, int64_t group_size,
                                      const LayerCalibration& calibration, const std::string& layer) {
  const at::NoGradGuard no_grad;
  QuantizedLinear result = RoundToNearest(given, weight, group_size, layer);
  const at::Tensor w = weight.detach().to(at::kFloat).contiguous();                 // [C_out, C_in]
  const at::Tensor moment = calibration.second_moment.to(w.device(), at::kFloat);   // [C_in, C_in]
  if (!moment.isfinite().all().item<bool>()) {
    throw Error(ErrorKind::kNumerical, "quantizer 'rtn', " + layer +
                                           ": the second moment of its inputs is not finite. They overflow. Compute the "
                                           "model in float32.");
  }
  const std::shared_ptr<const WeightGrid> grid = GridFor(given, w);
  const at::Tensor levels = result.levels.defined() ? result.levels.to(w.device()) : at::Tensor();
  at::Tensor zeros = result.zeros.to(at::kFloat), shares = at::ones_like(result.scales);
  for (int64_t g = 0; g < result.scales.size(1); ++g) {
    const int64_t first = g * result.group_size, size = std::min(result.group_size, w.size(1) - first);
    const at::Tensor group = w.narrow(1, first, size), block = moment.narrow(0, first, size).narrow(1, first, size);
    Candidate best = Try(*grid, group, block, levels, 1);
    for (int i = 1; i < kTried; ++i) {
      const double share = 1 - static_cast<double>(i) / kSteps;
      const Candidate tried = Try(*grid, group, block, levels, share);
      const at::Tensor better = (tried.error < best.error).logical_and(tried.scales > 0);  // [rows]
      best.error = at::where(better, tried.error, best.error);
      best.scales = at::where(better, tried.scales, best.scales);
      best.zeros = at::where(better, tried.zeros, best.zeros);
      best.codes = at::where(better.unsqueeze(1), tried.codes, best.codes);
      shares.select(1, g).masked_fill_(better, share);
    }
    result.scales.select(1, g).copy_(best.scales);
    zeros.select(1, g).copy_(best.zeros);
    result.codes.narrow(1, first, size).copy_(best.codes);
  }
  result.zeros = zeros.to(at::kByte);
  result.diagnostics.clear();
  AddScaleDiagnostics(CheckScales(result.scale_dtype, result.scales, layer), result);
  result.diagnostics.emplace_back("mean_range", shares.mean().item<double>());
  return result;
}

}  // namespace bitlaw
