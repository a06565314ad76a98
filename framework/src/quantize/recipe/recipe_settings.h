#pragma once

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "quantize/quantize_model.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {

/// What QuantizeModel() does for a made recipe. `recipe` is Trial::recipe; `made` outlives the result.
BITLAW_EXPORT QuantizeRecipe QuantizeRecipeOf(const MadeRecipe& made, const Value& recipe);

}  // namespace bitlaw
