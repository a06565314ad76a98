#include "records/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <type_traits>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// Each struct lists its fields once, in Fields(); the Writer and the Reader below walk the same list, so that what is
// written and what is read cannot drift apart.

template <class Archive>
void Fields(Archive& a, TrialHeader& x) {
  a("id", x.id);
  a("label", x.label);
  a("axes", x.axes);
}

template <class Archive>
void Fields(Archive& a, ModelHeader& x) {
  a("name", x.name);
  a("architecture", x.architecture);
  a("parameters_total", x.parameters_total);
  a("parameters_active", x.parameters_active);
  a("parameters_embedding", x.parameters_embedding);
  a("parameters_quantizable", x.parameters_quantizable);
  a("num_blocks", x.num_blocks);
  a("hidden_size", x.hidden_size);
  a("vocab_size", x.vocab_size);
  a("stored_dtype", x.stored_dtype);
  a("baseline_note", x.baseline_note);
}

template <class Archive>
void Fields(Archive& a, LayerFallback& x) {
  a("layer", x.layer);
  a("fallback", x.fallback);
}

template <class Archive>
void Fields(Archive& a, QuantizationHeader& x) {
  a("record", x.record);
  a("codes_digest", x.codes_digest);
  a("bits_requested", x.bits_requested);
  a("bits_effective", x.bits_effective);
  a("fallbacks", x.fallbacks);
}

template <class Archive>
void Fields(Archive& a, CalibrationHeader& x) {
  a("corpus", x.corpus);
  a("sequences", x.sequences);
  a("tokens", x.tokens);
  a("seed", x.seed);
  a("digest", x.digest);
}

template <class Archive>
void Fields(Archive& a, RecordedFactor& x) {
  a("column", x.column);
  a("unit", x.unit);
  a("role", x.role);
  a("value", x.value);
}

template <class Archive>
void Fields(Archive& a, Factor& x) {
  a("column", x.column);
  a("symbol", x.symbol);
  a("unit", x.unit);
  a("doc", x.doc);
  a("role", x.role);
  a("value", x.value);
  a("anchor", x.anchor);
}

template <class Archive>
void Fields(Archive& a, LayerRecord& x) {
  a("name", x.name);
  a("bits_per_weight", x.bits_per_weight);
  a("fallback", x.fallback);
  a("diagnostics", x.diagnostics);
}

template <class Archive>
void Fields(Archive& a, MetricCard& x) {
  a("name", x.name);
  a("kind", x.kind);
  a("higher_is_better", x.higher_is_better);
}

template <class Archive>
void Fields(Archive& a, MetricSummary& x) {
  a("name", x.name);
  a("value", x.value);
  a("standard_error", x.standard_error);
  a("items", x.items);
  a("chance", x.chance);
}

template <class Archive>
void Fields(Archive& a, TaskCard& x) {
  a("name", x.name);
  a("version", x.version);
  a("stratum", x.stratum);
  a("metrics", x.metrics);
  a("few_shot", x.few_shot);
  a("limit", x.limit);
  a("description", x.description);
  a("citation", x.citation);
  a("licence", x.licence);
  a("convention", x.convention);
  a("factors", x.factors);
  a("item_factors", x.item_factors);
}

template <class Archive>
void Fields(Archive& a, ItemsFile& x) {
  a("rows", x.rows);
  a("size_bytes", x.size_bytes);
  a("digest", x.digest);
}

template <class Archive>
void Fields(Archive& a, TaskRecord& x) {
  a("key", x.key);
  a("trial", x.trial);
  a("model", x.model);
  a("quantization", x.quantization);
  a("calibration", x.calibration);
  a("factors", x.factors);
  a("task", x.card);
  a("metrics", x.metrics);
  a("items", x.items);
  a("counts", x.counts);
}

template <class Archive>
void Fields(Archive& a, ExpertRecord& x) {
  a("experts", x.experts);
  a("routed_tokens_least", x.routed_tokens_least);
  a("routed_tokens_median", x.routed_tokens_median);
  a("routed_tokens_greatest", x.routed_tokens_greatest);
  a("minimum_tokens", x.minimum_tokens);
  a("below_minimum", x.below_minimum);
}

template <class Archive>
void Fields(Archive& a, RotationRecord& x) {
  a("place", x.place);
  a("rotation", x.rotation);
  a("width", x.width);
  a("places", x.places);
  a("operations", x.operations);
}

template <class Archive>
void Fields(Archive& a, QuantizationRecord& x) {
  a("key", x.key);
  a("trial", x.trial);
  a("model", x.model);
  a("quantization", x.quantization);
  a("calibration", x.calibration);
  a("factors", x.factors);
  a.OnlyIfThere("sequential", x.sequential);
  a.OnlyIfThere("experts", x.experts);
  a.OnlyIfThere("online_rotations", x.online_rotations);
  a("layers", x.layers);
  a.OnlyIfThere("skipped", x.skipped);
}

constexpr std::pair<const char*, MetricKind> kMetricKinds[] = {
    {"accuracy", MetricKind::kAccuracy},
    {"perplexity", MetricKind::kPerplexity},
    {"mean", MetricKind::kMean},
    {"ratio", MetricKind::kRatio}};

constexpr char kContentDigest[] = "content_digest";

// Numbers of another format may come of other arithmetic: none is converted.
constexpr char kOtherFormatAdvice[] =
    ": read it with the bitlaw that wrote it, or do its trial again with `bitlaw run`, which leaves this file where it "
    "is.";

// Over all fields but the digest itself; white space and the order of fields do not count.
std::string ContentDigest(const Value& record) {
  Value::Map fields;
  for (const auto& field : record.AsMap()) {
    if (field.first != kContentDigest) fields.push_back(field);
  }
  return DigestOf(Value(std::move(fields)).CanonicalJson());
}

class Writer {
 public:
  template <class T>
  void operator()(const char* name, const T& field) {
    map_.emplace_back(name, ToValue(field));
  }

  // Not written where there is none, so that records without it stay what they are.
  template <class T>
  void OnlyIfThere(const char* name, const std::optional<T>& field) {
    if (field) (*this)(name, *field);
  }

  template <class T>
  static Value Object(const T& object) {
    Writer writer;
    Fields(writer, const_cast<T&>(object));  // The Writer only reads.
    return Value(std::move(writer.map_));
  }

 private:
  static Value ToValue(const std::string& x) { return x; }
  static Value ToValue(const Value& x) { return x; }
  static Value ToValue(bool x) { return x; }
  static Value ToValue(int64_t x) { return x; }
  static Value ToValue(uint64_t x) { return static_cast<int64_t>(x); }
  static Value ToValue(double x) { return std::isfinite(x) ? Value(x) : Value(); }
  static Value ToValue(FactorRole x) { return std::string(Name(x)); }
  static Value ToValue(MetricKind x) {
    for (const auto& [name, kind] : kMetricKinds)
      if (kind == x) return name;
    throw InternalError("MetricKind out of range");
  }
  template <class T>
  static Value ToValue(const std::optional<T>& x) {
    return x ? ToValue(*x) : Value();
  }
  template <class T>
  static Value ToValue(const std::vector<std::pair<std::string, T>>& x) {
    Value::Map map;
    for (const auto& [name, value] : x) map.emplace_back(name, ToValue(value));
    return map;
  }
  template <class T>
  static Value ToValue(const std::vector<T>& x) {
    Value::List list;
    for (const T& element : x) list.push_back(ToValue(element));
    return list;
  }
  template <class T>
  static Value ToValue(const T& x) {
    return Object(x);
  }

  Value::Map map_;
};

// Where in a record something stands: its text is only made for a fault.
struct Place {
  const Place* above = nullptr;  // Null: the record itself.
  std::string_view name{};       // Of a field.
  std::optional<size_t> index{};  // Of an element of a list, which has no name.

  std::string Text() const {
    if (above == nullptr) return "";
    if (index) return fmt::format("{}[{}]", above->Text(), *index);
    return fmt::format("{}{}{}", above->Text(), above->above == nullptr ? "" : ".", name);
  }
};

class Reader {
 public:
  template <class T>
  static void Object(const Value& value, const Place& path, std::vector<std::string>& faults, T& object) {
    if (!value.is_map()) return Mistyped(value, path, "a map", faults);
    Reader reader(value, path, faults);
    Fields(reader, object);
    for (const auto& [name, ignored] : value.AsMap()) {
      if (std::find(reader.known_.begin(), reader.known_.end(), name) == reader.known_.end()) {
        faults.push_back(fmt::format("'{}' is not a field of a record", Place{&path, name}.Text()));
      }
    }
  }

  template <class T>
  void operator()(const char* name, T& field) {
    known_.push_back(name);
    const Value* value = value_.Find(name);
    if (value == nullptr) {
      faults_.push_back(fmt::format("'{}' is missing", Place{&path_, name}.Text()));
    } else {
      Read(*value, Place{&path_, name}, field);
    }
  }

  template <class T>
  void OnlyIfThere(const char* name, std::optional<T>& field) {
    known_.push_back(name);
    if (const Value* value = value_.Find(name)) Read(*value, Place{&path_, name}, field);
  }

 private:
  Reader(const Value& value, const Place& path, std::vector<std::string>& faults)
      : value_(value), path_(path), faults_(faults) {
    constexpr size_t kMostFields = 16;
    known_.reserve(kMostFields);
    if (path_.above == nullptr) known_.assign({"format", "kind", kContentDigest});
  }

  static void Mistyped(const Value& value, const Place& path, const char* wanted, std::vector<std::string>& faults) {
    faults.push_back(fmt::format("'{}' is {}, not {}", path.Text(), Article(value.type()), wanted));
  }
  void Mistyped(const Value& value, const Place& path, const char* wanted) {
    Mistyped(value, path, wanted, faults_);
  }

  void Read(const Value& value, const Place& path, std::string& x) {
    if (!value.is_string()) return Mistyped(value, path, "a string");
    x = value.AsString();
  }
  void Read(const Value& value, const Place&, Value& x) { x = value; }
  void Read(const Value& value, const Place& path, bool& x) {
    if (!value.is_bool()) return Mistyped(value, path, "true or false");
    x = value.AsBool();
  }
  void Read(const Value& value, const Place& path, int64_t& x) {
    if (!value.is_int()) return Mistyped(value, path, "an integer");
    x = value.AsInt();
  }
  void Read(const Value& value, const Place& path, uint64_t& x) {
    if (!value.is_int()) return Mistyped(value, path, "an integer");
    x = static_cast<uint64_t>(value.AsInt());
  }
  void Read(const Value& value, const Place& path, double& x) {
    if (value.is_null()) {
      x = std::numeric_limits<double>::quiet_NaN();
    } else if (!value.is_number()) {
      Mistyped(value, path, "a number or null");
    } else {
      x = value.AsReal();
    }
  }
  void Read(const Value& value, const Place& path, FactorRole& x) {
    try {
      x = ParseFactorRole(value.is_string() ? value.AsString() : value.Text());
    } catch (const Error&) {
      Mistyped(value, path, "the role of a factor");
    }
  }
  void Read(const Value& value, const Place& path, MetricKind& x) {
    for (const auto& [name, kind] : kMetricKinds) {
      if (value == Value(name)) {
        x = kind;
        return;
      }
    }
    Mistyped(value, path, "'accuracy', 'perplexity', 'mean' or 'ratio'");
  }
  template <class T>
  void Read(const Value& value, const Place& path, std::optional<T>& x) {
    x.reset();
    if (!value.is_null()) Read(value, path, x.emplace());
  }
  template <class T>
  void Read(const Value& value, const Place& path, std::vector<std::pair<std::string, T>>& x) {
    if (!value.is_map()) return Mistyped(value, path, "a map");
    for (const auto& [name, element] : value.AsMap()) {
      x.emplace_back(name, T());
      Read(element, Place{&path, name}, x.back().second);
    }
  }
  template <class T>
  void Read(const Value& value, const Place& path, std::vector<T>& x) {
    if (!value.is_list()) return Mistyped(value, path, "a list");
    for (const Value& element : value.AsList()) {
      const Place place{&path, {}, x.size()};
      Read(element, place, x.emplace_back());
    }
  }
  template <class T>
  void Read(const Value& value, const Place& path, T& x) {
    Object(value, path, faults_, x);
  }

  const Value& value_;
  const Place& path_;
  std::vector<std::string>& faults_;
  std::vector<std::string_view> known_;
};

template <class T>
std::string WriteAs(const char* kind, const T& record) {
  Value::Map map = {{"format", kRecordFormat}, {"kind", kind}};
  const Value body = Writer::Object(record);
  for (const auto& field : body.AsMap()) map.push_back(field);
  // Of the text, not of the object: what a reader of the text will see.
  Value written = ParseJson(PrettyJson(map), "record");
  written.Set(kContentDigest, ContentDigest(written));
  return PrettyJson(written);
}

template <class T>
T ReadAs(const char* kind, std::string_view text, const std::string& digest, const std::string& origin) {
  const Value value = ParseJson(text, origin);
  const Value* format = value.Find("format");
  if (format == nullptr || !(*format == Value(kRecordFormat))) {
    throw Error(ErrorKind::kIo, fmt::format("{}: the record's format is {}. This bitlaw reads format {}{}", origin,
                                            format == nullptr ? "not stated" : format->Text(), kRecordFormat,
                                            format == nullptr ? "." : kOtherFormatAdvice));
  }
  const Value* found = value.Find("kind");
  if (found == nullptr || !(*found == Value(kind))) {
    throw Error(ErrorKind::kIo, fmt::format("{}: the record's kind is {}, not '{}'.", origin,
                                            found == nullptr ? "not stated" : found->Text(), kind));
  }
  T record;
  std::vector<std::string> faults;
  Reader::Object(value, {}, faults, record);
  if (faults.empty() && RecordDigest(record.key) != digest) {
    faults.push_back("its key does not give its file name: the file was edited or renamed");
  }
  const Value* content = value.Find(kContentDigest);
  if (faults.empty() && (content == nullptr || !(*content == Value(ContentDigest(value))))) {
    faults.push_back(fmt::format("its content does not give its '{}': the file was edited", kContentDigest));
  }
  if (!faults.empty()) {
    throw Error(ErrorKind::kIo, fmt::format("{}: not a whole record: {}.", origin, fmt::join(faults, "; ")));
  }
  return record;
}

}  // namespace

Value QuantizationKey(const TrialContent& trial) {
  Value key = Value::Map{
                    {"format", kRecordFormat},
                    {"kind", "quantization"},
                    {"weights_digest", trial.weights_digest},
                    {"backend", trial.backend},
                    {"backend_version", trial.backend_version},
                    {"backend_options", trial.backend_options},
                    {"dtype", std::string(Name(trial.compute.dtype))},
                    {"device", trial.compute.device},
                    {"quantizer", trial.quantizer},
                    {"quantizer_version", trial.quantizer_version},
                    {"quantizer_options", trial.quantizer_options},
                    {"calibration_digest", trial.calibration_digest.empty() ? Value() : Value(trial.calibration_digest)}};
  if (!trial.recipe.is_null()) key.Set("recipe", trial.recipe);
  return key;
}

Value TaskKey(const TrialContent& trial, const TaskContent& task) {
  Value key = QuantizationKey(trial);
  key.Set("kind", "task");
  key.Set("task", task.name);
  key.Set("task_component", task.component);
  key.Set("task_version", task.component_version);
  key.Set("task_digest", task.digest);
  // In float32 batching changes a score by rounding alone, far below any standard error; in bfloat16 it can turn an
  // argmax over.
  key.Set("evaluate", trial.compute.dtype == Dtype::kFloat32 ? Value() : task.evaluate);
  return key;
}

std::string RecordDigest(const Value& key) { return DigestOf(key.CanonicalJson()); }

ModelHeader HeaderOf(const ModelSummary& summary) {
  ModelHeader header;
  header.name = summary.name;
  header.architecture = summary.architecture;
  header.stored_dtype = summary.stored_dtype;
  header.baseline_note = summary.baseline_note;
  header.parameters_total = summary.parameters_total;
  header.parameters_active = summary.parameters_active;
  header.parameters_embedding = summary.parameters_embedding;
  header.parameters_quantizable = summary.parameters_quantizable;
  header.num_blocks = summary.num_blocks;
  header.hidden_size = summary.hidden_size;
  header.vocab_size = summary.vocab_size;
  return header;
}

const Value* FindFactor(const std::vector<RecordedFactor>& factors, std::string_view column) {
  const auto found =
      std::find_if(factors.begin(), factors.end(), [&](const RecordedFactor& one) { return one.column == column; });
  return found == factors.end() ? nullptr : &found->value;
}

std::vector<RecordedFactor> TaskFactors(const TaskCard& card, const std::vector<ItemScore>& items) {
  std::vector<RecordedFactor> recorded;
  const auto add = [&](const Factor& factor, Value value) {
    value.set_mark({});
    recorded.push_back({factor.column, factor.unit, factor.role, std::move(value)});
  };
  add(*FindStandardFactor("few_shot"), card.few_shot);
  for (const Factor& factor : card.factors) add(factor, factor.value);
  for (size_t f = 0; f < card.item_factors.size(); ++f) {
    double sum = 0, count = 0;
    for (const ItemScore& item : items) {
      if (item.factors.size() <= f || !std::isfinite(item.factors[f])) continue;
      sum += item.factors[f];
      ++count;
    }
    add(card.item_factors[f], count > 0 ? Value(sum / count) : Value());
  }
  return recorded;
}

std::string WriteRecord(const TaskRecord& record) { return WriteAs("task", record); }
std::string WriteRecord(const QuantizationRecord& record) { return WriteAs("quantization", record); }

TaskRecord ReadTaskRecord(std::string_view text, const std::string& digest, const std::string& origin) {
  TaskRecord record = ReadAs<TaskRecord>("task", text, digest, origin);
  if (record.metrics.size() != record.card.metrics.size()) {
    throw Error(ErrorKind::kIo, fmt::format("{}: not a whole record: {} metric values for {} metrics.", origin,
                                            record.metrics.size(), record.card.metrics.size()));
  }
  return record;
}

QuantizationRecord ReadQuantizationRecord(std::string_view text, const std::string& digest, const std::string& origin) {
  return ReadAs<QuantizationRecord>("quantization", text, digest, origin);
}

}  // namespace bitlaw
