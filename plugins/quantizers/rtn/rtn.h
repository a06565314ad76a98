#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/integer_grid.h"

namespace bitlaw {

struct RtnSettings {
  std::shared_ptr<const WeightGrid> grid;
  int64_t group_size = 128;  ///< Columns; -1: the row.
  bool allow_partial_group = false;
  bool searches_ranges = false;    ///< range_search: outputs.
  bool searches_qk = false;        ///< Those of queries and keys too.

  static OptionSchema Schema();
  static RtnSettings From(const Options& options);
};

/// Rounds every weight to the nearest point of its group's grid. Needs no calibration, unless ranges are searched for by
/// their outputs (range_search.h).
///
/// Shapes   weight [C_out, C_in]; scales [C_out, ceil(C_in / G)].
/// Errors   Error(kUnsupported) with ExplainUnsupported()'s text; Error(kNumerical) for weights that are not finite
///          and scales that scale_dtype cannot hold, and for second moments that are not finite.
/// Threads  Same inputs, same bytes. No random numbers. Safe from several threads.
class RtnQuantizer final : public Quantizer {
 public:
  explicit RtnQuantizer(RtnSettings settings) : settings_(std::move(settings)) {}

  void TakeGrid(std::shared_ptr<const WeightGrid> grid) override { settings_.grid = std::move(grid); }
  std::string ExplainUnsupported(const LinearShape& layer) const override;
  double BitsRequested(const LinearShape& layer) const override;
  double BitsPerWeight(const LinearShape& layer) const override;
  bool depends_on_shape_only() const override { return true; }  // Of queries and keys only values differ.
  std::vector<Factor> factors(const ModelSummary& model) const override {
    return GroupFactors(settings_.group_size, model);
  }
  CalibrationNeeds needs() const override;
  bool rounds_to_nearest() const override { return true; }
  void RoundToNearest(const SiteShape& site, std::span<const at::Tensor> weights,
                      std::vector<QuantizedLinear>& rounded) const override;
  /// Diagnostics: subnormal_scales (float16 only), smallest_scales (where there are any), mean_range (of a range search:
  /// the mean of p, 1 where nothing was gained).
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                           const LayerCalibration& calibration) const override;
  /// Together only on a grid that is one for a site (WeightGrid::ForSite()).
  bool QuantizeSite(const SiteShape& site, std::span<const at::Tensor> weights, const LayerCalibration& calibration,
                    std::vector<QuantizedLinear>& results) const override;

 private:
  QuantizedLinear QuantizeOn(const WeightGrid& grid, const LinearShape& layer, const at::Tensor& weight,
                             const LayerCalibration& calibration) const;

  RtnSettings settings_;
};

}  // namespace bitlaw
