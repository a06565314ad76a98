#include "quantize/recipe/check_recipe.h"

#include <algorithm>
#include <utility>

#include "bitlaw/base/error.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {

void CheckSupported(const Model& model, const QuantizeRecipe& recipe) {
  std::string faults;
  for (const LinearShape& layer : model.summary().linears) {
    if (Skips(recipe, layer.name)) continue;
    std::string reason = recipe.quantizer == nullptr ? "" : recipe.quantizer->ExplainUnsupported(layer);
    if (reason.empty() && recipe.activations) reason = recipe.activations->ExplainChannels(layer.in_features);
    if (!reason.empty()) faults += (faults.empty() ? "" : "\n") + layer.name + ": " + reason;
  }
  if (!faults.empty()) throw Error(ErrorKind::kUnsupported, faults);
  if (recipe.quantizer == nullptr || !recipe.quantizer->needs().cross_moment) return;
  const std::string why = ExplainNoCrossMoment(model.summary(), recipe.sequential == SequentialUnit::kNone);
  if (!why.empty()) throw Error(ErrorKind::kUnsupported, model.summary().name + ": " + why);
}

std::string NameOf(const CalibrationNeeds& needs, const QuantizeRecipe& recipe, const ModelSummary& summary) {
  std::string name;
  for (const auto& [is_needed, word] :
       {std::pair(needs.second_moment, " second_moment"), std::pair(needs.abs_mean, " abs_mean"),
        std::pair(needs.abs_max, " abs_max"), std::pair(needs.rows, " rows"), std::pair(needs.range, " range")}) {
    if (is_needed) name += word;
  }
  bool has_skipped = false;
  for (const LinearShape& layer : summary.linears) {
    if (!Skips(recipe, layer.name)) continue;
    name += (has_skipped ? ", " : ", not of ") + layer.name;
    has_skipped = true;
  }
  return name;
}

}  // namespace bitlaw
