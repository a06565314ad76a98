#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/quantizer.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {

/// A recipe's quantizer whose layers may have options of their own: each layer goes to the quantizer that
/// MadeRecipe::QuantizerOf() names; it is not asked to quantize those that are skipped. Those readers of a site that have one
/// quantizer are given to it together.
class QuantizerByLayer final : public Quantizer {
 public:
  /// `made` outlives this.
  explicit QuantizerByLayer(const MadeRecipe& made) : made_(made) {}

  std::string ExplainUnsupported(const LinearShape& layer) const override;
  double BitsRequested(const LinearShape& layer) const override;
  double BitsPerWeight(const LinearShape& layer) const override;
  std::vector<Factor> factors(const ModelSummary& model) const override;
  /// What any of them needs.
  CalibrationNeeds needs() const override;
  /// Whether all of them do.
  bool rounds_to_nearest() const override;
  /// Here skipped layers may be among the readers: their entries of `rounded` stay as they are.
  void RoundToNearest(const SiteShape& site, std::span<const at::Tensor> weights,
                      std::vector<QuantizedLinear>& rounded) const override;
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                           const LayerCalibration& calibration) const override;
  bool QuantizeSite(const SiteShape& site, std::span<const at::Tensor> weights, const LayerCalibration& calibration,
                    std::vector<QuantizedLinear>& results) const override;
  size_t QuantizeAlike(std::span<const SiteInput> sites,
                       std::vector<std::vector<QuantizedLinear>>& results) const override;

 private:
  /// Null where the readers have several.
  const Quantizer* OneOf(const SiteShape& site) const;

  const MadeRecipe& made_;
};

}  // namespace bitlaw
