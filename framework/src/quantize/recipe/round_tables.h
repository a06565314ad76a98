#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "quantize/quantize_model.h"

namespace bitlaw {

/// What `recipe` does to each of summary.tables.
std::vector<std::optional<TableGrid>> TableGridsOf(const QuantizeRecipe& recipe, const ModelSummary& summary);

/// Rounds tables to nearest and puts what their codes say in the model. Each goes to `take` as its codes are found, on
/// the device of the model.
void RoundTables(Model& model, const QuantizeRecipe& recipe, const std::function<void(QuantizedLayer)>& take);

}  // namespace bitlaw
