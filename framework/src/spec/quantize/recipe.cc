#include "spec/quantize/recipe.h"

#include <algorithm>
#include <utility>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/error.h"
#include "plugin/host.h"
#include "spec/quantize/activation_part.h"
#include "spec/quantize/expert_part.h"
#include "spec/quantize/kv_part.h"
#include "spec/quantize/override_part.h"
#include "spec/quantize/table_part.h"

namespace bitlaw {
namespace {

// The grid that integer quantizers have of themselves: its options stand among theirs.
constexpr std::string_view kOwnGrid = "uniform";
constexpr int64_t kLargestBlock = 1024;

// Adds a copy of `field` under another name.
OptionField& AddField(OptionSchema& schema, const OptionField& field, const std::string& name) {
  OptionField& added = schema.String(name);
  added = field;
  added.name = name;
  if (!field.default_by.empty() && name.ends_with(field.name)) {
    added.default_by = name.substr(0, name.size() - field.name.size()) + field.default_by;
  }
  return added;
}

void AddFields(OptionSchema& schema, const OptionSchema& from, const std::string& prefix) {
  for (const OptionField& field : from.fields()) {
    if (schema.Find(prefix + field.name) == nullptr) AddField(schema, field, prefix + field.name);
  }
}

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Rewrites one entry.
class Flattener {
 public:
  Flattener(const Value& entry, std::string place, const OptionSchema& quantizer, const PluginHost& host,
            Faults& faults)
      : entry_(entry), place_(std::move(place)), quantizer_(quantizer), host_(host), faults_(faults) {
    flat_.schema = quantizer;
    flat_.entry = Value::Map{};
    flat_.entry.set_mark(entry.mark());
  }

  FlatEntry Flatten() {
    FindGrids();
    FindOthersInZip();
    for (const auto& [key, value] : entry_.AsMap()) {
      if (quantizer_.Find(key) != nullptr) {
        Put(key, value);
      } else if (key == "weights") {
        if (IsMap(key, value)) ReadWeights(value);
      } else if (key == "activations" || key == "kv_cache" || key == "embeddings" || key == "head") {
        if (IsMap(key, value)) ReadSection(key, value);
      } else if (key == "experts") {
        if (IsMap(key, value)) ReadExperts(value);
      } else if (key == "transforms") {
        ReadTransforms(value);
      } else if (key == "overrides") {
        Put(key, value);
        has_overrides_ = true;
      } else if (key == "sequential") {
        Put(key, value);
        has_sequential_ = true;
      } else {
        Put(key, value);
      }
    }
    AddSchemas();
    RefuseReplacedOptions();
    return std::move(flat_);
  }

 private:
  bool IsMap(const std::string& key, const Value& value) {
    if (value.is_map()) return true;
    if (!value.is_null()) {
      faults_.Add(value.mark(), "'" + key + "' of " + place_ + " is " + std::string(Article(value.type())) +
                                    ". It must be a map of options.");
    }
    return false;
  }

  void Put(const std::string& key, const Value& value) {
    if (flat_.entry.Find(key) != nullptr) {
      faults_.Add(value.key_mark(), "the option '" + key + "' is given twice in " + place_ + ".");
      return;
    }
    flat_.entry.Set(key, value);
  }

  void AddGridsOf(const Value* value) {
    if (value == nullptr) return;
    has_grid_ = true;
    for (const Value& one : value->is_list() ? value->AsList() : Value::List{*value}) {
      if (one.is_string() && Contains(host_.Names(ComponentKind::kGrid), one.AsString()) &&
          !Contains(grids_, one.AsString())) {
        grids_.push_back(one.AsString());
      }
      has_own_grid_ |= one.is_null() || (one.is_string() && one.AsString() == kOwnGrid);
    }
  }

  void FindGrids() {
    if (quantizer_.Find("grid") != nullptr) return;  // The quantizer's own word.
    AddGridsOf(entry_.Find("grid"));
    if (const Value* weights = entry_.Find("weights"); weights != nullptr && weights->is_map()) {
      AddGridsOf(weights->Find("grid"));
    }
    ForZip([&](const std::string& key, const Value& value) {
      if (key == "grid") AddGridsOf(&value);
    });
    // uniform is the quantizer's own grid where its options are the quantizer's.
    if (IsOwn(kOwnGrid)) std::erase(grids_, kOwnGrid);
  }

  bool IsOwn(std::string_view grid) const {
    if (grid != kOwnGrid || !Contains(host_.Names(ComponentKind::kGrid), grid)) return false;
    const auto& fields = host_.Find(ComponentKind::kGrid, grid).schema.fields();
    return std::all_of(fields.begin(), fields.end(),
                       [&](const OptionField& field) { return quantizer_.Find(field.name) != nullptr; });
  }

  template <class Visit>
  void ForZip(const Visit& visit) const {
    const Value* zip = entry_.Find("zip");
    if (zip == nullptr) return;
    for (const Value& map : zip->is_list() ? zip->AsList() : Value::List{*zip}) {
      if (!map.is_map()) continue;
      for (const auto& [key, value] : map.AsMap()) visit(key, value);
    }
  }

  void FindOthersInZip() {
    ForZip([&](const std::string& key, const Value&) {
      has_sequential_ |= key == "sequential" && quantizer_.Find(key) == nullptr;
      has_activations_ |= key.starts_with("activations.");
      has_kv_cache_ |= key.starts_with("kv_cache.");
      has_embeddings_ |= key.starts_with("embeddings.");
      has_head_ |= key.starts_with("head.");
      has_experts_ |= key.starts_with("experts.");
    });
  }

  // Each key is `grid`, an option of a grid that the entry names, or one of the quantizer.
  void ReadWeights(const Value& weights) {
    for (const auto& [key, value] : weights.AsMap()) {
      if (key == "grid") {
        Put(key, value);
        continue;
      }
      bool is_known = false;
      for (const std::string& grid : grids_) {
        if (host_.Find(ComponentKind::kGrid, grid).schema.Find(key) == nullptr) continue;
        Put(grid + "." + key, value);
        is_known = true;
      }
      // With another grid alone, an option of that grid is not the quantizer's.
      if (quantizer_.Find(key) != nullptr && (!is_known || has_own_grid_)) {
        Put(key, value);
        is_known = true;
      }
      if (is_known) continue;
      std::vector<std::string> known = quantizer_.names();
      known.push_back("grid");
      for (const std::string& grid : grids_) {
        for (const std::string& name : host_.Find(ComponentKind::kGrid, grid).schema.names()) {
          if (!Contains(known, name)) known.push_back(name);
        }
      }
      faults_.Add(value.key_mark(), "'" + key + "' is not an option of 'weights' of " + place_ + "." +
                                        DidYouMean(key, known) + " Options: " + JoinNames(known) + ".");
    }
  }

  static bool IsWidth(std::string_view key, const Value& value) {
    return key.ends_with("bits") || (key.ends_with("format") && !(value.is_string() && value.AsString() == "int"));
  }

  // A part that says a width.
  void ReadSection(const std::string& section, const Value& map) {
    const OptionSchema& schema = section == "activations" ? ActivationSchema()
                                 : section == "kv_cache"  ? KvCacheSchema()
                                                          : TableSchema();
    (section == "activations" ? has_activations_
     : section == "kv_cache"  ? has_kv_cache_
     : section == "head"      ? has_head_
                              : has_embeddings_) = true;
    bool has_bits = false;
    for (const auto& [key, value] : map.AsMap()) {
      if (schema.Find(key) == nullptr) {
        faults_.Add(value.key_mark(), "'" + key + "' is not an option of '" + section + "' of " + place_ + "." +
                                          DidYouMean(key, schema.names()) + " Options: " + JoinNames(schema.names()) +
                                          ".");
        continue;
      }
      has_bits |= IsWidth(key, value);
      Put(section + "." + key, value);
    }
    ForZip([&](const std::string& key, const Value& value) {
      has_bits |= key.starts_with(section + ".") && IsWidth(std::string_view(key).substr(section.size() + 1), value);
    });
    if (!has_bits) {
      faults_.Add(map.mark(),
                  "'" + section + "' of " + place_ + " says no width. Add " +
                      (section == "activations" ? "'bits', or a 'format' that has its own."
                       : section == "kv_cache"  ? "'key_bits', 'value_bits' or both, or a format that has its own."
                                                : "'bits'."));
    }
  }

  void ReadExperts(const Value& map) {
    has_experts_ = true;
    for (const auto& [key, value] : map.AsMap()) {
      if (ExpertSchema().Find(key) != nullptr) {
        Put("experts." + key, value);
        continue;
      }
      const std::vector<std::string> known = ExpertSchema().names();
      faults_.Add(value.key_mark(), "'" + key + "' is not an option of 'experts' of " + place_ + "." +
                                        DidYouMean(key, known) + " Options: " + JoinNames(known) + ".");
    }
  }

  // A list of transforms, or a list of such lists: an axis.
  void ReadTransforms(const Value& given) {
    if (!given.is_list()) {
      faults_.Add(given.mark(), "'transforms' of " + place_ + " is " + std::string(Article(given.type())) +
                                    ". It must be a list of transforms, or an axis: a list of such lists.");
      return;
    }
    const bool is_axis = !given.AsList().empty() && std::all_of(given.AsList().begin(), given.AsList().end(),
                                                                [](const Value& one) { return one.is_list(); });
    Value::List named;
    for (const Value& one : is_axis ? given.AsList() : Value::List{given}) {
      Value::List names;
      for (const Value& transform : one.AsList()) ReadTransform(transform, names);
      Value list(std::move(names));
      list.set_mark(one.mark());
      named.push_back(std::move(list));
    }
    Value names = is_axis ? Value(std::move(named)) : std::move(named.front());
    names.set_mark(given.mark());
    names.set_key_mark(given.key_mark().line, given.key_mark().column);
    Put("transforms", names);
    has_transforms_ = true;
  }

  void ReadTransform(const Value& given, Value::List& names) {
    const Value* name = given.is_map() ? given.Find("transform") : &given;
    if (name == nullptr || !name->is_string()) {
      faults_.Add(given.mark(), "an entry of 'transforms' of " + place_ + " is " + given.Text() +
                                    ". It must be a transform's name, or a map with the key 'transform'.");
      return;
    }
    const Component* component = nullptr;
    try {
      component = &host_.Find(ComponentKind::kTransform, name->AsString(), name->mark().Text());
    } catch (const Error& error) {
      faults_.AddError(error);
      return;
    }
    Value plain = component->info.name;
    plain.set_mark(name->mark());
    if (std::find(names.begin(), names.end(), plain) != names.end()) {
      faults_.Add(name->mark(), "the transform '" + component->info.name + "' is listed twice in " + place_ + ".");
      return;
    }
    names.push_back(plain);
    if (!Contains(transforms_, component->info.name)) transforms_.push_back(component->info.name);
    if (!given.is_map()) return;
    for (const auto& [key, value] : given.AsMap()) {
      if (key == "transform") continue;
      if (component->schema.Find(key) == nullptr) {
        faults_.Add(value.key_mark(), "'" + key + "' is not an option of transform '" + component->info.name + "'." +
                                          DidYouMean(key, component->schema.names()) + " Options: " +
                                          JoinNames(component->schema.names()) + ".");
        continue;
      }
      const std::string flat_name = component->info.name + "." + key;
      const Value* known = flat_.entry.Find(flat_name);
      // The same transform in several lists of an axis has one set of options.
      if (known == nullptr || !(*known == value)) Put(flat_name, value);
    }
  }

  // Of a grid whose blocks have one size, group_size has that as its default.
  void GiveBlockSizes() {
    const OptionField* size = quantizer_.Find("group_size");
    if (size == nullptr || !size->default_value.is_int() || !size->default_by.empty()) return;
    std::vector<std::pair<std::string, Value>> defaults;
    for (const std::string& name : grids_) {
      const OptionSchema& schema = host_.Find(ComponentKind::kGrid, name).schema;
      if (std::any_of(schema.fields().begin(), schema.fields().end(), [](const auto& one) { return one.required; })) {
        continue;
      }
      const auto grid = host_.MakeGrid(name, schema.Resolve(Value(Value::Map{}), name));
      int64_t block = size->default_value.AsInt();
      if (grid->ExplainGroupSize(block).empty()) continue;
      for (block = 1; block <= kLargestBlock && !grid->ExplainGroupSize(block).empty();) block *= 2;
      if (block <= kLargestBlock) defaults.emplace_back(name, block);
    }
    if (defaults.empty()) return;
    OptionSchema schema;
    for (const OptionField& field : flat_.schema.fields()) {
      OptionField& added = AddField(schema, field, field.name);
      if (field.name == size->name) added.DefaultBy("grid", defaults);
    }
    flat_.schema = std::move(schema);
  }

  void AddSchemas() {
    GiveBlockSizes();
    OptionSchema& schema = flat_.schema;
    if (has_grid_ && schema.Find("grid") == nullptr) {
      schema.Choice("grid", host_.Names(ComponentKind::kGrid)).Optional().Doc("Points that the weights may take.");
    }
    for (const std::string& grid : grids_) AddFields(schema, host_.Find(ComponentKind::kGrid, grid).schema, grid + ".");
    if (has_transforms_) {
      OptionField name;
      name.type = OptionType::kString;
      schema.List("transforms", name).Default(Value::List{}).Doc("Changes of the unquantized model, in their order.");
    }
    for (const std::string& transform : transforms_) {
      AddFields(schema, host_.Find(ComponentKind::kTransform, transform).schema, transform + ".");
    }
    if (has_sequential_) {
      schema.Choice("sequential", {"stage", "block", "none"})
          .Default("stage")
          .Doc("Which layers before a layer are quantized when its inputs are observed: stage: those of its block too; "
               "block: those of earlier blocks; none: none.");
    }
    if (has_overrides_) {
      OptionField rule;
      rule.type = OptionType::kGroup;
      rule.children = RuleSchema(quantizer_).fields();
      schema.List("overrides", rule).Default(Value::List{}).Doc(
          "Options of layers whose names fit a pattern; the first that fits counts.");
    }
    if (has_activations_) AddFields(schema, ActivationSchema(), "activations.");
    if (has_experts_) AddFields(schema, ExpertSchema(), "experts.");
    if (has_kv_cache_) AddFields(schema, KvCacheSchema(), "kv_cache.");
    if (has_embeddings_) AddFields(schema, TableSchema(), "embeddings.");
    if (has_head_) AddFields(schema, TableSchema(), "head.");
  }

  // Options of the integers mean nothing where every cell has another grid.
  void RefuseReplacedOptions() {
    if (grids_.empty() || has_own_grid_ || !IsOwn(kOwnGrid)) return;
    for (const OptionField& field : host_.Find(ComponentKind::kGrid, kOwnGrid).schema.fields()) {
      const Value* given = flat_.entry.Find(field.name);
      if (given == nullptr) continue;
      faults_.Add(given->key_mark(), "'" + field.name + "' is an option of grid '" + std::string(kOwnGrid) + "', and " +
                                         place_ + " has another: " + JoinNames(grids_) + ". Leave it out" +
                                         (host_.Find(ComponentKind::kGrid, grids_.front()).schema.Find(field.name)
                                              ? ", or write it under 'weights'."
                                              : "."));
    }
  }

  const Value& entry_;
  const std::string place_;
  const OptionSchema& quantizer_;
  const PluginHost& host_;
  Faults& faults_;
  FlatEntry flat_;
  std::vector<std::string> grids_, transforms_;  // Those whose options are in the schema.
  bool has_grid_ = false, has_own_grid_ = false, has_transforms_ = false, has_activations_ = false,
       has_kv_cache_ = false, has_overrides_ = false, has_sequential_ = false, has_experts_ = false,
       has_embeddings_ = false, has_head_ = false;
};

// The options "prefix.x" of a resolved map as a map of x.
Value SectionOf(const Value& options, const std::string& prefix) {
  Value section(Value::Map{});
  for (const auto& [name, value] : options.AsMap()) {
    if (!name.starts_with(prefix + ".")) continue;
    Value plain = value;
    plain.set_mark({});
    section.Set(name.substr(prefix.size() + 1), std::move(plain));
  }
  return section;
}

Value ComponentValue(const PluginHost& host, ComponentKind kind, const std::string& name, const Value& options) {
  return Value::Map{{"name", name},
                    {"options", SectionOf(options, name)},
                    {"version", host.Find(kind, name).plugin_version}};
}

void Hide(Value& shown, const std::string& prefix) {
  std::erase_if(shown.AsMap(), [&](const auto& entry) { return entry.first.starts_with(prefix + "."); });
}

// Leaves those options of a part shown that count.
void ShowWhatCounts(const std::string& prefix, const Value& part, Value& shown) {
  std::erase_if(shown.AsMap(), [&](const auto& entry) {
    return entry.first.starts_with(prefix) &&
           (part.is_null() || part.Find(entry.first.substr(prefix.size())) == nullptr);
  });
}

void SplitKvCache(const Value& options, Value& recipe, Value& shown) {
  if (options.Find("kv_cache.symmetric") == nullptr) return;
  Value kv_cache = KvCacheOf(SectionOf(options, "kv_cache"));
  ShowWhatCounts("kv_cache.", kv_cache, shown);
  if (kv_cache.is_null()) return;
  for (const std::string bits : {"key_bits", "value_bits"}) {
    if (const Value* own = kv_cache.Find(bits)) shown.Set("kv_cache." + bits, *own);
  }
  recipe.Set("kv_cache", std::move(kv_cache));
}

void SplitActivations(const Value& options, Value& recipe, Value& shown) {
  if (options.Find("activations.bits") == nullptr) return;
  Value activations = ActivationsOf(SectionOf(options, "activations"));
  ShowWhatCounts("activations.", activations, shown);
  if (activations.is_null()) return;
  shown.Set("activations.bits", *activations.Find("bits"));
  recipe.Set("activations", std::move(activations));
}

// Resolved where the entry was read.
Options OptionsOf(const Value& component) { return Options(*component.Find("options")); }

}  // namespace

FlatEntry FlattenEntry(const Value& entry, const std::string& place, const OptionSchema& quantizer,
                       const PluginHost& host, Faults& faults) {
  return Flattener(entry, place, quantizer, host, faults).Flatten();
}

SplitOptions Split(const Options& options, const OptionSchema& quantizer, const PluginHost& host) {
  const size_t own = quantizer.fields().size();
  if (options.map().AsMap().size() == own) return {options, Value(), options.map()};
  SplitOptions split;
  split.shown = options.map();
  Value::Map mine(options.map().AsMap().begin(), options.map().AsMap().begin() + static_cast<int64_t>(own));
  Value recipe(Value::Map{});

  SplitActivations(options.map(), recipe, split.shown);
  const Value* grid = quantizer.Find("grid") == nullptr ? options.map().Find("grid") : nullptr;
  const bool has_other_grid =
      grid != nullptr && grid->is_string() &&
      (grid->AsString() != kOwnGrid || options.map().Find(std::string(kOwnGrid) + ".bits") != nullptr);
  for (const std::string& name : host.Names(ComponentKind::kGrid)) {
    if (!has_other_grid || grid->AsString() != name) Hide(split.shown, name);
  }
  if (has_other_grid) {
    recipe.Set("grid", ComponentValue(host, ComponentKind::kGrid, grid->AsString(), options.map()));
    if (Contains(host.Names(ComponentKind::kGrid), kOwnGrid)) {
      for (const OptionField& field : host.Find(ComponentKind::kGrid, kOwnGrid).schema.fields()) {
        for (auto& [name, value] : mine) {
          if (name == field.name) value = quantizer.Find(name)->default_value;
        }
        std::erase_if(split.shown.AsMap(), [&](const auto& entry) { return entry.first == field.name; });
      }
    }
  }
  SplitKvCache(options.map(), recipe, split.shown);
  Value::List transforms;
  std::vector<std::string> listed;
  if (const Value* names = options.map().Find("transforms"); names != nullptr && names->is_list()) {
    std::string text;
    for (const Value& name : names->AsList()) {
      transforms.push_back(ComponentValue(host, ComponentKind::kTransform, name.AsString(), options.map()));
      listed.push_back(name.AsString());
      text += (text.empty() ? "" : "+") + name.AsString();
    }
    split.shown.Set("transforms", text.empty() ? "none" : text);
  }
  for (const std::string& name : host.Names(ComponentKind::kTransform)) {
    if (!Contains(listed, name)) Hide(split.shown, name);
  }
  if (!transforms.empty()) recipe.Set("transforms", std::move(transforms));
  SplitOverrides(options.map(), recipe, split.shown);
  const Value* sequential = quantizer.Find("sequential") == nullptr ? options.map().Find("sequential") : nullptr;
  if (sequential != nullptr && sequential->AsString() != "stage") recipe.Set("sequential", sequential->AsString());
  SplitExperts(options.map(), recipe, split.shown);
  SplitTables(options.map(), recipe, split.shown);
  if (!recipe.AsMap().empty()) split.recipe = std::move(recipe);
  split.quantizer = Options(Value(std::move(mine)));
  return split;
}

bool MadeRecipe::needs_calibration() const {
  return calibrates_inputs || calibrates_cache || (quantizer != nullptr && quantizer->needs().any()) ||
         std::any_of(
             rules.begin(), rules.end(),
             [](const LayerRule& rule) { return rule.quantizer != nullptr && rule.quantizer->needs().any(); }) ||
         std::any_of(transforms.begin(), transforms.end(),
                     [](const auto& transform) { return transform->needs().any(); });
}

MadeRecipe MakeRecipe(const PluginHost& host, const std::string& quantizer, const Options& options,
                      const Value& recipe) {
  MadeRecipe made;
  if (quantizer != kKeepWeights) made.quantizer = host.MakeQuantizer(quantizer, options);
  if (recipe.is_null()) return made;
  MakeRules(host, quantizer, options, recipe, made);
  CheckTables(recipe, quantizer == kKeepWeights);
  if (const Value* activations = recipe.Find("activations")) {
    CheckActivations(*activations);
    made.calibrates_inputs = CalibratesInputs(*activations);
  }
  if (const Value* kv_cache = recipe.Find("kv_cache")) {
    CheckKvCache(*kv_cache);
    made.calibrates_cache = CalibratesKvCache(*kv_cache);
  }
  if (const Value* grid = recipe.Find("grid")) {
    const std::string& name = grid->Find("name")->AsString();
    try {
      if (made.quantizer == nullptr) throw Error(ErrorKind::kUnsupported, "the weights stay as they are.");
      made.quantizer->TakeGrid(host.MakeGrid(name, OptionsOf(*grid)));
      for (LayerRule& rule : made.rules) {
        if (rule.quantizer != nullptr) rule.quantizer->TakeGrid(host.MakeGrid(name, OptionsOf(*grid)));
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUnsupported) throw;
      throw Error(ErrorKind::kUnsupported, "quantizer '" + quantizer + "', grid '" + name + "': " + error.what());
    }
  }
  if (const Value* transforms = recipe.Find("transforms")) {
    for (const Value& transform : transforms->AsList()) {
      made.transforms.push_back(host.MakeTransform(transform.Find("name")->AsString(),
                                                   OptionsOf(transform)));
      made.transforms.back()->TakeQuantizer(made.quantizer.get());
    }
  }
  return made;
}

std::string SequentialOf(const Value& recipe) {
  const Value* sequential = recipe.is_null() ? nullptr : recipe.Find("sequential");
  return sequential == nullptr ? "stage" : sequential->AsString();
}

std::vector<Factor> FactorsOf(const MadeRecipe& made, const Value& recipe, const ModelSummary& summary) {
  const auto bits = [&](const char* column, const char* section, const char* name) {
    const Value* part = recipe.is_null() ? nullptr : recipe.Find(section);
    const Value* given = part == nullptr ? nullptr : part->Find(name);
    const bool is_rounded = given != nullptr && !given->is_null();
    return StandardFactor(column, is_rounded ? Value(given->AsInt()) : FindStandardFactor(column)->anchor);
  };
  std::vector<Factor> factors = {bits("B_a", "activations", "bits"), bits("B_k", "kv_cache", "key_bits"),
                                 bits("B_v", "kv_cache", "value_bits")};
  for (Factor& factor : TableFactors(recipe, summary)) factors.push_back(std::move(factor));
  for (const auto& transform : made.transforms) {
    for (Factor& factor : transform->factors(summary)) factors.push_back(std::move(factor));
  }
  return factors;
}

std::string ExplainNoCrossMoment(const ModelSummary& summary, bool is_unsequential) {
  if (is_unsequential) {
    return "the quantizer compares each layer's inputs with those of the unquantized model, and with sequential: none "
           "they "
           "are the same. Set sequential: stage or block, or leave the comparison out (gptaq_alpha: 0)";
  }
  if (std::any_of(summary.linears.begin(), summary.linears.end(),
                  [](const LinearShape& layer) { return layer.is_expert; })) {
    return "the quantizer compares each layer's inputs with those of the unquantized model, and there other tokens are "
           "routed to an expert. Leave the comparison out (gptaq_alpha: 0)";
  }
  return "";
}

std::string ExplainUnsupportedParts(const MadeRecipe& made, const Value& recipe, const ModelSummary& summary) {
  const bool compares =
      made.quantizer != nullptr && (made.quantizer->needs().cross_moment ||
                                    std::any_of(made.rules.begin(), made.rules.end(), [](const LayerRule& rule) {
                                      return rule.quantizer != nullptr && rule.quantizer->needs().cross_moment;
                                    }));
  if (compares) {
    const Value* sequential = recipe.is_null() ? nullptr : recipe.Find("sequential");
    const bool is_unsequential = sequential != nullptr && sequential->AsString() == "none";
    if (std::string reason = ExplainNoCrossMoment(summary, is_unsequential); !reason.empty()) return reason;
  }
  if (recipe.is_null()) return "";
  if (std::string reason = ExplainUnsupportedRules(made, summary); !reason.empty()) return reason;
  if (std::string reason = ExplainUnsupportedTables(recipe, summary); !reason.empty()) return reason;
  if (recipe.Find("embeddings") != nullptr && summary.tables.size() == 1 &&
      std::any_of(made.transforms.begin(), made.transforms.end(),
                  [](const auto& transform) { return transform->is_of_whole_model(); })) {
    return "its output head is its input embedding, one matrix, of which a transform of the recipe may make two, and "
           "the recipe has 'embeddings'. Leave one of them out";
  }
  if (std::string reason = ExplainUnsupportedExperts(made, recipe, summary); !reason.empty()) return reason;
  for (size_t i = 0; i < made.transforms.size(); ++i) {
    const std::string reason = made.transforms[i]->ExplainUnsupportedModel(summary);
    if (reason.empty()) continue;
    const Value& transform = recipe.Find("transforms")->AsList()[i];
    return "transform '" + transform.Find("name")->AsString() +
           (made.transforms[i]->is_of_whole_model() ? "' cannot change this model: "
                                                    : "' can change nothing in this model: ") +
           reason;
  }
  if (const Value* activations = recipe.Find("activations")) {
    ModelSummary rounded = summary;
    std::erase_if(rounded.linears, [&](const LinearShape& layer) { return made.Skips(layer.name); });
    const std::string reason = ExplainUnsupportedInputs(*activations, rounded);
    if (!reason.empty()) return reason;
  }
  if (const Value* kv_cache = recipe.Find("kv_cache")) return ExplainUnsupportedKvCache(*kv_cache, summary);
  return "";
}

}  // namespace bitlaw
