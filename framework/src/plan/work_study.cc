#include "plan/work_study.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <set>
#include <utility>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFormat = 1;
constexpr const char* kBytes = "$bytes";
constexpr const char* kReal = "$real";
constexpr const char* kMap = "$map";
constexpr const char* kAt =
    "$at";  // Where a value stands in its file: plugins name the place, and look for data beside it.
constexpr const char* kValue = "$value";

std::string HexOf(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const unsigned char c : bytes) {
    hex += kDigits[c >> 4];
    hex += kDigits[c & 15];
  }
  return hex;
}

std::string BytesOf(const std::string& hex) {
  const auto digit = [&](size_t i) {
    const char c = i < hex.size() ? hex[i] : '?';
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    throw InternalError("'" + hex + "' are no bytes in hexadecimal digits");
  };
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(16 * digit(i) + digit(i + 1));
  return bytes;
}

double RealOf(const std::string& name) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (name == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (name == "inf" || name == "-inf") return name == "inf" ? kInfinity : -kInfinity;
  throw InternalError("'" + name + "' is not nan, inf or -inf");
}

int64_t IntWithin(const Value& value, int64_t least, int64_t most) {
  const int64_t number = value.AsInt();
  if (number >= least && number <= most) return number;
  throw InternalError("the number " + std::to_string(number) + " is not within " + std::to_string(least) + " and " +
                      std::to_string(most));
}

// Whether JSON gives a text back: one of UTF-8.
bool IsCarried(const std::string& text) { return ParseJson(Value(text).CanonicalJson(), "") == Value(text); }

enum class Marks { kKept, kDropped };

Value Packed(const Value& value, Marks marks);

Value PackedMap(const Value::Map& map, Marks marks) {
  const bool is_plain = std::all_of(map.begin(), map.end(), [](const auto& entry) {
    return !entry.first.starts_with('$') && IsCarried(entry.first);
  });
  if (is_plain) {
    Value::Map packed;
    for (const auto& [key, entry] : map) packed.emplace_back(key, Packed(entry, marks));
    return packed;
  }
  Value::List pairs;
  for (const auto& [key, entry] : map) pairs.push_back(Value::List{Packed(Value(key), marks), Packed(entry, marks)});
  return Value::Map{{kMap, std::move(pairs)}};
}

// Without its own mark.
Value PackedContent(const Value& value, Marks marks) {
  if (value.is_list()) {
    Value::List list;
    for (const Value& item : value.AsList()) list.push_back(Packed(item, marks));
    return list;
  }
  if (value.is_map()) return PackedMap(value.AsMap(), marks);
  if (value.is_string() && !IsCarried(value.AsString())) return Value::Map{{kBytes, HexOf(value.AsString())}};
  if (value.type() == Value::Type::kReal && !std::isfinite(value.AsReal())) {
    const double real = value.AsReal();
    return Value::Map{{kReal, std::isnan(real) ? "nan" : real > 0 ? "inf" : "-inf"}};
  }
  return value;
}

// The value as JSON can carry it without loss.
Value Packed(const Value& value, Marks marks) {
  const SourceMark& mark = value.mark();
  if (marks == Marks::kDropped || mark.line == 0) return PackedContent(value, marks);
  return Value::Map{{kAt, Value::List{Packed(Value(mark.file), Marks::kDropped), mark.line, mark.column}},
                    {kValue, PackedContent(value, marks)}};
}

Value Unpacked(const Value& value) {
  if (value.is_list()) {
    Value::List list;
    for (const Value& item : value.AsList()) list.push_back(Unpacked(item));
    return list;
  }
  if (!value.is_map()) return value;
  if (const Value* at = value.Find(kAt)) {
    const Value::List& mark = at->AsList();
    const Value* content = value.Find(kValue);
    Value marked = Unpacked(content == nullptr ? Value() : *content);
    constexpr int kMost = std::numeric_limits<int>::max();
    marked.set_mark({Unpacked(mark.at(0)).AsString(), static_cast<int>(IntWithin(mark.at(1), 1, kMost)),
                     static_cast<int>(IntWithin(mark.at(2), 0, kMost))});
    return marked;
  }
  if (const Value* hex = value.Find(kBytes)) return BytesOf(hex->AsString());
  if (const Value* real = value.Find(kReal)) return RealOf(real->AsString());
  Value::Map map;
  if (const Value* pairs = value.Find(kMap)) {
    std::set<std::string> keys;
    for (const Value& pair : pairs->AsList()) {
      map.emplace_back(Unpacked(pair.AsList().at(0)).AsString(), Unpacked(pair.AsList().at(1)));
      if (!keys.insert(map.back().first).second) throw InternalError("'" + map.back().first + "' stands twice");
    }
  } else {
    for (const auto& [key, entry] : value.AsMap()) map.emplace_back(key, Unpacked(entry));
  }
  return map;
}

// The value with the name of a file that is looked for beside its own one, and is there, as that of the file that it is: the
// same text elsewhere may name another one. Of a pattern it is the folder.
Value WithFilesNamed(const Value& value) {
  if (value.is_list()) {
    Value::List list;
    for (const Value& item : value.AsList()) list.push_back(WithFilesNamed(item));
    return list;
  }
  if (value.is_map()) {
    Value::Map map;
    for (const auto& [key, entry] : value.AsMap()) map.emplace_back(key, WithFilesNamed(entry));
    return map;
  }
  if (!value.is_string() || value.AsString().empty() || value.mark().file.empty()) return value;
  const fs::path named = fs::path(value.mark().file).parent_path() / value.AsString();
  std::error_code error;
  const fs::path there = fs::canonical(value.AsString().find('*') == std::string::npos ? named : named.parent_path(), error);
  return error ? value : Value(Value::List{value, there.string()});
}

const Value& Entry(const Value& map, const char* key) {
  const Value* value = map.Find(key);
  if (value == nullptr) throw InternalError(std::string("'") + key + "' is missing");
  return *value;
}

std::string Text(const Value& map, const char* key) { return Entry(map, key).AsString(); }

Options OptionsOf(const Value& map, const char* key) {
  const Value& options = Entry(map, key);
  options.AsMap();  // Or throws.
  return Options(options);
}

// What a trial's steps read of its recipe without looking whether it is there.
void CheckRecipe(const Value& recipe) {
  if (recipe.is_null()) return;
  recipe.AsMap();
  const auto check_rounding = [&](const char* section, std::initializer_list<const char*> names) {
    const Value* part = recipe.Find(section);
    if (part == nullptr) return;
    Entry(*part, "symmetric").AsBool();
    for (const char* name : names) {
      const Value* bits = part->Find(name);
      if (bits != nullptr && !bits->is_null()) IntWithin(*bits, 2, 16);
    }
  };
  check_rounding("activations", {"bits"});
  if (const Value* activations = recipe.Find("activations")) {
    Entry(*activations, "bits").AsInt(), Text(*activations, "per");
    if (activations->Find("format") != nullptr) InputFormatOf(Text(*activations, "format"));
    if (const Value* size = activations->Find("group_size")) IntWithin(*size, 2, int64_t{1} << 28);
    if (activations->Find("scale_rule") != nullptr) MxScaleOf(Text(*activations, "scale_rule"));
  }
  check_rounding("kv_cache", {"key_bits", "value_bits"});
  if (const Value* kv_cache = recipe.Find("kv_cache")) {
    for (const char* name : {"key_format", "value_format"}) {
      if (kv_cache->Find(name) != nullptr) InputFormatOf(Text(*kv_cache, name));
    }
    for (const char* name : {"key_per", "value_per"}) {
      if (kv_cache->Find(name) != nullptr) Text(*kv_cache, name);
    }
    if (kv_cache->Find("scale_rule") != nullptr) MxScaleOf(Text(*kv_cache, "scale_rule"));
  }
  const auto check_component = [](const Value& part) { Text(part, "name"), OptionsOf(part, "options"); };
  if (const Value* grid = recipe.Find("grid")) check_component(*grid);
  if (const Value* transforms = recipe.Find("transforms")) {
    for (const Value& transform : transforms->AsList()) check_component(transform);
  }
  for (const char* part : {"embeddings", "head"}) {
    const Value* rule = recipe.Find(part);
    if (rule == nullptr) continue;
    IntWithin(Entry(*rule, "bits"), 2, 8), Entry(*rule, "symmetric").AsBool();
    IntWithin(Entry(*rule, "group_size"), -1, int64_t{1} << 28);
  }
  if (recipe.Find("sequential") != nullptr) Text(recipe, "sequential");
  if (const Value* experts = recipe.Find("experts")) {
    Text(*experts, "policy");
    if (const Value* minimum = experts->Find("minimum_tokens")) minimum->AsInt();
  }
  if (const Value* overrides = recipe.Find("overrides")) {
    for (const Value& rule : overrides->AsList()) Text(rule, "match"), OptionsOf(rule, "options");
  }
}

// Calls `read`; whatever is missing or of another type is an Error(kIo).
template <class Read>
auto Reading(const std::string& origin, Read&& read) {
  try {
    return read();
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kIo, origin + ": it is not what this bitlaw writes for its workers: " + error.what() + ".");
  }
}

}  // namespace

fs::path WorkFile(const fs::path& output) { return output / "work.json"; }

std::string WriteWorkStudy(const Plan& plan, const EvaluateOptions& evaluate) {
  Value::List models, corpora, tasks, factors;
  for (const PlannedModel& model : plan.models) {
    models.push_back(Value::Map{{"name", model.spec.name},
                                {"path", model.spec.path.string()},
                                {"backend", model.spec.backend},
                                {"backend_options", model.spec.backend_options.map()}});
  }
  for (const CorpusSpec& corpus : plan.study.corpora) {
    corpora.push_back(
        Value::Map{{"name", corpus.name}, {"component", corpus.component}, {"options", corpus.options.map()}});
  }
  for (const TaskSpec& task : plan.study.tasks) {
    Value::List data_paths(task.context.data_paths.begin(), task.context.data_paths.end());
    tasks.push_back(Value::Map{{"name", task.name},
                               {"component", task.component},
                               {"options", task.options.map()},
                               {"data_paths", std::move(data_paths)}});
  }
  for (const FactorColumn& column : plan.factors) {
    factors.push_back(Value::Map{{"column", column.factor.column},
                                 {"unit", column.factor.unit},
                                 {"role", std::string(Name(column.factor.role))},
                                 {"source", static_cast<int64_t>(column.source)},
                                 {"origin", column.origin}});
  }
  const Value json = Value::Map{{"format", kFormat},
                                {"study", plan.study.name},
                                {"models", std::move(models)},
                                {"corpora", std::move(corpora)},
                                {"tasks", std::move(tasks)},
                                {"factors", std::move(factors)},
                                {"evaluate", evaluate.map()},
                                {"evaluate_given", plan.study.evaluate},
                                {"allow_fallback", plan.study.allow_fallback}};
  return PrettyJson(Packed(json, Marks::kKept));
}

std::string ContentDigest(const std::string& text, const std::string& origin) {
  return Reading(origin, [&] { return DigestOf(PrettyJson(Packed(WithFilesNamed(Unpacked(ParseJson(text, origin))), Marks::kDropped))); });
}

WorkStudy ReadWorkStudy(const std::string& text, const std::string& origin) {
  return Reading(origin, [&] {
    const Value json = Unpacked(ParseJson(text, origin));
    if (!(Entry(json, "format") == Value(kFormat))) throw InternalError("it has another format");
    WorkStudy work;
    work.digest = DigestOf(text);
    StudySpec& study = work.plan.study;
    study.name = Text(json, "study");
    study.evaluate = Entry(json, "evaluate_given");
    study.allow_fallback = Entry(json, "allow_fallback").AsBool();
    work.evaluate = EvaluateOptions::From(OptionsOf(json, "evaluate"));
    for (const char* budget : {"batch_tokens", "kv_budget_bytes", "logits_budget_bytes"}) {
      IntWithin(Entry(Entry(json, "evaluate"), budget), 0, std::numeric_limits<int64_t>::max());
    }
    for (const Value& entry : Entry(json, "models").AsList()) {
      PlannedModel model;
      model.spec.name = Text(entry, "name");
      model.spec.path = Text(entry, "path");
      model.spec.backend = Text(entry, "backend");
      model.spec.backend_options = OptionsOf(entry, "backend_options");
      work.plan.models.push_back(std::move(model));
    }
    for (const Value& entry : Entry(json, "corpora").AsList()) {
      CorpusSpec corpus;
      corpus.name = Text(entry, "name");
      corpus.component = Text(entry, "component");
      corpus.options = OptionsOf(entry, "options");
      study.corpora.push_back(std::move(corpus));
    }
    for (const Value& entry : Entry(json, "tasks").AsList()) {
      TaskSpec task;
      task.name = Text(entry, "name");
      task.component = Text(entry, "component");
      task.options = OptionsOf(entry, "options");
      task.context.name = task.name;
      for (const Value& path : Entry(entry, "data_paths").AsList()) task.context.data_paths.push_back(path.AsString());
      study.tasks.push_back(std::move(task));
    }
    for (const Value& entry : Entry(json, "factors").AsList()) {
      FactorColumn column;
      column.factor.column = Text(entry, "column");
      column.factor.unit = Text(entry, "unit");
      column.factor.role = ParseFactorRole(Text(entry, "role"));
      column.source = static_cast<FactorSource>(
          IntWithin(Entry(entry, "source"), 0, static_cast<int64_t>(FactorSource::kTask)));
      column.origin = Text(entry, "origin");
      work.plan.factors.push_back(std::move(column));
    }
    return work;
  });
}

Value TrialJson(const Trial& trial) {
  Value::List axes;
  for (const auto& [name, value] : trial.axes) axes.push_back(Value::List{name, value});
  Value calibration;
  if (trial.calibration) {
    calibration = Value::Map{{"corpus", trial.calibration->corpus},
                             {"sequences", trial.calibration->sequences},
                             {"tokens", trial.calibration->tokens},
                             {"seed", static_cast<int64_t>(trial.calibration->seed)}};
  }
  return Packed(Value::Map{{"id", trial.id},
                           {"label", trial.label},
                           {"model", static_cast<int64_t>(trial.model)},
                           {"quantizer", trial.quantizer},
                           {"quantizer_version", trial.quantizer_version},
                           {"options", trial.quantizer_options.map()},
                           {"recipe", trial.recipe},
                           {"calibration", std::move(calibration)},
                           {"dtype", std::string(Name(trial.compute.dtype))},
                           {"device", trial.compute.device},
                           {"axes", std::move(axes)},
                           {"factors", Value::List(trial.factors)}},
                Marks::kDropped);
}

Trial ReadTrialJson(const Value& packed, const std::string& origin) {
  return Reading(origin, [&] {
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    const Value json = Unpacked(packed);
    Trial trial;
    trial.id = Text(json, "id");
    trial.label = Text(json, "label");
    trial.model = static_cast<size_t>(IntWithin(Entry(json, "model"), 0, kMost));
    trial.quantizer = Text(json, "quantizer");
    trial.quantizer_version = Text(json, "quantizer_version");
    trial.quantizer_options = OptionsOf(json, "options");
    trial.recipe = Entry(json, "recipe");
    CheckRecipe(trial.recipe);
    const Value& calibration = Entry(json, "calibration");
    if (!calibration.is_null()) {
      trial.calibration = CalibrationSpec{
          Text(calibration, "corpus"), IntWithin(Entry(calibration, "sequences"), 1, kMost),
          IntWithin(Entry(calibration, "tokens"), 1, kMost), static_cast<uint64_t>(Entry(calibration, "seed").AsInt())};
    }
    trial.compute = {ParseDtype(Text(json, "dtype")), Text(json, "device")};
    for (const Value& pair : Entry(json, "axes").AsList()) {
      trial.axes.emplace_back(pair.AsList().at(0).AsString(), pair.AsList().at(1));
    }
    trial.factors = Entry(json, "factors").AsList();
    return trial;
  });
}

void CheckTrial(const Trial& trial, const Plan& plan) {
  std::string what;
  const auto is_there = [&](const CorpusSpec& corpus) { return corpus.name == trial.calibration->corpus; };
  if (trial.model >= plan.models.size()) {
    what = "its model is number " + std::to_string(trial.model) + " of " + std::to_string(plan.models.size());
  } else if (trial.factors.size() != plan.factors.size()) {
    what = "it has " + std::to_string(trial.factors.size()) + " factors, the study " +
           std::to_string(plan.factors.size());
  } else if (trial.calibration && std::none_of(plan.study.corpora.begin(), plan.study.corpora.end(), is_there)) {
    what = "the study has no corpus '" + trial.calibration->corpus + "'";
  }
  if (!what.empty()) {
    throw Error(ErrorKind::kIo, "trial '" + trial.id + "' is not of the study that the work file describes: " + what +
                                    ". Run again.");
  }
}

}  // namespace bitlaw
