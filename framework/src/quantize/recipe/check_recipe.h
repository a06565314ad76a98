#pragma once

#include <string>
#include <string_view>

#include "bitlaw/api/model.h"
#include "bitlaw/api/quantizer.h"
#include "quantize/quantize_model.h"

namespace bitlaw {

/// Error(kUnsupported), a line each layer that the recipe cannot be done to, and for statistics that it cannot have.
void CheckSupported(const Model& model, const QuantizeRecipe& recipe);

inline bool Skips(const QuantizeRecipe& recipe, std::string_view layer) { return recipe.skips && recipe.skips(layer); }

/// Which statistics are collected, and of which layers: " second_moment abs_max, not of a, b".
std::string NameOf(const CalibrationNeeds& needs, const QuantizeRecipe& recipe, const ModelSummary& summary);

}  // namespace bitlaw
