#pragma once

#include <string>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

struct LayerCalibration;
class Model;
struct Site;

/// Changes a model's weights before they are quantized so that the *unquantized* model computes the same function and
/// quantization hurts it less: scales folded into what makes an input, rotations. Built from its options by a factory;
/// const after, but for TakeQuantizer().
///
/// The framework walks the unquantized model once for each transform of a recipe, in their order, and applies it site
/// by site, or, one that changes what is not of a site (the basis of the residual stream), to the model as a whole;
/// then the quantizer sees the changed model. testing/transform_conformance.h checks what is promised here.
///
/// Threads: same inputs, same bytes, for any thread. This header is free of torch: the planner asks ExplainUnsupported.
class BITLAW_EXPORT Transform {
 public:
  virtual ~Transform() = default;

  /// What will quantize the weights afterwards, null for nothing: for transforms that search for what its rounding hurts
  /// least. It is kept until another one is given. Where layers have options of their own, Apply() sees one that rounds
  /// each layer by its own: its RoundToNearest() leaves the entry of a layer that stays as it is as it was given.
  virtual void TakeQuantizer(const Quantizer* /*quantizer*/) {}

  /// Why this site is left as it is. Empty exactly when Apply() can change it.
  virtual std::string ExplainUnsupported(const SiteShape& site) const = 0;

  /// Why it can do nothing to a model, or not what was asked of it; trials of the model are skipped with this reason.
  /// Empty exactly when it can. By default the first site's reason, if all sites have one.
  virtual std::string ExplainUnsupportedModel(const ModelSummary& model) const;

  /// Whether it is applied to the model as a whole, by ApplyToModel(), and to no site.
  virtual bool is_of_whole_model() const { return false; }

  /// Changes weights of the blocks and of the model, and registers rotations that are computed in each pass. Logits
  /// stay what they were, but for rounding. Called once, without calibration, if is_of_whole_model().
  /// Errors   InternalError unless ExplainUnsupportedModel() is empty.
  virtual void ApplyToModel(Model& model) const;

  /// Statistics of the sites' inputs in the unquantized model, after the transforms before this one.
  virtual CalibrationNeeds needs() const = 0;

  /// Weights that the changed model has beside those of its summary: of a tied pair that it unties, the head's.
  virtual int64_t added_weights(const ModelSummary& /*model*/) const { return 0; }

  /// What distinguishes trials with this transform: the strength of a scale, say. As Quantizer::factors().
  virtual std::vector<Factor> factors(const ModelSummary& model) const {
    (void)model;
    return {};
  }

  /// Changes the weights of site.readers and of what makes their input; Site::Fold() does so for a scale. Every
  /// reader's output stays what it was, but for rounding.
  /// Errors   Error(kNumerical) with the site's name.
  virtual void Apply(const Site& site, const LayerCalibration& calibration) const = 0;
};

}  // namespace bitlaw
