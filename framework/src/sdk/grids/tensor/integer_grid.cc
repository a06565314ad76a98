#include "bitlaw/sdk/grids/integer_grid.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Half.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/device_grid.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/finite.h"
#include "bitlaw/sdk/machine/vector_code.h"
#include "sdk/grids/tensor/power.h"

namespace bitlaw {
namespace {

constexpr int64_t kLanes = 16;

float RoundScale(float scale, ScaleDtype dtype) {
  return dtype == ScaleDtype::kFloat16 ? static_cast<float>(c10::Half(scale)) : scale;
}

float RoundScale(float scale, const GridRule& rule) {
  const int cut = 24 - rule.scale_digits;  // Digits that go.
  if (rule.scale_digits == 0 || cut <= 0 || !std::isfinite(scale)) return RoundScale(scale, rule.scale_dtype);
  const auto word = std::bit_cast<uint32_t>(scale);
  const uint32_t half = (1U << (cut - 1)) - 1 + (word >> cut & 1U);  // To even where it is just that.
  return RoundScale(std::bit_cast<float>((word + half) >> cut << cut), rule.scale_dtype);
}

// 2^-24 for float16. Of float32's, the smallest that has all its digits.
float SmallestScale(ScaleDtype dtype) { return dtype == ScaleDtype::kFloat16 ? 0x1p-24f : 0x1p-126f; }

struct Range {
  float low = 0, high = 0;
};

BITLAW_VECTOR_CODE Range RangeWithZero(const float* w, int64_t columns) {
  float low[kLanes] = {}, high[kLanes] = {};
  int64_t j = 0;
  for (; j + kLanes <= columns; j += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      low[l] = w[j + l] < low[l] ? w[j + l] : low[l];
      high[l] = w[j + l] > high[l] ? w[j + l] : high[l];
    }
  }
  for (int64_t l = 0; j < columns; ++j, ++l) {
    low[l] = std::min(low[l], w[j]);
    high[l] = std::max(high[l], w[j]);
  }
  return {*std::min_element(low, low + kLanes), *std::max_element(high, high + kLanes)};
}

// sum_j |w_j - grid(w_j)|^norm
BITLAW_VECTOR_CODE float GridError(const float* w, int64_t columns, float scale, float zero, float max_code, float norm) {
  float sum[kLanes] = {};
  int64_t j = 0;
  for (; j + kLanes <= columns; j += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      const float error = scale * (CodeOf(w[j + l], scale, zero, max_code) - zero) - w[j + l];
      sum[l] += PowerOf(std::fabs(error), norm);
    }
  }
  for (int64_t l = 0; j < columns; ++j, ++l) {
    const float error = scale * (CodeOf(w[j], scale, zero, max_code) - zero) - w[j];
    sum[l] += PowerOf(std::fabs(error), norm);
  }
  float total = 0;
  for (const float part : sum) total += part;
  return total;
}

float ZeroOf(const GridRule& rule, float low, float scale) {
  if (rule.symmetric) return static_cast<float>(1 << (rule.bits - 1));
  // A float16 scale below its range's own leaves -low / scale a little above the last code.
  const float zero = RoundHalfToEven(-low / scale);
  return std::clamp(zero, 0.0f, static_cast<float>(rule.max_code()));
}

BITLAW_VECTOR_CODE void CodesOfRun(const float* w, int64_t columns, float scale, float zero, float max_code, uint8_t* codes) {
  for (int64_t j = 0; j < columns; ++j) {
    codes[j] = static_cast<uint8_t>(static_cast<int32_t>(CodeOf(w[j], scale, zero, max_code)));
  }
}

}  // namespace

std::string_view Name(ScaleDtype dtype) { return dtype == ScaleDtype::kFloat16 ? "float16" : "float32"; }

float StoredScale(float scale, ScaleDtype dtype) {
  const float rounded = RoundScale(scale, dtype);
  return rounded == 0 ? SmallestScale(dtype) : rounded;
}

void FindGrid(const GridRule& rule, const float* weights, int64_t rows, int64_t columns, int64_t row_stride,
              float* scales, float* zeros) {
  const float max_code = static_cast<float>(rule.max_code());
  const int candidates = rule.mse ? static_cast<int>(rule.mse_max_shrink * rule.mse_steps) : 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* w = weights + r * row_stride;
    auto [low, high] = RangeWithZero(w, columns);
    if (rule.symmetric) {
      high = std::max(std::fabs(low), high);
      if (low < 0) low = -high;
    }
    if (low == 0 && high == 0) {
      low = -1;
      high = 1;
    }
    // Weights too small for any scale of this type: at half a step at most from 0 or a multiple of the smallest.
    const float stored = RoundScale((high - low) / max_code, rule);
    scales[r] = stored == 0 ? SmallestScale(rule.scale_dtype) : stored;
    zeros[r] = ZeroOf(rule, low, scales[r]);

    float best = std::numeric_limits<float>::infinity();
    for (int i = 0; i < candidates; ++i) {
      const float p = static_cast<float>(1.0 - static_cast<double>(i) / rule.mse_steps);
      const float shrunk_low = p * low, shrunk_high = p * high;
      const float scale = RoundScale((shrunk_high - shrunk_low) / max_code, rule);
      if (!(scale > 0)) break;
      const float zero = ZeroOf(rule, shrunk_low, scale);
      const float error = GridError(w, columns, scale, zero, max_code, static_cast<float>(rule.mse_norm));
      if (error < best) {
        best = error;
        scales[r] = scale;
        zeros[r] = zero;
      }
    }
  }
}

void UniformGrid::FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                             float* zeros) const {
  FindGrid(rule_, weights, rows, columns, row_stride, scales, zeros);
}

ScaleCheck CheckScales(std::string_view scale_dtype, const at::Tensor& scales, const std::string& layer) {
  const at::Tensor flat = scales.cpu().contiguous();
  const float* scale = flat.data_ptr<float>();
  const bool is_half = scale_dtype == Name(ScaleDtype::kFloat16);
  const float smallest = SmallestScale(is_half ? ScaleDtype::kFloat16 : ScaleDtype::kFloat32);
  const int64_t groups = flat.dim() > 1 ? flat.size(1) : 1;
  ScaleCheck check;
  for (int64_t i = 0; i < flat.numel(); ++i) {
    if (!(scale[i] > 0) || !std::isfinite(scale[i])) {
      throw Error(ErrorKind::kNumerical,
                  fmt::format("{}: the scale of row {}, group {} is {} in {}, whose largest number is {}. {}", layer,
                              i / groups, i % groups, scale[i] == 0 ? "zero" : "not finite", scale_dtype,
                              is_half ? "65504" : "3.4e38",
                              is_half ? "Use scale_dtype: float32, or look for weights of extreme size in the "
                                        "checkpoint."
                                      : "Look for weights of extreme size in the checkpoint."));
    }
    if (is_half && scale[i] < 0x1p-14f) ++check.subnormal;
    if (scale[i] <= smallest) ++check.smallest;
  }
  return check;
}

void AddScaleDiagnostics(const ScaleCheck& check, QuantizedLinear& quantized) {
  if (quantized.scale_dtype == Name(ScaleDtype::kFloat16)) {
    quantized.diagnostics.emplace_back("subnormal_scales", static_cast<double>(check.subnormal));
  }
  if (check.smallest > 0) quantized.diagnostics.emplace_back("smallest_scales", static_cast<double>(check.smallest));
}

void CheckFinite(const at::Tensor& weight, const std::string& layer) {
  if (IsFinite(weight)) return;
  throw Error(ErrorKind::kNumerical,
              fmt::format("{}: {} of {} weights are not finite. A grid needs finite weights. Look for a damaged "
                          "checkpoint or an overflow in its dtype.",
                          layer, (~at::isfinite(weight)).sum().item<int64_t>(), weight.numel()));
}

std::vector<float> BoundsOf(const WeightGrid& grid) {
  const std::span<const float> levels = grid.levels();
  if (levels.empty()) return {};
  std::vector<float> bounds(grid.bounds().begin(), grid.bounds().end());
  for (size_t c = bounds.size() + 1; c < levels.size(); ++c) {
    bounds.push_back(static_cast<float>((static_cast<double>(levels[c - 1]) + levels[c]) / 2));
  }
  bounds.resize(std::bit_ceil(levels.size()) - 1, std::numeric_limits<float>::infinity());
  return bounds;
}

std::shared_ptr<const WeightGrid> GridFor(const WeightGrid& grid, const at::Tensor& weight) {
  std::shared_ptr<const WeightGrid> own = grid.ForTensor(weight);
  return own != nullptr ? own : std::shared_ptr<const WeightGrid>(std::shared_ptr<void>(), &grid);
}

float LargestMagnitude(std::span<const at::Tensor> weights) {
  float largest = 0;
  for (const at::Tensor& weight : weights) largest = std::max(largest, weight.abs().max().item<float>());
  return largest;
}

std::vector<std::shared_ptr<const WeightGrid>> GridsForSite(const WeightGrid& grid, const SiteShape& site,
                                                            std::span<const at::Tensor> weights) {
  if (const auto shared = grid.ForSite(weights)) {
    for (size_t i = 0; i < weights.size(); ++i) CheckFinite(weights[i], site.readers[i].name);
    return {weights.size(), shared};
  }
  std::vector<std::shared_ptr<const WeightGrid>> own;
  for (const at::Tensor& weight : weights) own.push_back(GridFor(grid, weight));
  return own;
}

namespace {

BITLAW_VECTOR_CODE void LevelCodesOfRun(const float* w, int64_t columns, float scale, const float* bounds,
                                        size_t count, uint8_t* codes) {
  for (int64_t j = 0; j < columns; ++j) {
    codes[j] = static_cast<uint8_t>(NearestLevel(w[j] / scale, {bounds, count}));
  }
}

// Finds the codes of runs of weights on one grid.
class CodeFinder {
 public:
  explicit CodeFinder(const WeightGrid& grid)
      : max_code_(static_cast<float>((1 << grid.bits()) - 1)), has_levels_(!grid.levels().empty()),
        bounds_(BoundsOf(grid)) {}

  void Find(const float* w, int64_t columns, float scale, float zero, uint8_t* codes) const {
    if (has_levels_) {
      LevelCodesOfRun(w, columns, scale, bounds_.data(), bounds_.size(), codes);
    } else {
      CodesOfRun(w, columns, scale, zero, max_code_, codes);
    }
  }

 private:
  float max_code_;
  bool has_levels_;
  std::vector<float> bounds_;
};

}  // namespace

void NearestCodes(const WeightGrid& grid, const float* weights, int64_t columns, float scale, float zero,
                  uint8_t* codes) {
  CodeFinder(grid).Find(weights, columns, scale, zero, codes);
}

QuantizedLinear OnGrid(const WeightGrid& grid) {
  QuantizedLinear result;
  result.bits = grid.bits();
  result.symmetric = !grid.stores_zeros();
  result.scale_dtype = grid.scale_dtype();
  result.scale_divisor = grid.scale_divisor();
  if (const std::span<const float> levels = grid.levels(); !levels.empty()) {
    result.levels = at::tensor(at::ArrayRef<float>(levels.data(), levels.size()), at::kFloat);
  }
  return result;
}

namespace {

QuantizedLinear RoundToNearestOnDevice(const WeightGrid& given, const at::Tensor& weight, int64_t group_size,
                                       const std::string& layer) {
  const at::Tensor w = weight.detach().to(at::kFloat).contiguous();  // [C_out, C_in]
  const std::shared_ptr<const WeightGrid> own = GridFor(given, w);
  const WeightGrid& grid = *own;
  const int64_t rows = w.size(0), columns = w.size(1);
  const int64_t group = EffectiveGroupSize(group_size, columns), groups = GroupCount(group_size, columns);
  QuantizedLinear result = OnGrid(grid);
  result.group_size = group;
  result.scales = at::empty({rows, groups}, w.options());
  at::Tensor zeros = at::empty({rows, groups}, w.options());
  FindAllGroupsOf(grid, w, group_size, result.scales, zeros);
  result.group_index = at::arange(columns, w.options().dtype(at::kInt)).floor_divide(group);  // [C_in]
  result.codes = NearestCodesOf(grid, w, result.scales, zeros, result.group_index.to(at::kLong));
  result.zeros = zeros.to(at::kByte);
  if (result.levels.defined()) result.levels = result.levels.to(w.device());
  AddScaleDiagnostics(CheckScales(result.scale_dtype, result.scales, layer), result);
  return result;
}

}  // namespace

QuantizedLinear RoundToNearest(const WeightGrid& given, const at::Tensor& weight, int64_t group_size,
                               const std::string& layer) {
  CheckFinite(weight, layer);
  if (!weight.is_cpu()) return RoundToNearestOnDevice(given, weight, group_size, layer);
  const at::Tensor w = weight.detach().to(at::kCPU, at::kFloat).contiguous();  // [C_out, C_in]
  const std::shared_ptr<const WeightGrid> own = GridFor(given, w);
  const WeightGrid& grid = *own;
  const int64_t rows = w.size(0), columns = w.size(1);
  const int64_t group = EffectiveGroupSize(group_size, columns), groups = GroupCount(group_size, columns);

  QuantizedLinear result = OnGrid(grid);
  result.group_size = group;
  result.codes = at::empty({rows, columns}, at::kByte);
  result.scales = at::empty({rows, groups}, at::kFloat);
  result.zeros = at::empty({rows, groups}, at::kByte);
  result.group_index = at::arange(columns, at::kInt).floor_divide(group);  // [C_in]

  const float* in = w.data_ptr<float>();
  uint8_t* codes = result.codes.data_ptr<uint8_t>();
  float* scales = result.scales.data_ptr<float>();
  uint8_t* zeros = result.zeros.data_ptr<uint8_t>();
  const CodeFinder finder(grid);
  at::parallel_for(0, rows, 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t first = g * group, size = std::min(group, columns - first);
        float zero;
        grid.FindGroups(in + r * columns + first, 1, size, columns, &scales[r * groups + g], &zero);
        zeros[r * groups + g] = static_cast<uint8_t>(zero);
        finder.Find(in + r * columns + first, size, scales[r * groups + g], zero, codes + r * columns + first);
      }
    }
  });
  AddScaleDiagnostics(CheckScales(result.scale_dtype, result.scales, layer), result);
  return result;
}

std::vector<QuantizedLinear> RoundSiteToNearest(const WeightGrid& grid, const SiteShape& site,
                                                std::span<const at::Tensor> weights, int64_t group_size) {
  const std::vector<std::shared_ptr<const WeightGrid>> grids = GridsForSite(grid, site, weights);
  std::vector<QuantizedLinear> results;
  for (size_t i = 0; i < weights.size(); ++i) {
    results.push_back(RoundToNearest(*grids[i], weights[i], group_size, site.readers[i].name));
  }
  return results;
}

}  // namespace bitlaw
