#include "spec/quantize/expert_part.h"

#include <algorithm>
#include <utility>

namespace bitlaw {

const OptionSchema& ExpertSchema() {
  static const OptionSchema kSchema = [] {
    OptionSchema schema;
    schema.Choice("policy", {"fail", "rtn", "all_experts"})
        .Default("fail")
        .Doc(
            "An expert to which fewer than minimum_tokens were routed: fail the trial, or round it to nearest and "
            "record it. all_experts: every expert is calibrated on all tokens of its layer; the pass itself stays "
            "routed.");
    schema.Int("minimum_tokens").Min(1).Default(1).Unit("tokens").Doc(
        "Routed calibration tokens that an expert needs.");
    return schema;
  }();
  return kSchema;
}

void SplitExperts(const Value& options, Value& recipe, Value& shown) {
  const Value* policy = options.Find("experts.policy");
  if (policy == nullptr) return;
  Value part = Value::Map{{"policy", policy->AsString()}};
  if (policy->AsString() == "all_experts") {
    std::erase_if(shown.AsMap(), [](const auto& entry) { return entry.first == "experts.minimum_tokens"; });
  } else {
    part.Set("minimum_tokens", options.Find("experts.minimum_tokens")->AsInt());
  }
  recipe.Set("experts", std::move(part));
}

int64_t MinimumTokens(const Value& recipe) {
  const Value* experts = recipe.is_null() ? nullptr : recipe.Find("experts");
  const Value* minimum = experts == nullptr ? nullptr : experts->Find("minimum_tokens");
  return minimum == nullptr ? 1 : minimum->AsInt();
}

std::string ExplainUnsupportedExperts(const MadeRecipe& made, const Value& recipe, const ModelSummary& summary) {
  const Value* part = recipe.Find("experts");
  if (part == nullptr) return "";
  if (std::none_of(summary.linears.begin(), summary.linears.end(),
                   [](const LinearShape& layer) { return layer.is_expert; })) {
    return "this model has no experts, and the recipe has 'experts'";
  }
  if (!made.needs_calibration()) {
    return "'experts' says what experts are calibrated on, and nothing in this recipe is calibrated";
  }
  const std::string& policy = part->Find("policy")->AsString();
  if (policy == "all_experts") return "";
  const bool quantizer_needs =
      made.quantizer != nullptr &&
      (made.quantizer->needs().any() || std::any_of(made.rules.begin(), made.rules.end(), [](const LayerRule& rule) {
         return rule.quantizer != nullptr && rule.quantizer->needs().any();
       }));
  if (!quantizer_needs) {
    return "'experts.policy' = '" + policy + "' is about a quantizer that needs calibration, and here only a transform "
           "does. Use all_experts, or leave 'experts' out";
  }
  const bool rounds = made.quantizer->rounds_to_nearest() &&
                      std::all_of(made.rules.begin(), made.rules.end(),
                                  [](const LayerRule& rule) {
                                    return rule.quantizer == nullptr || rule.quantizer->rounds_to_nearest();
                                  });
  if (policy == "rtn" && !rounds) return "'experts.policy' = 'rtn', and the quantizer does not round to nearest";
  return "";
}

}  // namespace bitlaw
