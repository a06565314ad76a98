#pragma once

#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/sdk/grids/integer_grid.h"

namespace bitlaw {

struct HqqSettings {
  int bits = 4;
  int64_t group_size = 64;  ///< Weights; -1: a row, or a column.
  bool along_rows = true;   ///< Groups lie within a row; otherwise within a column.
  double lp_norm = 0.7;
  double beta = 10;
  double kappa = 1;
  int64_t iterations = 20;
  bool rounds_zero = true;  ///< The first zero points are whole numbers.
  ScaleDtype scale_dtype = ScaleDtype::kFloat16;

  static OptionSchema Schema();
  static HqqSettings From(const Options& options);
};

/// Half-Quadratic Quantization: integers with a scale and a real-valued zero point a group, found from the weights alone
/// so that the p-norm of their errors, p < 1, is small: many small errors, a few large ones at outliers.
///
///   w ~ s (q - z),   q = clamp(round(w / s + z), 0, 2^bits - 1)       round: half to even
///   first   s = (max w - min w) / (2^bits - 1),   z = -min w / s      s in [1 / 20000, ..]; 1 where max w - min w <= 1e-4
///           z rounded half to even with `round_zero`
///   then    e = shrink(w - s (q - z)),  z = mean(q - (w - e) / s)     of each group, `iterations` times at most
///           shrink(x) = sign(x) max(|x| - |x|^(p - 1) / beta, 0),     beta times kappa after each step
///   until the mean |w - s (q - z)| of the whole layer no longer falls: then with the zero points of that last step
///
/// Groups along rows are runs of `group_size` columns. Along columns they hold rows o, o + R, o + 2 R, .. of one column,
/// R = C_out / group_size.
///
/// Shapes   weight [C_out, C_in]; scales, zeros [C_out, C_in / G] along rows, [C_out / G, C_in] along columns.
/// Units    scales are in weight units, zeros in codes, any real numbers.
/// Errors   Error(kUnsupported) with ExplainUnsupported()'s text; Error(kNumerical) for weights that are not finite.
/// Threads  Same inputs, same bytes. No random numbers. Safe from several threads.
/// Devices  Plain tensor operations where the weight is.
/// Source   Badri and Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models"; step by step as
///          optimize_weights_proximal of the package hqq 0.2.8. The README names what differs.
class HqqQuantizer final : public Quantizer {
 public:
  explicit HqqQuantizer(HqqSettings settings) : settings_(settings) {}

  std::string ExplainUnsupported(const LinearShape& layer) const override;
  double BitsRequested(const LinearShape&) const override { return settings_.bits; }
  double BitsPerWeight(const LinearShape& layer) const override;
  bool depends_on_shape_only() const override { return true; }
  std::vector<Factor> factors(const ModelSummary& model) const override;
  CalibrationNeeds needs() const override { return {}; }
  bool rounds_to_nearest() const override { return true; }
  void RoundToNearest(const SiteShape& site, std::span<const at::Tensor> weights,
                      std::vector<QuantizedLinear>& rounded) const override;
  /// Diagnostics: iterations (steps taken), mean_abs_error and mean_abs_error_first (weight units, with the last and the
  /// first zero points, before they are rounded to scale_dtype).
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                           const LayerCalibration& calibration) const override;

 private:
  int64_t GroupSizeOf(const LinearShape& layer) const;

  HqqSettings settings_;
};

}  // namespace bitlaw
