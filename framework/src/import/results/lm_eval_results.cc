#include "import/results/lm_eval_results.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <optional>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/data/jsonl.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "import/lm_eval_samples.h"

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

[[noreturn]] void Fail(const std::string& where, const std::string& what) {
  throw Error(ErrorKind::kSpec, where + ": " + what);
}

fs::path ResultsFile(const fs::path& path) {
  if (!fs::is_directory(path)) return path;
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name.starts_with("results_") && name.ends_with(".json"))
      found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  if (found.empty()) {
    throw Error(ErrorKind::kIo, path.string() +
                                    ": the folder holds no results_*.json, which lm_eval writes with "
                                    "--output_path. Name the results file or its folder.");
  }
  if (found.size() > 1) {
    throw Error(ErrorKind::kSpec, path.string() + ": the folder holds " + std::to_string(found.size()) +
                                      " runs, from " + found.front().string() + " to " + found.back().string() +
                                      ". Name the results file of one.");
  }
  return found.front();
}

std::string TextAt(const Value& map, std::string_view key) {
  const Value* value = map.Find(key);
  return value == nullptr || value->is_null() ? "" : value->is_string() ? value->AsString() : value->Text();
}

// "acc,none" of the results, without "acc_stderr,none".
struct MetricKey {
  std::string name, metric, filter;
  double value = kUnknown, standard_error = kUnknown;
};

double NumberOr(const Value* value) { return value != nullptr && value->is_number() ? value->AsReal() : kUnknown; }

std::vector<MetricKey> MetricsOf(const Value& result) {
  std::vector<MetricKey> metrics;
  for (const auto& [key, value] : result.AsMap()) {
    const size_t comma = key.find(',');
    if (comma == std::string::npos || key.substr(0, comma).ends_with("_stderr")) continue;
    const std::string metric = key.substr(0, comma), filter = key.substr(comma + 1);
    metrics.push_back({metric + (filter == "none" ? "" : "_" + filter), metric, filter, NumberOr(&value),
                       NumberOr(result.Find(metric + "_stderr," + filter))});
  }
  return metrics;
}

bool IsAccuracyName(const std::string& metric) {
  return metric.starts_with("acc") || metric.starts_with("exact_match");
}

MetricKind KindOfMetric(const std::string& metric, bool is_binary) {
  if (metric == "perplexity" || metric == "word_perplexity" || metric == "byte_perplexity")
    return MetricKind::kPerplexity;
  if (metric == "bits_per_byte") return MetricKind::kRatio;
  return IsAccuracyName(metric) && is_binary ? MetricKind::kAccuracy : MetricKind::kMean;
}

// An item's value as the harness logs it: a number, or of a text [ln p, words or bytes]; nothing for all else.
std::optional<ItemValue> ItemValueOf(const std::string& metric, const Value& logged) {
  if (logged.is_bool()) return ItemValue{logged.AsBool() ? 1.0 : 0.0, 1.0};
  if (logged.is_number()) return ItemValue{metric == "perplexity" ? -logged.AsReal() : logged.AsReal(), 1.0};
  const bool is_of_text = metric == "word_perplexity" || metric == "byte_perplexity" || metric == "bits_per_byte";
  if (!is_of_text || !logged.is_list() || logged.AsList().size() != 2) return std::nullopt;
  const Value &nats = logged.AsList()[0], &weight = logged.AsList()[1];
  if (!nats.is_number() || !weight.is_number()) return std::nullopt;
  return ItemValue{-nats.AsReal() / (metric == "bits_per_byte" ? std::numbers::ln2 : 1.0), weight.AsReal()};
}

// Everything but values, of the first line of an item.
ItemScore ItemOf(const Value& row, const Value& sample) {
  ItemScore item;
  item.id = sample.Find("item")->AsString();
  const Value::List& answers = sample.Find("answers")->AsList();
  for (const Value& answer : answers) {
    const Value *nats = answer.Find("loglikelihood_nats"), *text = answer.Find("continuation");
    if (answers.size() > 1 && nats != nullptr) {
      item.loglikelihoods_nats.push_back(nats->AsReal());
      item.lengths.push_back(CountCharacters(TrimLeft(text->AsString())));
    }
  }
  size_t choices = answers.size();
  // Asked twice: with the question and without it.
  const Value* metrics = row.Find("metrics");
  if (metrics != nullptr && metrics->is_list()) {
    for (const Value& metric : metrics->AsList())
      choices = metric == Value("acc_mutual_info") ? answers.size() / 2 : choices;
  }
  item.chance = choices > 1 ? 1.0 / static_cast<double>(choices) : 0.0;
  // The right text of a loss is the text itself.
  if (answers.empty() || answers[0].Find("windows") == nullptr) {
    item.right = sample.Find("right")->AsString();
    item.target = TextAt(sample, "target");
  }
  return item;
}

// The samples of a task: for each metric a value an item, NaN where it was not logged. `undone`: metrics whose items
// are no numbers.
void ReadSamples(const fs::path& path, const std::vector<MetricKey>& metrics, HarnessTask& task,
                 std::vector<bool>& undone) {
  std::map<std::string, size_t> places;
  for (const Value& row : ReadJsonl(path)) {
    if (!IsLmEvalSample(row)) Fail(row.mark().Text(), "the line is no sample as lm-evaluation-harness logs them.");
    const Value sample = SampleFromLmEval(row, task.card.name);
    const std::string id = sample.Find("item")->AsString(), filter = TextAt(row, "filter");
    const auto [place, is_new] = places.try_emplace(id, task.items.size());
    if (is_new) {
      task.items.push_back(ItemOf(row, sample));
      task.items.back().values.resize(metrics.size());
    }
    ItemScore& item = task.items[place->second];
    for (size_t m = 0; m < metrics.size(); ++m) {
      const Value* logged = row.Find(metrics[m].metric);
      if (logged == nullptr || metrics[m].filter != (filter.empty() ? "none" : filter)) continue;
      const auto value = ItemValueOf(metrics[m].metric, *logged);
      if (!value) {
        undone[m] = true;
        continue;
      }
      if (!std::isnan(item.values[m].value)) {
        Fail(row.mark().Text(), "item " + id + " has '" + metrics[m].name +
                                    "' a second time. A file of samples has one line "
                                    "for each item and filter.");
      }
      item.values[m] = *value;
      for (const Value& one : sample.Find("values")->AsList()) {
        if (*one.Find("metric") != Value(metrics[m].name)) continue;
        if (const Value* chosen = one.Find("chosen")) {
          item.chosen.resize(metrics.size(), -1);
          item.chosen[m] = chosen->AsInt();
        }
        if (one.Find("extracted") != nullptr) {
          item.extracted.resize(metrics.size());
          item.extracted[m] = TextAt(one, "extracted");
        }
      }
    }
  }
}

// Keeps the metrics for which `keep` says so, in the items too.
void KeepMetrics(const std::vector<bool>& keep, HarnessTask& task) {
  const auto shorten = [&](auto& list) {
    if (list.empty()) return;
    size_t to = 0;
    for (size_t m = 0; m < keep.size(); ++m) {
      if (!keep[m]) continue;
      if (to != m) list[to] = std::move(list[m]);
      ++to;
    }
    list.resize(to);
  };
  shorten(task.card.metrics);
  shorten(task.metrics);
  for (ItemScore& item : task.items) {
    shorten(item.values);
    shorten(item.chosen);
    shorten(item.extracted);
    // Numbers of choices are kept where every metric has one.
    if (std::find(item.chosen.begin(), item.chosen.end(), -1) != item.chosen.end()) item.chosen.clear();
    if (item.chosen.empty() && item.loglikelihoods_nats.size() > 1) item.extracted.clear();
  }
}

bool Agree(double a, double b) { return std::abs(a - b) <= 1e-6 * std::max({1.0, std::abs(a), std::abs(b)}); }

HarnessTask TaskOf(const Value& root, const std::string& name, const Value& result, const fs::path& results) {
  const std::string where = results.string() + ": task '" + name + "'";
  HarnessTask task;
  task.card.name = name;
  const auto entry = [&](const char* table) {
    const Value* all = root.Find(table);
    return all != nullptr && all->is_map() ? all->Find(name) : nullptr;
  };
  task.card.version = "lm-eval " + (entry("versions") == nullptr ? std::string("?") : entry("versions")->Text());
  if (const Value* shots = entry("n-shot"); shots != nullptr && shots->is_int()) task.card.few_shot = shots->AsInt();
  const Value* counts = entry("n-samples");
  const double original = counts == nullptr ? kUnknown : NumberOr(counts->Find("original"));
  const double effective = counts == nullptr ? kUnknown : NumberOr(counts->Find("effective"));
  if (effective < original) task.card.limit = static_cast<int64_t>(effective);
  const Value* config = entry("configs");
  const std::string output_type = config == nullptr ? "" : TextAt(*config, "output_type");
  const Value* directions = entry("higher_is_better");

  const std::vector<MetricKey> metrics = MetricsOf(result);
  std::vector<bool> keep(metrics.size(), true), undone(metrics.size(), false);
  const std::string file = results.filename().string();  // results_<date>.json
  const fs::path samples =
      results.parent_path() / ("samples_" + name + "_" + file.substr(8, file.size() - 13) + ".jsonl");
  if (fs::is_regular_file(samples)) {
    task.samples_digest = DigestOfFile(samples);
    ReadSamples(samples, metrics, task, undone);
  } else {
    task.notes.push_back(name + ": no samples (" + samples.filename().string() +
                         "), so no items to compare. Run lm_eval "
                         "with --log_samples");
  }
  for (size_t m = 0; m < metrics.size(); ++m) {
    const MetricKey& key = metrics[m];
    const bool is_binary = std::all_of(task.items.begin(), task.items.end(), [&](const ItemScore& item) {
      return item.values[m].value == 0 || item.values[m].value == 1 || std::isnan(item.values[m].value);
    });
    const bool higher = directions == nullptr || !directions->is_map() || directions->Find(key.metric) == nullptr ||
                        *directions->Find(key.metric) != Value(false);
    const MetricCard card{key.name, KindOfMetric(key.metric, is_binary), higher};
    MetricSummary summary{key.name, key.value, key.standard_error,
                          static_cast<int64_t>(std::isnan(effective) ? 0 : effective),
                          output_type == "multiple_choice" ? kUnknown : 0.0};
    if (!task.items.empty() && !undone[m]) summary = Summarize(card, m, task.items);
    const bool differs = !task.items.empty() && !undone[m] && !Agree(summary.value, key.value);
    if (differs && card.kind == MetricKind::kAccuracy) {
      Fail(where, "'" + key.name + "' is " + std::to_string(key.value) + " in the results and " +
                      std::to_string(summary.value) + " over the " + std::to_string(summary.items) + " items of " +
                      samples.filename().string() + ". They are not of one run, or the file was cut off.");
    }
    if (std::isnan(key.value) || undone[m] || differs) {
      keep[m] = false;
      task.notes.push_back(name + ": '" + key.name + "' is left out: " +
                           (std::isnan(key.value) ? "its result is no number"
                            : undone[m]           ? "its items are logged as something other than a number"
                                                  : "it is no mean over items as they are logged"));
    }
    task.card.metrics.push_back(card);
    task.metrics.push_back(summary);
  }
  KeepMetrics(keep, task);
  return task;
}

}  // namespace

HarnessRun ReadHarnessRun(const fs::path& path) {
  HarnessRun run;
  run.results = ResultsFile(path);
  const std::string name = run.results.filename().string();
  if (!name.starts_with("results_") || !name.ends_with(".json")) {
    Fail(run.results.string(), "the name of lm-evaluation-harness' results is results_<date>.json.");
  }
  const std::string text = ReadTextFile(run.results);
  run.results_digest = DigestOf(text);
  const Value root = ParseJson(text, run.results.string());
  const Value *results = root.Find("results"), *config = root.Find("config");
  if (results == nullptr || !results->is_map() || config == nullptr || !config->is_map()) {
    Fail(run.results.string(),
         "there is no 'results' or no 'config', which lm-evaluation-harness writes. Name its results_*.json.");
  }
  run.version = TextAt(root, "lm_eval_version");
  const fs::path model = TextAt(root, "model_name");
  run.model = (model.has_filename() ? model : model.parent_path()).filename().string();
  run.dtype = TextAt(*config, "model_dtype");
  if (run.dtype.starts_with("torch.")) run.dtype.erase(0, 6);
  if (const Value* count = config->Find("model_num_parameters"); count != nullptr && count->is_int()) {
    run.parameters_total = std::max<int64_t>(0, count->AsInt());
  }
  const Value* groups = root.Find("group_subtasks");
  for (const auto& [task, result] : results->AsMap()) {
    // A group's numbers are those of its tasks once more.
    const Value* subtasks = groups != nullptr && groups->is_map() ? groups->Find(task) : nullptr;
    if (subtasks != nullptr && subtasks->is_list() && !subtasks->AsList().empty()) continue;
    if (result.is_map()) run.tasks.push_back(TaskOf(root, task, result, run.results));
  }
  std::erase_if(run.tasks, [](const HarnessTask& task) { return task.card.metrics.empty() && task.notes.empty(); });
  if (run.tasks.empty()) Fail(run.results.string(), "'results' holds no task with a number.");
  return run;
}

}  // namespace bitlaw
