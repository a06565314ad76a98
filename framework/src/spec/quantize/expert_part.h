#pragma once

#include <string>

#include "bitlaw/api/option_schema.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {

/// `experts` of a recipe: what is done about experts, which see only the calibration tokens routed to them. Its options
/// are experts.policy and experts.minimum_tokens beside those of the other parts.
const OptionSchema& ExpertSchema();

/// {policy, minimum_tokens} into `recipe` where `options` have the part; minimum_tokens counts only where a policy
/// reads it, and is taken out of `shown` elsewhere.
void SplitExperts(const Value& options, Value& recipe, Value& shown);

/// Why the part cannot be done to a model by what the recipe came to. Empty exactly when it can, or where there is no
/// such part.
std::string ExplainUnsupportedExperts(const MadeRecipe& made, const Value& recipe, const ModelSummary& summary);

}  // namespace bitlaw
