#pragma once

#include <string>
#include <string_view>

#include "bitlaw/api/option_schema.h"
#include "plugin/host.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {

/// One entry of `overrides` of a recipe: a pattern of layers' names, and `skip`, or any of the quantizer's options but
/// those that give others their defaults.
OptionSchema RuleSchema(const OptionSchema& quantizer);

/// [{match, options}] or [{match, skip: true}] into `recipe`, and "*.down_proj bits=8; *.o_proj skip" or "none" into
/// `shown`.
void SplitOverrides(const Value& options, Value& recipe, Value& shown);

/// The quantizers of the rules. Error(kUnsupported) where the weights stay as they are, Error(kSpec) for options that
/// do not go together.
void MakeRules(const PluginHost& host, const std::string& quantizer, const Options& options, const Value& recipe,
               MadeRecipe& made);

/// Whether it is of an expert that every token visits. Those stay as they are, unless a rule fits them.
bool IsSharedExpert(std::string_view layer);

/// Why the rules cannot be done to a model. Empty exactly when they can, or where there are none.
std::string ExplainUnsupportedRules(const MadeRecipe& made, const ModelSummary& summary);

}  // namespace bitlaw
