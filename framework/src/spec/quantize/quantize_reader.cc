#include <algorithm>

#include "spec/quantize/cell_filter.h"
#include "spec/quantize/recipe.h"
#include "spec/study_reader.h"

namespace bitlaw {

const OptionSchema& CalibrationSchema() {
  static const OptionSchema kSchema = [] {
    OptionSchema schema;
    schema.String("corpus").Doc("Name under 'corpora'; may be left out if there is only one.");
    schema.Int("sequences").Min(1).Default(128).Unit("sequences").Doc("Cb: calibration sequences.");
    schema.Int("tokens").Min(2).Default(512).Unit("tokens").Doc("T: length of a sequence.");
    schema.Int("seed").Min(0).Default(0).Doc("Which sequences are drawn.");
    return schema;
  }();
  return kSchema;
}

namespace {

/// Decodes one entry of `quantize:` whose component is known.
class EntryReader {
 public:
  EntryReader(const FlatEntry& flat, std::string place, const std::vector<CorpusSpec>& corpora,
              const std::string& component, Faults& faults)
      : entry_(flat.entry), place_(std::move(place)), corpora_(corpora), schema_(flat.schema),
        owner_("quantizer '" + component + "'"), faults_(faults) {
    spec_.component = component;
    spec_.schema = flat.schema;
    spec_.mark = entry_.mark();
    spec_.fixed = Value::Map{};
    spec_.fixed.set_mark(entry_.mark());
  }

  QuantizeSpec Read() {
    const std::vector<std::string>& own = SpecKeysOf("quantize");
    for (const auto& [key, value] : entry_.AsMap()) {
      if (key == "calibration") {
        ReadCalibration(value);
      } else if (key == "zip") {
        ReadZip(value);
      } else if (schema_.Find(key) != nullptr || std::find(own.begin(), own.end(), key) == own.end()) {
        ReadOption(key, value);
      }
    }
    ResolveOptions();
    ResolveCalibration();
    ReadFilters();
    return std::move(spec_);
  }

 private:
  void ReadOption(const std::string& key, const Value& value) {
    const OptionField* field = schema_.Find(key);
    if (field != nullptr && OptionSchema::IsAxis(*field, value)) {
      AddAxes({MakeAxis(key, value)});
    } else {
      spec_.fixed.Set(key, value);
    }
  }

  void ReadCalibration(const Value& value) {
    if (!value.is_map()) {
      faults_.Add(value.mark(), "'calibration' of " + place_ + " is " + std::string(Article(value.type())) +
                                    ". It must be a map with the keys corpus, sequences, tokens, seed.");
      return;
    }
    MapReader(value, "calibration", "'calibration'", faults_);
    spec_.calibration_fixed = Value::Map{};
    spec_.calibration_fixed.set_mark(value.mark());
    for (const auto& [key, one] : value.AsMap()) {
      if (one.is_list()) {
        AddAxes({MakeAxis(std::string(kCalibrationPrefix) + key, one)});
      } else {
        spec_.calibration_fixed.Set(key, one);
      }
    }
  }

  // `zip: {bits: [2, 3], group_size: [32, 64]}`, or a list of such maps.
  void ReadZip(const Value& value) {
    for (const Value& map : value.is_list() ? value.AsList() : Value::List{value}) {
      if (!map.is_map() || map.AsMap().empty()) {
        faults_.Add(map.mark(),
                    "'zip' of " + place_ + " is " + Value(map).Text() +
                        ". It must be a map from options to lists of equal length, or a list of such maps.");
        continue;
      }
      std::vector<GridAxis> group;
      for (const auto& [key, list] : map.AsMap()) {
        if (!list.is_list()) {
          faults_.Add(list.mark(), "'" + key + "' under 'zip' is " + std::string(Article(list.type())) +
                                       ". Paired axes are lists of equal length.");
          continue;
        }
        const OptionField* field = FieldOf(key);
        if (field == nullptr) {
          std::vector<std::string> known = schema_.names();
          for (const std::string& name : CalibrationSchema().names()) {
            known.push_back(std::string(kCalibrationPrefix) + name);
          }
          faults_.Add(list.key_mark(), "'" + key + "' under 'zip' is not an option of " + owner_ + "." +
                                           DidYouMean(key, known) + " Options: " + JoinNames(known) + ".");
          continue;
        }
        group.push_back(MakeAxis(key, list));
        if (group.back().values.size() != group.front().values.size()) {
          faults_.Add(list.mark(), "'" + key + "' under 'zip' has " + std::to_string(group.back().values.size()) +
                                       " values and '" + group.front().name + "' has " +
                                       std::to_string(group.front().values.size()) +
                                       ". Paired axes have equal length.");
          group.pop_back();
        }
      }
      AddAxes(std::move(group));
    }
  }

  GridAxis MakeAxis(const std::string& name, const Value& list) {
    if (list.AsList().empty())
      faults_.Add(list.mark(), "the axis '" + name + "' is an empty list. Give it one value or more.");
    return {name, list.AsList(), list.mark()};
  }

  void AddAxes(std::vector<GridAxis> group) {
    std::erase_if(group, [](const GridAxis& axis) { return axis.values.empty(); });
    for (const GridAxis& axis : group) {
      const bool taken = std::any_of(spec_.axes.begin(), spec_.axes.end(), [&](const auto& other) {
        return std::any_of(other.begin(), other.end(), [&](const GridAxis& one) { return one.name == axis.name; });
      });
      if (taken)
        faults_.Add(axis.mark, "the option '" + axis.name + "' is given twice in " + place_ + ", once under 'zip'.");
    }
    if (!group.empty()) spec_.axes.push_back(std::move(group));
  }

  // The field of an axis: an option, or "calibration.<name>". Null if there is none.
  const OptionField* FieldOf(std::string_view axis) const {
    if (!axis.starts_with(kCalibrationPrefix)) return schema_.Find(axis);
    return CalibrationSchema().Find(axis.substr(kCalibrationPrefix.size()));
  }

  // Resolves one whole cell, which finds unknown and missing options; then every other value of every axis.
  void ResolveOptions() {
    Value first = spec_.fixed;
    for (const auto& group : spec_.axes) {
      for (const GridAxis& axis : group) {
        if (spec_.fixed.Find(axis.name) != nullptr) {
          faults_.Add(axis.mark, "the option '" + axis.name + "' is given twice in " + place_ + ", once under 'zip'.");
        }
        const bool is_given = !axis.values.front().is_null();  // Null on an axis is the option that is not given.
        if (is_given && !axis.name.starts_with(kCalibrationPrefix)) first.Set(axis.name, axis.values.front());
      }
    }
    try {
      spec_.first = schema_.Resolve(first, owner_);
    } catch (const Error& error) {
      faults_.AddError(error);
    }
    std::vector<std::string> lines, of_first_cell;  // What the first cell lacks was said above.
    for (auto& group : spec_.axes) {
      for (GridAxis& axis : group) {
        const bool is_calibration = axis.name.starts_with(kCalibrationPrefix);
        const OptionField* field = FieldOf(axis.name);
        if (field == nullptr) continue;
        for (size_t i = 0; i < axis.values.size(); ++i) {
          const bool is_in_first = i == 0 && !is_calibration && !axis.values[i].is_null();
          const Value* of_first = is_in_first ? spec_.first.map().Find(axis.name) : nullptr;
          axis.resolved.push_back(of_first != nullptr ? *of_first
                                                      : OptionSchema::ResolveOne(
                                                            *field, axis.values[i],
                                                            is_calibration ? "calibration" : owner_,
                                                            is_in_first ? &of_first_cell : &lines));
        }
      }
    }
    faults_.AddLines(lines);
  }

  void ResolveCalibration() {
    std::vector<std::string> known;
    for (const CorpusSpec& corpus : corpora_) known.push_back(corpus.name);
    auto check_corpus = [&](const Value& name) {
      if (!name.is_string() || std::find(known.begin(), known.end(), name.AsString()) != known.end()) return;
      faults_.Add(name.mark(), "there is no corpus '" + name.AsString() + "'." + DidYouMean(name.AsString(), known) +
                                   " Corpora of the study: " + JoinNames(known) +
                                   (known.empty() ? ". Describe it under 'corpora'." : "."));
    };
    bool has_corpus = false, has_axis = false;
    for (const auto& group : spec_.axes) {
      for (const GridAxis& axis : group) {
        has_axis |= axis.name.starts_with(kCalibrationPrefix);
        if (axis.name != "calibration.corpus") continue;
        has_corpus = true;
        for (const Value& value : axis.values) check_corpus(value);
      }
    }
    if (has_axis && spec_.calibration_fixed.is_null()) {
      spec_.calibration_fixed = Value::Map{};
      spec_.calibration_fixed.set_mark(entry_.mark());
    }
    if (spec_.calibration_fixed.is_null()) return;
    const Value* given = spec_.calibration_fixed.Find("corpus");
    if (given != nullptr) check_corpus(*given);
    if (given == nullptr && !has_corpus) {
      if (known.size() == 1) {
        spec_.calibration_fixed.Set("corpus", known.front());
      } else {
        faults_.Add(spec_.calibration_fixed.mark(),
                    "'calibration' of " + place_ + " names no corpus. Corpora of the study: " + JoinNames(known) + ".");
        return;
      }
    }
    // Axis values were resolved one by one; what is left are the single values and the defaults.
    std::vector<std::string> lines;
    for (const OptionField& field : CalibrationSchema().fields()) {
      const Value* value = spec_.calibration_fixed.Find(field.name);
      if (value != nullptr) OptionSchema::ResolveOne(field, *value, "calibration", &lines);
    }
    faults_.AddLines(lines);
    if (!lines.empty()) return;
    Value first = spec_.calibration_fixed;
    for (const auto& group : spec_.axes) {
      for (const GridAxis& axis : group) {
        if (!axis.name.starts_with(kCalibrationPrefix) || axis.values.front().is_null()) continue;
        first.Set(axis.name.substr(kCalibrationPrefix.size()), axis.values.front());
      }
    }
    try {
      spec_.first_calibration = CalibrationSchema().Resolve(first, "calibration");
    } catch (const Error&) {
      // Which value of an axis is at fault was said where the axis was resolved.
    }
  }

  void ReadFilters() {
    MapReader reader(entry_, "quantize", place_, faults_, true);
    if (const auto where = reader.String("where")) {
      spec_.where = *where;
      spec_.where_mark = reader.Find("where")->mark();
    }
    if (const Value* skip = reader.List("skip")) {
      for (const Value& map : skip->AsList()) {
        if (!map.is_map() || map.AsMap().empty()) {
          faults_.Add(map.mark(), "an entry of 'skip' is " + map.Text() + ". It must be a map from options to values.");
        } else {
          spec_.skip.push_back(map);
        }
      }
    }
    try {
      CellFilter(spec_, schema_);
    } catch (const Error& error) {
      faults_.AddError(error);
    }
  }

  const Value& entry_;
  std::string place_;
  const std::vector<CorpusSpec>& corpora_;
  const OptionSchema& schema_;
  std::string owner_;
  Faults& faults_;
  QuantizeSpec spec_;
};

}  // namespace

QuantizeSpec ReadQuantizeSpec(const Value& entry, const std::string& place, const std::vector<CorpusSpec>& corpora,
                              const PluginHost& host, Faults& faults) {
  QuantizeSpec spec;
  spec.mark = entry.mark();
  Value as_map = entry;
  if (entry.is_string()) {
    as_map = Value();
    as_map.Set("quantizer", entry);
    as_map.set_mark(entry.mark());
  } else if (!entry.is_map()) {
    faults.Add(entry.mark(), place + " is " + std::string(Article(entry.type())) +
                                 ". It must be a quantizer's name, 'none', or a map with the key 'quantizer'.");
    return spec;
  }
  MapReader reader(as_map, "quantize", place, faults, true);
  const Value* given = reader.Require("quantizer", "Name one, or 'none' for the unquantized model.");
  const auto name = reader.String("quantizer");
  if (!name) return spec;
  spec.component = *name;
  if (*name == "none") {
    for (const auto& [key, value] : as_map.AsMap()) {
      if (key != "quantizer")
        faults.Add(value.key_mark(), "'" + key + "' is given to 'none', the unquantized model, which has no options.");
    }
    return spec;
  }
  try {
    static const OptionSchema kNoOptions;
    const bool keeps = *name == kKeepWeights;
    const Component* component =
        keeps ? nullptr : &host.Find(ComponentKind::kQuantizer, *name, given->mark().Text());
    const FlatEntry flat = FlattenEntry(as_map, place, keeps ? kNoOptions : component->schema, host, faults);
    if (keeps && flat.schema.Find("activations.bits") == nullptr && flat.schema.Find("kv_cache.key_bits") == nullptr) {
      faults.Add(entry.mark(), place +
                                   " keeps the weights and rounds nothing else. Add 'activations' or 'kv_cache', or "
                                   "write 'none' for the unquantized model.");
    }
    return EntryReader(flat, place, corpora, keeps ? *name : component->info.name, faults).Read();
  } catch (const Error& error) {
    faults.AddError(error);
    return spec;
  }
}

SingleRecipe ReadRecipe(const Value& entry, const std::string& place, const PluginHost& host) {
  Faults faults;
  for (const char* key : {"calibration", "zip", "where", "skip"}) {
    const Value* value = entry.is_map() ? entry.Find(key) : nullptr;
    if (value == nullptr) continue;
    faults.Add(value->key_mark(), "'" + std::string(key) + "' of " + place + " is of a study. Leave it out.");
  }
  faults.ThrowIfAny();
  const QuantizeSpec spec = ReadQuantizeSpec(entry, place, {}, host, faults);
  for (const auto& group : spec.axes) {
    for (const GridAxis& axis : group) {
      faults.Add(axis.mark, "'" + axis.name + "' of " + place + " is a list of values, of which a study makes trials. "
                            "Give one value.");
    }
  }
  faults.ThrowIfAny();
  if (spec.component == "none") {
    throw Error(ErrorKind::kSpec,
                place + " is 'none', the unquantized model: nothing would be done. Name a quantizer.");
  }
  static const OptionSchema kNoOptions;
  if (spec.component == kKeepWeights) return {spec.component, "", Split(spec.first, kNoOptions, host)};
  const Component& component = host.Find(ComponentKind::kQuantizer, spec.component);
  return {spec.component, component.plugin_version, Split(spec.first, component.schema, host)};
}

}  // namespace bitlaw
