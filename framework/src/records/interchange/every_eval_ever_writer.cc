#include "records/interchange/every_eval_ever_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <system_error>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/data_text.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "records/interchange/python_json.h"
#include "records/observations.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

constexpr const char* kSchema = "0.3.0";

// Of version 4 and the variant of RFC 4122; the other bits are those of a digest.
std::string UuidOf(const std::string& hex) {
  std::string bits = hex.substr(0, 32);
  bits[12] = '4';
  bits[16] = "89ab"[static_cast<size_t>(std::stoi(bits.substr(16, 1), nullptr, 16)) & 3];
  return bits.substr(0, 8) + "-" + bits.substr(8, 4) + "-" + bits.substr(12, 4) + "-" + bits.substr(16, 4) + "-" +
         bits.substr(20);
}

// Folders and ids are made of it.
std::string Plain(const std::string& name) {
  std::string text;
  for (const char c : name) text += c == '/' || c == ' ' ? '-' : c;
  return text;
}

// All details are texts in this schema.
void Detail(Value::Map& details, const std::string& name, const Value& value) {
  if (value.is_null() || (value.is_string() && value.AsString().empty())) return;
  details.emplace_back(name, HasDataText(value) ? DataText(value) : value.CanonicalJson());
}

class LogWriter {
 public:
  LogWriter(const RecordedTrial& trial, const EvaluationSource& source, const fs::path& folder,
            std::vector<std::string>& notes)
      : trial_(trial), source_(source), notes_(notes), first_(trial.tasks.front().record) {
    const auto known = source.model_ids.find(first_.model.name);
    model_id_ = known == source.model_ids.end() ? Plain(first_.model.name) : known->second;
    const size_t slash = model_id_.find('/');
    developer_ = slash == std::string::npos ? "unknown" : model_id_.substr(0, slash);
    Digest digest;
    for (const RecordedTask& task : trial.tasks) digest.Add(task.digest).Add("\n");
    uuid_ = UuidOf(digest.Hex());
    place_ = fs::path(Plain(trial.study)) / developer_ /
             Plain(slash == std::string::npos ? model_id_ : model_id_.substr(slash + 1));
    folder_ = folder / place_;
    evaluation_id_ = fmt::format("{}-{}/{}/{}", trial.study, trial.id, model_id_, source.retrieved_timestamp);
  }

  fs::path Write() {
    const fs::path file = folder_ / (uuid_ + ".json");
    std::error_code error;
    if (fs::exists(file, error))
      throw Error(ErrorKind::kIo, file.string() + ": is there already. Name another folder.");
    for (const RecordedTask& task : trial_.tasks) Add(task);
    Value root = Value::Map{{"schema_version", kSchema}, {"evaluation_id", evaluation_id_}};
    if (const double seconds = EpochSeconds(LastDate(trial_)); seconds > 0)
      root.Set("evaluation_timestamp", fmt::format("{:.0f}", seconds));
    root.Set("retrieved_timestamp", source_.retrieved_timestamp);
    root.Set("source_metadata", Value::Map{{"source_name", trial_.study},
                                           {"source_type", "evaluation_run"},
                                           {"source_organization_name", source_.organization},
                                           {"evaluator_relationship", source_.relationship}});
    root.Set("eval_library", Value::Map{{"name", "bitlaw"}, {"version", source_.version}});
    root.Set("model_info", ModelInfo());
    root.Set("evaluation_results", results_);
    if (rows_ > 0) {
      const std::string name = uuid_ + "_samples.jsonl";
      WriteDurably(folder_ / name, samples_);
      root.Set("detailed_evaluation_results", Value::Map{{"format", "jsonl"},
                                                         {"file_path", "data/" + (place_ / name).generic_string()},
                                                         {"hash_algorithm", "sha256"},
                                                         {"checksum", DigestOf(samples_)},
                                                         {"total_rows", rows_}});
    }
    WriteDurably(file, PythonJson(root, {.indent = 2}) + "\n");
    return file;
  }

 private:
  const Value& Key(const char* name) const {
    static const Value kNone;
    const Value* found = first_.key.Find(name);
    return found == nullptr ? kNone : *found;
  }

  Value ModelInfo() const {
    Value::Map details = {{"deployment_type", "self_deployed"}, {"model_availability", "unknown"}};
    Detail(details, "trial", trial_.label);
    Detail(details, "architecture", first_.model.architecture);
    Detail(details, "num_parameters", first_.model.parameters_total);
    Detail(details, "dtype", Key("dtype"));
    Detail(details, "device", Key("device"));
    Detail(details, "weights_digest", Key("weights_digest"));
    Detail(details, "quantizer", Key("quantizer"));
    if (first_.quantization) {
      Detail(details, "quantizer_version", Key("quantizer_version"));
      Detail(details, "quantizer_options", Key("quantizer_options"));
      Detail(details, "recipe", Key("recipe"));
      if (std::isfinite(first_.quantization->bits_requested))
        Detail(details, "bits_requested", first_.quantization->bits_requested);
      if (std::isfinite(first_.quantization->bits_effective))
        Detail(details, "bits_effective", first_.quantization->bits_effective);
      Detail(details, "codes_digest", first_.quantization->codes_digest);
      Detail(details, "calibration_digest", Key("calibration_digest"));
    }
    Value info = Value::Map{{"name", first_.model.name}, {"id", model_id_}};
    if (developer_ != "unknown") info.Set("developer", developer_);
    info.Set("inference_engine", Value::Map{{"name", "bitlaw"}, {"version", source_.version}});
    info.Set("additional_details", details);
    return info;
  }

  Value MetricConfig(const MetricCard& card, const MetricSummary& metric) const {
    Value config =
        Value::Map{{"evaluation_description", metric.name},
                   {"metric_id", card.kind == MetricKind::kAccuracy && metric.name == "acc" ? "accuracy" : metric.name},
                   {"metric_name", metric.name},
                   {"metric_kind", MetricKindName(card.kind)},
                   {"lower_is_better", !card.higher_is_better},
                   {"score_type", "continuous"}};
    if (card.kind == MetricKind::kAccuracy) config.Set("metric_unit", "proportion");
    const bool has_bounds = card.kind == MetricKind::kAccuracy;
    config.Set("min_score", has_bounds                             ? Value(0.0)
                            : card.kind == MetricKind::kPerplexity ? Value(1.0)
                                                                   : Value("-Infinity"));
    config.Set("max_score", has_bounds ? Value(1.0) : Value("Infinity"));
    if (has_bounds) config.Set("additional_details", Value::Map{{"chance", DataText(Value(metric.chance))}});
    return config;
  }

  void Add(const RecordedTask& task) {
    const TaskRecord& record = task.record;
    Value::Map data_details;
    Detail(data_details, "task_version", record.card.version);
    const Value* task_digest = record.key.Find("task_digest");
    if (task_digest != nullptr) Detail(data_details, "task_digest", *task_digest);
    Detail(data_details, "few_shot", record.card.few_shot);
    if (record.card.limit) Detail(data_details, "limit", *record.card.limit);
    Detail(data_details, "stratum", record.card.stratum);
    Detail(data_details, "record", task.digest);
    const Value* date = task.timings.is_map() ? task.timings.Find("date") : nullptr;
    for (size_t m = 0; m < record.metrics.size(); ++m) {
      const MetricSummary& metric = record.metrics[m];
      if (!std::isfinite(metric.value)) {
        notes_.push_back(record.card.name + ": '" + metric.name + "' is no number, and is left out");
        continue;
      }
      Value uncertainty = Value::Map{{"num_samples", metric.items}};
      if (std::isfinite(metric.standard_error))
        uncertainty.Set("standard_error", Value::Map{{"value", metric.standard_error}, {"method", "analytic"}});
      Value result = Value::Map{{"evaluation_result_id", ResultId(task, metric)},
                                {"evaluation_name", record.card.name},
                                {"source_data", Value::Map{{"dataset_name", record.card.name},
                                                           {"source_type", "other"},
                                                           {"additional_details", data_details}}}};
      if (date != nullptr && date->is_string() && EpochSeconds(date->AsString()) > 0)
        result.Set("evaluation_timestamp", fmt::format("{:.0f}", EpochSeconds(date->AsString())));
      result.Set("metric_config", MetricConfig(record.card.metrics[m], metric));
      result.Set("score_details", Value::Map{{"score", metric.value}, {"uncertainty", std::move(uncertainty)}});
      results_.push_back(std::move(result));
      if (record.card.metrics[m].kind == MetricKind::kAccuracy && !task.texts.empty()) AddItems(task, m);
    }
    const bool has_answers =
        std::any_of(record.card.metrics.begin(), record.card.metrics.end(),
                    [](const MetricCard& metric) { return metric.kind == MetricKind::kAccuracy; });
    if (task.texts.empty() && has_answers)
      notes_.push_back(record.card.name + ": no items, since their texts are not known");
  }

  static std::string ResultId(const RecordedTask& task, const MetricSummary& metric) {
    return ShortDigest(task.digest) + "/" + metric.name;
  }

  void AddItems(const RecordedTask& task, size_t m) {
    for (size_t i = 0; i < task.items.size(); ++i) {
      const ItemScore& item = task.items[i];
      const std::vector<Request>& requests = task.texts[i].requests;
      if (!std::isfinite(item.values[m].value) || requests.empty()) continue;
      std::string raw;
      Value choices;
      if (const auto* generate = std::get_if<GenerateRequest>(&requests.front())) raw = generate->context;
      if (const auto* pair = std::get_if<LoglikelihoodRequest>(&requests.front())) raw = pair->context;
      if (requests.size() > 1) {
        Value::List texts;
        for (const Request& request : requests) {
          if (const auto* pair = std::get_if<LoglikelihoodRequest>(&request))
            texts.emplace_back(std::string(Trim(pair->continuation)));
        }
        choices = std::move(texts);
      }
      const std::string target = item.target.empty() ? item.right : item.target;
      const std::string answer = m < item.extracted.size() ? item.extracted[m] : "";
      Value input = Value::Map{{"raw", raw}, {"reference", Value::List{target}}};
      if (!choices.is_null()) input.Set("choices", choices);
      Value::Map metadata;
      Detail(metadata, "group", item.group);
      Detail(metadata, "metric", task.record.metrics[m].name);
      const std::string hashed = PythonJson(Value::Map{{"raw", raw}, {"reference", target}}, {.ensure_ascii = true});
      const Value line = Value::Map{
          {"schema_version", kSchema},
          {"evaluation_id", evaluation_id_},
          {"model_id", model_id_},
          {"evaluation_name", task.record.card.name},
          {"evaluation_result_id", ResultId(task, task.record.metrics[m])},
          {"sample_id", item.id},
          {"sample_hash", DigestOf(hashed)},
          {"interaction_type", "single_turn"},
          {"input", std::move(input)},
          {"output", Value::Map{{"raw", Value::List{answer}}}},
          {"answer_attribution",
           Value::List{Value::Map{
               {"turn_idx", 0},
               {"source", "output.raw"},
               {"extracted_value", answer},
               {"extraction_method", requests.size() > 1 ? "largest_loglikelihood" : task.record.metrics[m].name},
               {"is_terminal", true}}}},
          {"evaluation", Value::Map{{"score", item.values[m].value}, {"is_correct", item.values[m].value == 1}}},
          {"metadata", std::move(metadata)}};
      samples_ += PythonJson(line) + "\n";
      ++rows_;
    }
  }

  const RecordedTrial& trial_;
  const EvaluationSource& source_;
  std::vector<std::string>& notes_;
  const TaskRecord& first_;
  std::string model_id_, developer_, uuid_, evaluation_id_, samples_;
  fs::path place_, folder_;
  Value::List results_;
  int64_t rows_ = 0;
};

}  // namespace

fs::path WriteEveryEvalEver(const RecordedTrial& trial, const EvaluationSource& source, const fs::path& folder,
                            std::vector<std::string>& notes) {
  return LogWriter(trial, source, folder, notes).Write();
}

}  // namespace bitlaw
