#include "spec/quantize/override_part.h"

#include <algorithm>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// The grid that integer quantizers have of themselves: its options stand among theirs.
constexpr std::string_view kOwnGrid = "uniform";

// Whether `name` is what `pattern` says: '*' stands for any characters, '?' for one.
bool Fits(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

const LayerRule* RuleFor(const std::vector<LayerRule>& rules, std::string_view layer) {
  const auto found =
      std::find_if(rules.begin(), rules.end(), [&](const LayerRule& rule) { return Fits(rule.match, layer); });
  return found == rules.end() ? nullptr : &*found;
}

}  // namespace

OptionSchema RuleSchema(const OptionSchema& quantizer) {
  OptionSchema schema;
  schema.String("match").Doc("Name of a layer; '*' stands for any characters, '?' for one.");
  schema.Bool("skip").Optional().Doc("Leave these layers as they are, their weights and their inputs.");
  for (const OptionField& field : quantizer.fields()) {
    const bool gives_defaults =
        std::any_of(quantizer.fields().begin(), quantizer.fields().end(),
                    [&](const OptionField& other) { return other.default_by == field.name; });
    if (gives_defaults || field.name == "match" || field.name == "skip") continue;
    OptionField& own = schema.String(field.name);
    own = field;
    own.default_by.clear();
    own.defaults_by.clear();
    own.Optional();
  }
  return schema;
}

void SplitOverrides(const Value& options, Value& recipe, Value& shown) {
  const Value* rules = options.Find("overrides");
  if (rules == nullptr || !rules->is_list()) return;
  Value::List kept;
  std::string text;
  for (const Value& rule : rules->AsList()) {
    const std::string& match = rule.Find("match")->AsString();
    text += (text.empty() ? "" : "; ") + match;
    Value own(Value::Map{});
    for (const auto& [name, value] : rule.AsMap()) {
      if (name == "match" || name == "skip" || value.is_null()) continue;
      Value plain = value;
      plain.set_mark({});
      text += " " + name + "=" + (plain.is_string() ? plain.AsString() : plain.Text());
      own.Set(name, std::move(plain));
    }
    Value kept_rule = Value::Map{{"match", match}, {"options", std::move(own)}};
    if (const Value* skip = rule.Find("skip"); skip != nullptr && !skip->is_null() && skip->AsBool()) {
      text += " skip";
      kept_rule.Set("skip", true);
    }
    kept.push_back(std::move(kept_rule));
  }
  shown.Set("overrides", text.empty() ? "none" : text);
  if (!kept.empty()) recipe.Set("overrides", std::move(kept));
}

void MakeRules(const PluginHost& host, const std::string& quantizer, const Options& options, const Value& recipe,
               MadeRecipe& made) {
  const Value* rules = recipe.Find("overrides");
  if (rules == nullptr) return;
  if (made.quantizer == nullptr) {
    throw Error(ErrorKind::kUnsupported,
                "'overrides' changes options of a quantizer, and the weights stay as they are.");
  }
  const Value* grid = recipe.Find("grid");
  for (const Value& rule : rules->AsList()) {
    const std::string& match = rule.Find("match")->AsString();
    if (rule.Find("skip") != nullptr) {
      if (const auto& others = rule.Find("options")->AsMap(); !others.empty()) {
        throw Error(ErrorKind::kSpec, "the rule '" + match + "' of 'overrides' skips its layers, and gives them '" +
                                          others.front().first + "'. Leave one of the two out.");
      }
      made.rules.push_back({match, nullptr});
      continue;
    }
    Value own = options.map();
    for (const auto& [name, value] : rule.Find("options")->AsMap()) {
      if (grid != nullptr && host.Find(ComponentKind::kGrid, kOwnGrid).schema.Find(name) != nullptr) {
        throw Error(ErrorKind::kSpec, "'" + name + "' of a rule of 'overrides' is an option of grid '" +
                                          std::string(kOwnGrid) + "', and the recipe has grid '" +
                                          grid->Find("name")->AsString() + "'. Leave it out.");
      }
      own.Set(name, value);
    }
    made.rules.push_back({match, host.MakeQuantizer(quantizer, Options(std::move(own)))});
  }
}

bool IsSharedExpert(std::string_view layer) { return layer.find(".shared_expert.") != std::string_view::npos; }

bool MadeRecipe::Skips(std::string_view layer) const {
  const LayerRule* const rule = RuleFor(rules, layer);
  return rule == nullptr ? quantizer != nullptr && IsSharedExpert(layer) : rule->quantizer == nullptr;
}

const Quantizer& MadeRecipe::QuantizerOf(std::string_view layer) const {
  if (Skips(layer)) throw InternalError(std::string(layer) + ": it is skipped, and its quantizer was asked for");
  const LayerRule* const rule = RuleFor(rules, layer);
  return rule == nullptr ? *quantizer : *rule->quantizer;
}

std::string ExplainUnsupportedRules(const MadeRecipe& made, const ModelSummary& summary) {
  const auto& layers = summary.linears;
  for (const LayerRule& rule : made.rules) {
    if (std::none_of(layers.begin(), layers.end(),
                     [&](const LinearShape& layer) { return Fits(rule.match, layer.name); })) {
      return "no layer of this model fits '" + rule.match + "' of 'overrides'" +
             (layers.empty() ? "" : "; one is called '" + layers.front().name + "'");
    }
  }
  if (!made.rules.empty() &&
      std::all_of(layers.begin(), layers.end(), [&](const LinearShape& layer) { return made.Skips(layer.name); })) {
    return "'overrides' skips every layer of this model. Leave some to be quantized, or take quantizer 'keep'";
  }
  return "";
}

}  // namespace bitlaw
