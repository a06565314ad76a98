#include "spec/quantize/table_part.h"

#include <algorithm>
#include <array>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {
namespace {

constexpr std::array<const char*, 2> kParts = {"embeddings", "head"};

const Value* PartOf(const Value& recipe, const char* part) { return recipe.is_null() ? nullptr : recipe.Find(part); }

TableRule RuleOf(const Value& part) {
  return {.bits = static_cast<int>(part.Find("bits")->AsInt()),
          .group_size = part.Find("group_size")->AsInt(),
          .symmetric = part.Find("symmetric")->AsBool()};
}

}  // namespace

const OptionSchema& TableSchema() {
  static const OptionSchema kSchema = [] {
    OptionSchema schema;
    schema.Int("bits").Range(2, 8).Optional().Unit("bits").Doc("Width of a weight of this matrix; rounded to nearest.");
    schema.Int("group_size")
        .Min(1)
        .Word("row", -1)
        .Default(64)
        .Unit("weights")
        .Doc("Neighbouring weights of a row, a token's, that share a scale; 'row': all of it.");
    schema.Bool("symmetric").Default(false).Doc("Zero point fixed at the middle code.");
    return schema;
  }();
  return kSchema;
}

void SplitTables(const Value& options, Value& recipe, Value& shown) {
  for (const std::string part : kParts) {
    const Value* bits = options.Find(part + ".bits");
    if (bits == nullptr || bits->is_null()) {
      std::erase_if(shown.AsMap(), [&](const auto& entry) { return entry.first.starts_with(part + "."); });
      continue;
    }
    Value rule(Value::Map{});
    for (const char* name : {"bits", "group_size", "symmetric"}) {
      Value plain = *options.Find(part + "." + name);
      plain.set_mark({});
      rule.Set(name, std::move(plain));
    }
    recipe.Set(part, std::move(rule));
  }
}

std::vector<std::optional<TableRule>> TableRulesOf(const Value& recipe, const ModelSummary& summary) {
  std::vector<std::optional<TableRule>> rules(summary.tables.size());
  for (size_t i = 0; i < std::min(rules.size(), kParts.size()); ++i) {
    if (const Value* part = PartOf(recipe, kParts[i])) rules[i] = RuleOf(*part);
  }
  return rules;
}

double BitsPerWeight(const LinearShape& table, const TableRule& rule) {
  return StoredBitsPerWeight(table, {.bits = rule.bits, .symmetric = rule.symmetric, .group_size = rule.group_size});
}

WeightsBeside WeightsBesideOf(const MadeRecipe& made, const Value& recipe, const ModelSummary& summary) {
  WeightsBeside beside;
  const std::vector<std::optional<TableRule>> rules = TableRulesOf(recipe, summary);
  for (size_t i = 0; i < rules.size(); ++i) {
    const LinearShape& table = summary.tables[i];
    if (!rules[i]) continue;
    beside.rounded_tables += static_cast<double>(table.in_features) * static_cast<double>(table.out_features);
  }
  for (const auto& transform : made.transforms) beside.added += static_cast<double>(transform->added_weights(summary));
  return beside;
}

std::vector<Factor> TableFactors(const Value& recipe, const ModelSummary& summary) {
  if (PartOf(recipe, "embeddings") == nullptr && PartOf(recipe, "head") == nullptr) return {};
  const std::vector<std::optional<TableRule>> rules = TableRulesOf(recipe, summary);
  const auto bits = [&](const char* column, const std::optional<TableRule>& rule) {
    return StandardFactor(column, rule ? Value(rule->bits) : FindStandardFactor(column)->anchor);
  };
  if (rules.empty()) return {};
  return {bits("B_embedding", rules.front()), bits("B_head", rules.back())};
}

void CheckTables(const Value& recipe, bool keeps_weights) {
  for (const char* part : kParts) {
    if (!keeps_weights || PartOf(recipe, part) == nullptr) continue;
    throw Error(ErrorKind::kUnsupported, std::string(part) +
                                             ": its codes are kept with those of the layers' weights, and 'keep' makes "
                                             "none. Take a quantizer, rtn with bits: 8 for one that changes little.");
  }
}

std::string ExplainUnsupportedTables(const Value& recipe, const ModelSummary& summary) {
  for (size_t i = 0; i < kParts.size(); ++i) {
    const Value* part = PartOf(recipe, kParts[i]);
    if (part == nullptr) continue;
    const std::string name = std::string("'") + kParts[i] + "'";
    if (summary.tables.empty()) {
      return "models of architecture '" + summary.architecture +
             "' do not show their embedding here, and the recipe has " + name;
    }
    if (i >= summary.tables.size()) {
      return "its output head is its input embedding, one matrix, and the recipe has 'head'. 'embeddings' rounds it "
             "for both";
    }
    const std::string reason = ExplainGroupSize(summary.tables[i], RuleOf(*part).group_size, false);
    if (!reason.empty()) return name + ": " + reason;
  }
  return "";
}

}  // namespace bitlaw
