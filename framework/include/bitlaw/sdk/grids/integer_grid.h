#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// What the scales of a grid are stored in. They are rounded to it before any code is computed, so that what is
/// evaluated is what an exporter writes.
enum class ScaleDtype { kFloat32, kFloat16 };
BITLAW_EXPORT std::string_view Name(ScaleDtype dtype);  ///< "float32", "float16".
inline int ScaleBits(ScaleDtype dtype) { return dtype == ScaleDtype::kFloat16 ? 16 : 32; }

/// `scale` rounded to `dtype`; the smallest that the type has, 2^-24 or 2^-126, where that gives 0.
BITLAW_EXPORT float StoredScale(float scale, ScaleDtype dtype);

/// How the grid of one group of weights is found:
///
///   w ~ scale * (code - zero),  code = clamp(round(w / scale) + zero, 0, 2^bits - 1),  round: half to even
///
///   low = min(min w, 0), high = max(max w, 0)                         zero always lies on the grid
///   symmetric: high = max(|low|, high); low = -high where low < 0     (a group without a negative keeps low = 0)
///   both zero: low = -1, high = 1
///   scale = (high - low) / (2^bits - 1)
///   zero  = symmetric ? 2^(bits - 1) : round(-low / scale)
///
/// Source: the GPTQ reference implementation's grid, its quirk for groups without a negative included.
struct BITLAW_EXPORT GridRule {
  int bits = 4;  ///< 1 to 8.
  bool symmetric = false;
  ScaleDtype scale_dtype = ScaleDtype::kFloat16;
  /// Significant binary digits that scales keep, half to even, 1 to 24; 0: those of scale_dtype. With 11 - bits of them
  /// scale * zero is a float16 number for every zero point.
  int scale_digits = 0;

  /// Shrink both ends by p = 1 - i / mse_steps, i = 0, 1, ... < mse_max_shrink * mse_steps, and keep the p with the
  /// least sum |w - grid(w)|^mse_norm; the largest range wins ties.
  bool mse = false;
  double mse_norm = 2.4;
  int mse_steps = 100;
  double mse_max_shrink = 0.8;

  int max_code() const { return (1 << bits) - 1; }
};

/// The grid of a GridRule as a component: grid/uniform.
class BITLAW_EXPORT UniformGrid final : public WeightGrid {
 public:
  explicit UniformGrid(GridRule rule) : rule_(rule) {}
  int bits() const override { return rule_.bits; }
  bool stores_zeros() const override { return !rule_.symmetric; }
  std::string_view scale_dtype() const override { return Name(rule_.scale_dtype); }
  int scale_bits() const override { return ScaleBits(rule_.scale_dtype); }
  void FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                  float* zeros) const override;
  bool FindGroupsOnDevice(const at::Tensor& weights, at::Tensor& scales, at::Tensor& zeros) const override;

 private:
  GridRule rule_;
};

/// Finds scale and zero of `rows` groups at once: row r of `weights` is weights[r * row_stride + (0 .. columns - 1)].
///
/// Shapes   scales, zeros [rows]; zeros are integers in [0, 2^bits - 1] held as float.
/// Errors   none: a range too large for the scale dtype gives a scale of infinity, see CheckScales(). One too small for
///          it gives the smallest scale: 2^-24 for float16, 2^-126 for float32.
/// Threads  Rows are independent; one thread.
BITLAW_EXPORT void FindGrid(const GridRule& rule, const float* weights, int64_t rows, int64_t columns,
                            int64_t row_stride, float* scales, float* zeros);

/// Rounds half to even. Exact for |x| < 2^22; beyond, the result is far outside every grid, as x is.
inline float RoundHalfToEven(float x) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: the sum has no fraction bits left.
  return (x + kShift) - kShift;
}

/// The code of `weight` on a grid, as float.
inline float CodeOf(float weight, float scale, float zero, float max_code) {
  const float code = RoundHalfToEven(weight / scale) + zero;
  const float raised = code > 0.0f ? code : 0.0f;
  return raised < max_code ? raised : max_code;
}

/// What CheckScales() saw.
struct BITLAW_EXPORT ScaleCheck {
  int64_t subnormal = 0;  ///< Scales that float16 holds with fewer than 11 bits; 0 for float32.
  int64_t smallest = 0;   ///< Groups whose weights are so small that they have the smallest scale there is.
};

/// Error(kNumerical), with `layer`, the place and what to do, if a scale is zero, infinite or not a number.
/// scales [C_out, groups] float32, of a grid whose scales are exact in `scale_dtype`.
BITLAW_EXPORT ScaleCheck CheckScales(std::string_view scale_dtype, const at::Tensor& scales, const std::string& layer);

/// Adds "subnormal_scales" (float16 only) and, unless it is 0, "smallest_scales" to the diagnostics of `quantized`.
BITLAW_EXPORT void AddScaleDiagnostics(const ScaleCheck& check, QuantizedLinear& quantized);

/// Error(kNumerical) if the weight of `layer` has a value that is not finite.
BITLAW_EXPORT void CheckFinite(const at::Tensor& weight, const std::string& layer);

/// WeightGrid::bounds(), or what lies halfway between the grid's levels, and then infinities up to 2^k - 1 of them, for
/// NearestLevel(); empty for a grid of integers.
BITLAW_EXPORT std::vector<float> BoundsOf(const WeightGrid& grid);

/// The code of x = weight / scale on a grid of levels, by `bounds` of BoundsOf().
inline int NearestLevel(float x, std::span<const float> bounds) {
  int code = 0;
  for (int step = static_cast<int>((bounds.size() + 1) / 2); step > 0; step /= 2) {
    code += x > bounds[static_cast<size_t>(code + step - 1)] ? step : 0;
  }
  return code;
}

/// `grid`, or what it says of this tensor: WeightGrid::ForTensor(). `weight` as there; `grid` outlives the result.
BITLAW_EXPORT std::shared_ptr<const WeightGrid> GridFor(const WeightGrid& grid, const at::Tensor& weight);

/// max |w| of several tensors on any device.
BITLAW_EXPORT float LargestMagnitude(std::span<const at::Tensor> weights);

/// The grid of each reader of a site: WeightGrid::ForSite(), or that of GridFor(). `weights` as there, `grid` outlives the
/// results.
/// Errors   CheckFinite()'s, where the readers have one grid.
BITLAW_EXPORT std::vector<std::shared_ptr<const WeightGrid>> GridsForSite(const WeightGrid& grid, const SiteShape& site,
                                                                          std::span<const at::Tensor> weights);

/// The nearest codes of `columns` weights of one group, by the rule that every quantizer follows.
BITLAW_EXPORT void NearestCodes(const WeightGrid& grid, const float* weights, int64_t columns, float scale, float zero,
                                uint8_t* codes);

/// A result on `grid` without codes and parameters: bits, symmetric, scale_dtype, scale_divisor and levels are set.
BITLAW_EXPORT QuantizedLinear OnGrid(const WeightGrid& grid);

/// Round to nearest: every group of `group_size` neighbouring columns (-1 or more than C_in: the row) on its own grid,
/// that of GridFor() the weight.
///
/// Shapes   weight [C_out, C_in], any floating dtype; the result as in QuantizedLinear, group_index[j] = j / G, on the
///          device of the weight.
/// Errors   Error(kNumerical) naming `layer`: weights that are not finite, scales that scale_dtype cannot hold.
/// Threads  Same bytes for any number of threads.
BITLAW_EXPORT QuantizedLinear RoundToNearest(const WeightGrid& grid, const at::Tensor& weight, int64_t group_size,
                                             const std::string& layer);
inline QuantizedLinear RoundToNearest(const GridRule& rule, const at::Tensor& weight, int64_t group_size,
                                      const std::string& layer) {
  return RoundToNearest(UniformGrid(rule), weight, group_size, layer);
}

/// The same of all readers of a site, each on its grid of GridsForSite().
/// Shapes   weights[i] [C_out, C_in] of site.readers[i], and so are the results.
BITLAW_EXPORT std::vector<QuantizedLinear> RoundSiteToNearest(const WeightGrid& grid, const SiteShape& site,
                                                              std::span<const at::Tensor> weights, int64_t group_size);

}  // namespace bitlaw
