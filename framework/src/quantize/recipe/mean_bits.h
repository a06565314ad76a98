#pragma once

#include <vector>

#include "quantize/quantize_model.h"

namespace bitlaw {

constexpr double kUnquantizedBits = 16;  ///< What tables say of weights that stay as they are.

/// What a result has a layer of: tables that are rounded, and linear layers that are not skipped.
std::vector<LinearShape> ExpectedLayers(const QuantizeRecipe& recipe, const ModelSummary& model);

/// Fills in the bits of `result`, all of whose layers are there. InternalError where they are others than
/// ExpectedLayers().
void Summarize(const QuantizeRecipe& recipe, const ModelSummary& model, QuantizedModel& result);

}  // namespace bitlaw
