#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "column_walk.h"

namespace bitlaw {

struct GptqSettings {
  std::shared_ptr<const WeightGrid> grid;
  int64_t group_size = 128;  ///< Columns; -1: the row.
  bool allow_partial_group = false;
  int64_t block_size = 128;  ///< Columns.
  double damp = 0.01;        ///< Fraction of mean(diag H), in (0, 1).
  bool act_order = true;
  bool order_within_groups = false;  ///< order_scope: groups; only with act_order.
  GroupParams group_params = GroupParams::kStatic;
  double gptaq_alpha = 0;         ///< Share of the inputs' error that weights make up for; 0: none of it.
  bool raise_damping = false;     ///< on_singular: raise_damping.
  bool round_unseen = false;      ///< on_unseen: rtn.
  bool hessian_float64 = false;   ///< Dtype in which H is summed over the calibration set.
  bool factor_float64 = false;    ///< Dtype in which H is inverted and factored.

  static OptionSchema Schema();
  static GptqSettings From(const Options& options);
};

/// Rounds one linear layer to a low-bit grid so that its output on calibration data changes least.
///
/// Visits columns in order; after rounding column j it spreads the error over the columns to its right with the
/// inverse Hessian, H = 2 X^T X / n (n = calibration sequences). column_walk.h has the walk. Before it, in this order:
///
///   1. group_size "row": the row's grid is found.
///   2. Dead columns, H[j, j] = 0: H[j, j] = 1, W[:, j] = 0.
///   3. group_params "static": every group's grid is found, groups being runs of columns as stored.
///   4. act_order: columns sorted by falling H[j, j], equals in storage order; with order_scope "groups" as
///   ColumnOrder()
///      sorts groups (column_order.h), whose grids are then stored in the order of the columns.
///   5. H[j, j] += damp * mean(diag H), dead columns counted.
///   6. U, upper triangular, with U^T U = H^-1 (bitlaw/sdk/grids/inverse_factor.h).
///   7. gptaq_alpha > 0: P = alpha triu(D U^T, 1) U with D, the cross moment of LayerCalibration (column_walk.h has
///   what the
///      walk makes of it). Then all of it runs on the host.
///
/// Shapes   weight [C_out, C_in]; H [C_in, C_in]; scales [C_out, ceil(C_in / G)].
/// Units    scales in weight units; damp is a fraction of mean(diag H).
/// Errors   Error(kUnsupported) with ExplainUnsupported()'s text; Error(kNumerical) if H is not finite or not positive
///          definite after damping, or a scale leaves its dtype. Never changes damp or method unless
///          on_singular or on_unseen asks for it, and then says so in QuantizedLinear::fallback.
/// Threads  Same inputs, same bytes. No random numbers. Safe from several threads.
/// Devices  On a CUDA device for which its kernels compile, all of it runs there (device_sites.h), and the results stay;
///          elsewhere weight and H go to the host once a layer.
/// Source   Frantar et al. 2022, arXiv:2210.17323, Algorithm 1; Li et al. 2025, arXiv:2504.02692, for 7; the README
/// names what its reference implementation
///          settles beyond the paper.
class GptqQuantizer final : public Quantizer {
 public:
  explicit GptqQuantizer(GptqSettings settings) : settings_(std::move(settings)) {}

  void TakeGrid(std::shared_ptr<const WeightGrid> grid) override { settings_.grid = std::move(grid); }
  std::string ExplainUnsupported(const LinearShape& layer) const override;
  double BitsRequested(const LinearShape& layer) const override;
  double BitsPerWeight(const LinearShape& layer) const override;
  bool depends_on_shape_only() const override { return true; }
  std::vector<Factor> factors(const ModelSummary& model) const override {
    return GroupFactors(settings_.group_size, model);
  }
  CalibrationNeeds needs() const override;
  bool rounds_to_nearest() const override { return true; }
  void RoundToNearest(const SiteShape& site, std::span<const at::Tensor> weights,
                      std::vector<QuantizedLinear>& rounded) const override;

  /// Diagnostics: damp, dead_columns, calibration_tokens, hessian_error, hessian_error_rtn (both
  /// tr((W - Q) H (W - Q)^T) / tr(W H W^T); rtn: the same grid without compensation), subnormal_scales (float16 only), smallest_scales
  /// (where there are any).
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                           const LayerCalibration& calibration) const override;
  /// The same layer by layer; what comes from the Hessian is worked out once.
  bool QuantizeSite(const SiteShape& site, std::span<const at::Tensor> weights, const LayerCalibration& calibration,
                    std::vector<QuantizedLinear>& results) const override;
  /// On a device at once (device_sites.h), on the host each on a thread of its own. Not a site that saw no token.
  size_t QuantizeAlike(std::span<const SiteInput> sites,
                       std::vector<std::vector<QuantizedLinear>>& results) const override;

 private:
  struct SharedFactor;
  bool RunsOn(const at::Device& device) const;
  void Check(const LinearShape& layer, const LayerCalibration& calibration) const;
  /// That of an earlier recipe where statistics are kept from one to the next.
  std::shared_ptr<const SharedFactor> FactorOf(const LinearShape& layer, const LayerCalibration& calibration) const;
  SharedFactor MakeFactor(const LinearShape& layer, const LayerCalibration& calibration) const;
  /// Of readers that saw no token: on_unseen.
  std::vector<QuantizedLinear> RoundUnseen(const SiteShape& site, std::span<const at::Tensor> weights) const;
  /// `grid`: the layer's, or that of which it is made.
  QuantizedLinear Run(const LinearShape& layer, const WeightGrid& grid, const at::Tensor& weight,
                      const LayerCalibration& calibration, const SharedFactor& factor) const;

  GptqSettings settings_;
};

/// How many sites of this shape QuantizeAlike() takes at once: those whose working memory is 1 GiB, but one at least.
size_t SitesTogether(const SiteShape& site, bool is_float64);

/// The group size by which ColumnOrder() sorts the columns of a layer with `columns` of them; 0: columns by themselves.
int64_t OrderGroupOf(const GptqSettings& settings, int64_t columns);

/// Whether the groups of any layer with `columns` columns are runs of them as stored, when they were found in the
/// walk's order and that is of whole groups: their parameters are then sorted back (GroupOrder()).
bool SortsGroupsBack(const GptqSettings& settings, int64_t columns);

/// What the walk over the columns of any layer with `columns` of them needs of the settings.
ColumnWalkPlan WalkPlanOf(const GptqSettings& settings, int64_t columns);

/// Errors of the host's and the device's code, Error(kNumerical).
[[noreturn]] void ThrowHessianNotFinite(const LinearShape& layer, const LayerCalibration& calibration);
[[noreturn]] void ThrowNotPositiveDefinite(const GptqSettings& settings, const LinearShape& layer,
                                           const LayerCalibration& calibration);

}  // namespace bitlaw
