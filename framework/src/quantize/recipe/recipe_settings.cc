#include "quantize/recipe/recipe_settings.h"

#include <memory>

#include "quantize/recipe/quantizer_by_layer.h"

namespace bitlaw {
namespace {

std::optional<ActivationGrid> GridOfBits(const Value* bits, const Value& section) {
  if (bits == nullptr || bits->is_null()) return std::nullopt;
  ActivationGrid grid;
  grid.bits = static_cast<int>(bits->AsInt());
  grid.symmetric = section.Find("symmetric")->AsBool();
  return grid;
}

ActivationGrid InputGrid(const Value& activations) {
  ActivationGrid grid = *GridOfBits(activations.Find("bits"), activations);
  grid.per_token = activations.Find("per")->AsString() != "tensor";
  if (const Value* format = activations.Find("format")) grid.format = InputFormatOf(format->AsString());
  if (const Value* size = activations.Find("group_size")) grid.group_size = size->AsInt();
  if (const Value* rule = activations.Find("scale_rule")) grid.scale_rule = MxScaleOf(rule->AsString());
  return grid;
}

// `of`: "key" or "value".
std::optional<KvGrid> KvGridOf(const Value& kv_cache, const std::string& of) {
  const std::optional<ActivationGrid> numbers = GridOfBits(kv_cache.Find(of + "_bits"), kv_cache);
  if (!numbers) return std::nullopt;
  KvGrid grid{.numbers = *numbers};
  if (const Value* format = kv_cache.Find(of + "_format")) {
    grid.numbers.format = InputFormatOf(format->AsString());
    grid.numbers.symmetric = true;
  }
  if (const Value* per = kv_cache.Find(of + "_per")) grid.scale_of = KvScaleOfName(per->AsString());
  if (const Value* rule = kv_cache.Find("scale_rule"); rule != nullptr && BlockSizeOf(grid.numbers.format) > 0) {
    grid.numbers.scale_rule = MxScaleOf(rule->AsString());
  }
  return grid;
}

std::optional<TableGrid> TableGridOf(const Value* part) {
  if (part == nullptr) return std::nullopt;
  TableGrid grid;
  grid.rule.bits = static_cast<int>(part->Find("bits")->AsInt());
  grid.rule.symmetric = part->Find("symmetric")->AsBool();
  grid.group_size = part->Find("group_size")->AsInt();
  return grid;
}

}  // namespace

QuantizeRecipe QuantizeRecipeOf(const MadeRecipe& made, const Value& recipe) {
  QuantizeRecipe result;
  result.quantizer = made.quantizer.get();
  if (!made.rules.empty()) {
    const auto give_all = [&made](const Quantizer* quantizer) {
      for (const auto& transform : made.transforms) transform->TakeQuantizer(quantizer);
    };
    result.by_layer = {new QuantizerByLayer(made), [&made, give_all](const Quantizer* by_layer) {
                         give_all(made.quantizer.get());
                         delete by_layer;
                       }};
    result.quantizer = result.by_layer.get();
    give_all(result.quantizer);
  }
  if (made.quantizer != nullptr) result.skips = [&made](std::string_view layer) { return made.Skips(layer); };
  for (const auto& transform : made.transforms) result.transforms.push_back(transform.get());
  if (recipe.is_null()) return result;
  result.embeddings = TableGridOf(recipe.Find("embeddings"));
  result.head = TableGridOf(recipe.Find("head"));
  if (const Value* sequential = recipe.Find("sequential")) {
    result.sequential = sequential->AsString() == "block" ? SequentialUnit::kBlock : SequentialUnit::kNone;
  }
  if (const Value* experts = recipe.Find("experts")) {
    const std::string& policy = experts->Find("policy")->AsString();
    result.experts.policy = policy == "rtn"           ? ExpertPolicy::kRtn
                            : policy == "all_experts" ? ExpertPolicy::kAllExperts
                                                      : ExpertPolicy::kFail;
    if (const Value* minimum = experts->Find("minimum_tokens")) result.experts.minimum_tokens = minimum->AsInt();
  }
  if (const Value* activations = recipe.Find("activations")) {
    result.activations = InputGrid(*activations);
  }
  if (const Value* kv_cache = recipe.Find("kv_cache")) {
    result.kv_cache.keys = KvGridOf(*kv_cache, "key");
    result.kv_cache.values = KvGridOf(*kv_cache, "value");
    result.kv_cache.keys_before_rotation = kv_cache->Find("keys_before_rotation") != nullptr;
  }
  return result;
}

}  // namespace bitlaw
