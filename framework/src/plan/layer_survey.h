#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {

/// What one quantizer configuration comes to on one model, before any weight is read.
struct LayerVerdict {
  std::string reason;            ///< Why it cannot be done; empty if it can.
  double bits_requested = 16;    ///< Mean over quantizable weights; 16 where they stay as they are.
  double bits_per_weight = 16;   ///< Effective mean; likewise, over those and tables that are rounded.
};

/// A model's linear layers, ready to be asked about.
class BITLAW_EXPORT LayerSurvey {
 public:
  explicit LayerSurvey(const ModelSummary& summary);

  /// Asks the recipe's quantizer about every layer, or about every distinct shape if it says that this is enough and no
  /// layer has options of its own. `recipe`: Trial::recipe, whose rounded tables count among the effective bits;
  /// `summary`: of the model.
  LayerVerdict Ask(const MadeRecipe& made, const Value& recipe, const ModelSummary& summary) const;

 private:
  struct Layers {
    LinearShape first;    // Of all layers that count as one.
    int64_t count = 0;
    double weights = 0;   // Of all of them together.
  };
  std::vector<Layers> by_shape_, by_layer_;
};

}  // namespace bitlaw
