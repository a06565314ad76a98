#include "quantize/recipe/round_tables.h"

#include <ATen/ATen.h>

#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/grid_options.h"

namespace bitlaw {

std::vector<std::optional<TableGrid>> TableGridsOf(const QuantizeRecipe& recipe, const ModelSummary& summary) {
  std::vector<std::optional<TableGrid>> grids(summary.tables.size());
  if (!grids.empty()) grids[0] = recipe.embeddings;
  if (grids.size() > 1) grids[1] = recipe.head;
  const bool lacks_one = (recipe.embeddings && grids.empty()) || (recipe.head && grids.size() < 2);
  if (lacks_one) throw InternalError(summary.name + ": a table was to be rounded that the model does not have");
  return grids;
}

void RoundTables(Model& model, const QuantizeRecipe& recipe, const std::function<void(QuantizedLayer)>& take) {
  const ModelSummary& summary = model.summary();
  const std::vector<std::optional<TableGrid>> grids = TableGridsOf(recipe, summary);
  for (size_t i = 0; i < grids.size(); ++i) {
    if (!grids[i]) continue;
    QuantizedLayer layer;
    layer.shape = summary.tables[i];
    const UniformGrid grid(grids[i]->rule);
    layer.linear = RoundToNearest(grid, model.table(i), grids[i]->group_size, layer.shape.name);
    layer.bits_requested = grid.bits();
    layer.bits_per_weight = StoredBitsPerWeight(layer.shape, StorageOf(grid, grids[i]->group_size));
    model.SetTable(i, layer.linear.Dequantize());
    take(std::move(layer));
  }
}

}  // namespace bitlaw
