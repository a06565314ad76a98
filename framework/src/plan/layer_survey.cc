#include "plan/layer_survey.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "spec/quantize/override_part.h"
#include "spec/quantize/table_part.h"

namespace bitlaw {
namespace {

constexpr double kUnquantizedBits = 16;  // Of layers that are skipped, as of the unquantized model.

}  // namespace

LayerSurvey::LayerSurvey(const ModelSummary& summary) {
  std::map<std::tuple<int64_t, int64_t, bool, bool>, size_t> shapes;
  for (const LinearShape& layer : summary.linears) {
    const double weights = static_cast<double>(layer.in_features) * static_cast<double>(layer.out_features);
    by_layer_.push_back({layer, 1, weights});
    const auto [found, is_new] =
        shapes.try_emplace({layer.in_features, layer.out_features, layer.is_expert, IsSharedExpert(layer.name)},
                           by_shape_.size());
    if (is_new) by_shape_.push_back({layer, 0, 0});
    by_shape_[found->second].count += 1;
    by_shape_[found->second].weights += weights;
  }
}

LayerVerdict LayerSurvey::Ask(const MadeRecipe& made, const Value& recipe, const ModelSummary& summary) const {
  LayerVerdict verdict;
  if (by_layer_.empty()) {
    verdict.reason = "the model has no linear layers to quantize";
    return verdict;
  }
  const bool by_shape = made.rules.empty() && made.quantizer->depends_on_shape_only();
  const std::vector<Layers>& asked = by_shape ? by_shape_ : by_layer_;
  int64_t unsupported = 0;
  double weights = 0, requested = 0, effective = 0;
  for (const Layers& layers : asked) {
    if (made.Skips(layers.first.name)) {
      weights += layers.weights;
      requested += layers.weights * kUnquantizedBits;
      effective += layers.weights * kUnquantizedBits;
      continue;
    }
    const Quantizer& quantizer = made.QuantizerOf(layers.first.name);
    const std::string reason = quantizer.ExplainUnsupported(layers.first);
    if (!reason.empty()) {
      if (verdict.reason.empty()) verdict.reason = reason;
      unsupported += layers.count;
      continue;
    }
    weights += layers.weights;
    requested += layers.weights * quantizer.BitsRequested(layers.first);
    effective += layers.weights * quantizer.BitsPerWeight(layers.first);
  }
  if (unsupported > 0) {
    const int64_t more = unsupported - 1;
    if (more > 0) verdict.reason += " (and " + std::to_string(more) + " more layer" + (more > 1 ? "s)" : ")");
    return verdict;
  }
  verdict.bits_requested = requested / weights;
  const std::vector<std::optional<TableRule>> tables = TableRulesOf(recipe, summary);
  for (size_t i = 0; i < tables.size(); ++i) {
    if (!tables[i]) continue;
    const LinearShape& table = summary.tables[i];
    const double size = static_cast<double>(table.in_features) * static_cast<double>(table.out_features);
    weights += size;
    effective += size * BitsPerWeight(table, *tables[i]);
  }
  verdict.bits_per_weight = effective / weights;
  return verdict;
}

}  // namespace bitlaw
