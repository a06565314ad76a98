#include "records/interchange/lm_eval_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <system_error>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "records/interchange/python_json.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

// re.sub(r"[\"<>:/|\\?*\[\]]+", "__", name)
std::string Sanitized(const std::string& name) {
  std::string text;
  bool is_in_run = false;
  for (const char c : name) {
    const bool is_replaced = std::string_view("\"<>:/|\\?*[]").find(c) != std::string_view::npos;
    if (!is_replaced) text += c;
    if (is_replaced && !is_in_run) text += "__";
    is_in_run = is_replaced;
  }
  return text;
}

Value NumberOrNull(double value) { return std::isfinite(value) ? Value(value) : Value(); }

// str() of a real number in Python.
std::string PythonText(double value) { return PythonJson(value); }

// The target as str() has it: of choices the number of the right one.
std::string TargetOf(const ItemScore& item) { return item.right.empty() ? item.target : item.right; }

// A metric whose items the harness would write as a number each, and average as it is averaged here.
bool IsOfItems(const RecordedTask& task, size_t metric) {
  const MetricCard& card = task.record.card.metrics[metric];
  const bool is_mean = card.kind == MetricKind::kAccuracy || card.kind == MetricKind::kMean ||
                       (card.kind == MetricKind::kPerplexity && card.name == "perplexity");
  return is_mean && std::all_of(task.items.begin(), task.items.end(),
                                [&](const ItemScore& item) { return item.values[metric].weight == 1.0; });
}

Value ArgumentsOf(const ItemTexts& texts) {
  Value::Map arguments;
  for (size_t i = 0; i < texts.requests.size(); ++i) {
    Value::Map one;
    if (const auto* pair = std::get_if<LoglikelihoodRequest>(&texts.requests[i])) {
      one = {{"arg_0", pair->context}, {"arg_1", pair->continuation}};
    } else if (const auto* generate = std::get_if<GenerateRequest>(&texts.requests[i])) {
      const Value::List until(generate->until.begin(), generate->until.end());
      one = {{"arg_0", generate->context},
             {"arg_1", Value::Map{{"until", until}, {"do_sample", false}, {"max_gen_toks", generate->max_new_tokens}}}};
    }
    arguments.emplace_back(fmt::format("gen_args_{}", i), std::move(one));
  }
  return arguments;
}

// The likelihoods of an item: as recorded, or, of a single text, the loss of its perplexity.
std::vector<double> LikelihoodsOf(const RecordedTask& task, const ItemScore& item) {
  if (!item.loglikelihoods_nats.empty()) return item.loglikelihoods_nats;
  for (size_t m = 0; m < item.values.size(); ++m) {
    if (task.record.card.metrics[m].kind == MetricKind::kPerplexity) return {-item.values[m].value};
  }
  return {std::nan("")};
}

Value SampleOf(const RecordedTask& task, const ItemTexts& texts, const ItemScore& item, const SampleHashes& hashes) {
  Value::List responses, filtered;
  const bool is_written = std::holds_alternative<GenerateRequest>(texts.requests.front());
  if (is_written) {
    const std::string text = item.extracted.empty() ? "" : item.extracted.front();
    responses.emplace_back(Value::List{text});
    filtered.emplace_back(text);
  } else {
    for (const double nats : LikelihoodsOf(task, item)) {
      const Value pair = Value::List{PythonText(nats), "None"};
      responses.emplace_back(Value::List{pair});
      filtered.push_back(pair);
    }
  }
  Value::List names;
  Value::Map values;
  for (size_t m = 0; m < item.values.size(); ++m) {
    const MetricCard& card = task.record.card.metrics[m];
    if (!IsOfItems(task, m) || !std::isfinite(item.values[m].value)) continue;
    names.emplace_back(card.name);
    // A perplexity is made of likelihoods there, of losses here.
    const bool is_loss = card.kind == MetricKind::kPerplexity;
    values.emplace_back(card.name, is_loss ? -item.values[m].value : item.values[m].value);
  }
  Value sample = Value::Map{{"doc_id", texts.place},
                            {"doc", texts.row},
                            {"target", TargetOf(item)},
                            {"arguments", ArgumentsOf(texts)},
                            {"resps", std::move(responses)},
                            {"filtered_resps", std::move(filtered)},
                            {"filter", "none"},
                            {"metrics", std::move(names)},
                            {"doc_hash", hashes.doc},
                            {"prompt_hash", hashes.prompt},
                            {"target_hash", hashes.target}};
  for (auto& [name, value] : values) sample.Set(name, std::move(value));
  return sample;
}

class RunWriter {
 public:
  RunWriter(const RecordedTrial& trial, const std::string& version, const fs::path& folder,
            std::vector<std::string>& notes)
      : trial_(trial),
        version_(version),
        folder_(folder / Sanitized(trial.label)),
        notes_(notes),
        date_(LastDate(trial)) {
    suffix_ = date_.empty() ? "1970-01-01T00:00:00Z" : date_;
    suffix_.back() = '.';
    suffix_ = ReplaceAll(suffix_, ":", "-") + "000000";
  }

  fs::path Write() {
    const fs::path file = folder_ / ("results_" + suffix_ + ".json");
    std::error_code error;
    if (fs::exists(folder_, error))
      throw Error(ErrorKind::kIo, folder_.string() + ": is there already. Name another folder.");
    for (const RecordedTask& task : trial_.tasks) Add(task);
    WriteDurably(file, PythonJson(Root(), {.indent = 2}));
    return file;
  }

 private:
  void Add(const RecordedTask& task) {
    const TaskRecord& record = task.record;
    const std::string& name = record.card.name;
    const std::string type = OutputTypeOf(task);
    Value::Map result = {{"name", name}, {"alias", name}, {"sample_len", static_cast<int64_t>(task.items.size())}},
               higher;
    for (size_t m = 0; m < record.metrics.size(); ++m) {
      const MetricSummary& metric = record.metrics[m];
      result.emplace_back(metric.name + ",none", NumberOrNull(metric.value));
      result.emplace_back(metric.name + "_stderr,none",
                          std::isfinite(metric.standard_error) ? Value(metric.standard_error) : Value("N/A"));
      higher.emplace_back(metric.name, record.card.metrics[m].higher_is_better);
    }
    results_.emplace_back(name, std::move(result));
    higher_.emplace_back(name, std::move(higher));
    versions_.emplace_back(name, record.card.version);
    shots_.emplace_back(name, record.card.few_shot);
    const auto scored = static_cast<int64_t>(task.items.size());
    counts_.emplace_back(name, Value::Map{{"original", std::max(task.available, scored)}, {"effective", scored}});
    configs_.emplace_back(name, Value::Map{{"task", name},
                                           {"output_type", type},
                                           {"num_fewshot", record.card.few_shot},
                                           {"description", record.card.description},
                                           {"metadata", Value::Map{{"version", record.card.version}}}});
    records_.emplace_back(name, task.digest);
    if (type == "loglikelihood_rolling") {
      notes_.push_back(name + ": no samples, since its items are windows of a text");
    } else if (task.texts.empty()) {
      notes_.push_back(name + ": no samples, since the texts of its items are not known");
    } else {
      AddSamples(task);
    }
  }

  void AddSamples(const RecordedTask& task) {
    const std::string& name = task.record.card.name;
    std::string lines, all_hashes;
    for (size_t i = 0; i < task.items.size(); ++i) {
      const SampleHashes hashes = HashesOf(task.texts[i], task.items[i]);
      all_hashes += hashes.doc + hashes.prompt + hashes.target;
      lines += PythonJson(SampleOf(task, task.texts[i], task.items[i], hashes)) + "\n";
    }
    for (size_t m = 0; m < task.record.metrics.size(); ++m) {
      if (!IsOfItems(task, m))
        notes_.push_back(name + ": '" + task.record.metrics[m].name + "' is in the results and not in the samples");
    }
    if (OutputTypeOf(task) == "generate_until")
      notes_.push_back(name + ": resps of its samples hold what was taken out of the answers, as records do");
    WriteDurably(folder_ / ("samples_" + name + "_" + suffix_ + ".jsonl"), lines);
    hashes_.emplace_back(name, DigestOf(all_hashes));
  }

  Value Root() const {
    const TaskRecord& first = trial_.tasks.front().record;
    const auto text = [&](const char* key) {
      const Value* value = first.key.Find(key);
      return value == nullptr ? Value() : *value;
    };
    const Value dtype = text("dtype");
    Value::Map model_args = {{"pretrained", first.model.name}, {"quantizer", text("quantizer")}};
    for (const auto& [axis, value] : first.trial.axes) model_args.emplace_back(axis, value);
    const Value config = Value::Map{{"model", "bitlaw"},
                                    {"model_args", std::move(model_args)},
                                    {"model_num_parameters", first.model.parameters_total},
                                    {"model_dtype", dtype.is_string() ? Value("torch." + dtype.AsString()) : Value()},
                                    {"device", text("device")}};
    Value quantization;
    if (first.quantization) {
      quantization = Value::Map{{"options", text("quantizer_options")},
                                {"recipe", text("recipe")},
                                {"bits_requested", NumberOrNull(first.quantization->bits_requested)},
                                {"bits_effective", NumberOrNull(first.quantization->bits_effective)},
                                {"codes_digest", first.quantization->codes_digest}};
    }
    const Value bitlaw = Value::Map{{"version", version_},
                                    {"study", trial_.study},
                                    {"trial", trial_.id},
                                    {"weights_digest", text("weights_digest")},
                                    {"quantization", std::move(quantization)},
                                    {"records", records_}};
    return Value::Map{{"results", results_},
                      {"group_subtasks", Value::Map{}},
                      {"configs", configs_},
                      {"versions", versions_},
                      {"n-shot", shots_},
                      {"higher_is_better", higher_},
                      {"n-samples", counts_},
                      {"config", config},
                      {"git_hash", Value()},
                      {"date", EpochSeconds(date_)},
                      {"bitlaw", bitlaw},
                      {"task_hashes", hashes_},
                      {"model_source", "bitlaw"},
                      {"model_name", trial_.label},
                      {"model_name_sanitized", Sanitized(trial_.label)}};
  }

  const RecordedTrial& trial_;
  const std::string& version_;
  fs::path folder_;
  std::vector<std::string>& notes_;
  std::string date_, suffix_;
  Value::Map results_, configs_, versions_, shots_, higher_, counts_, hashes_, records_;
};

}  // namespace

SampleHashes HashesOf(const ItemTexts& texts, const ItemScore& item) {
  std::string context;
  if (!texts.requests.empty()) {
    const Request& first = texts.requests.front();
    if (const auto* pair = std::get_if<LoglikelihoodRequest>(&first)) context = pair->context;
    if (const auto* generate = std::get_if<GenerateRequest>(&first)) context = generate->context;
    if (const auto* rolling = std::get_if<RollingRequest>(&first)) context = rolling->text;
  }
  return {DigestOf(PythonJson(texts.row, {.indent = 2})), DigestOf(context), DigestOf(TargetOf(item))};
}

fs::path WriteHarnessRun(const RecordedTrial& trial, const std::string& version, const fs::path& folder,
                         std::vector<std::string>& notes) {
  return RunWriter(trial, version, folder, notes).Write();
}

}  // namespace bitlaw
