#include "quantize/recipe/mean_bits.h"

#include <fmt/format.h>

#include <optional>

#include "bitlaw/base/error.h"
#include "quantize/recipe/check_recipe.h"
#include "quantize/recipe/round_tables.h"

namespace bitlaw {

std::vector<LinearShape> ExpectedLayers(const QuantizeRecipe& recipe, const ModelSummary& model) {
  const std::vector<std::optional<TableGrid>> grids = TableGridsOf(recipe, model);
  std::vector<LinearShape> expected;
  for (size_t i = 0; i < grids.size(); ++i) {
    if (grids[i]) expected.push_back(model.tables[i]);
  }
  for (const LinearShape& layer : model.linears) {
    if (!Skips(recipe, layer.name)) expected.push_back(layer);
  }
  return expected;
}

void Summarize(const QuantizeRecipe& recipe, const ModelSummary& model, QuantizedModel& result) {
  const std::vector<LinearShape> expected = ExpectedLayers(recipe, model);
  if (result.layers.size() != expected.size()) {
    throw InternalError(fmt::format("{}: its blocks hold {} linear layers, its summary names {}", model.name,
                                    result.layers.size(), expected.size()));
  }
  const auto size_of = [](const LinearShape& shape) {
    return static_cast<double>(shape.in_features) * static_cast<double>(shape.out_features);
  };
  double in_blocks = 0, weights = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const QuantizedLayer& layer = result.layers[i];
    if (layer.shape.name != expected[i].name) {
      throw InternalError(fmt::format("{}: layer {} in blocks is '{}', in the summary '{}'", model.name, i,
                                      layer.shape.name, expected[i].name));
    }
    const double size = size_of(layer.shape);
    weights += size;
    result.bits_effective += size * layer.bits_per_weight;
    if (layer.shape.block < 0) continue;
    in_blocks += size;
    result.bits_requested += size * layer.bits_requested;
  }
  for (const LinearShape& layer : result.skipped) {
    const double size = size_of(layer);
    weights += size;
    in_blocks += size;
    result.bits_requested += size * kUnquantizedBits;
    result.bits_effective += size * kUnquantizedBits;
  }
  if (in_blocks > 0) result.bits_requested /= in_blocks;
  if (weights > 0) result.bits_effective /= weights;
}

}  // namespace bitlaw
