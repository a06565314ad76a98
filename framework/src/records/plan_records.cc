#include "records/plan_records.h"

#include <fmt/format.h>

#include <algorithm>

#include "bitlaw/api/corpus.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "plugin/open_corpus.h"

namespace bitlaw {
namespace fs = std::filesystem;

PlanContents::PlanContents(const Plan& plan, const PluginHost& host, DigestCache& cache)
    : plan_(plan),
      host_(host),
      cache_(cache),
      tasks_(plan.study.tasks.size()),
      task_contents_(plan.study.tasks.size()),
      weights_digests_(plan.models.size()),
      model_watches_(plan.models.size()) {}

PlanContents::~PlanContents() = default;

const Task& PlanContents::task(size_t index) {
  if (!tasks_[index]) {
    const TaskSpec& spec = plan_.study.tasks[index];
    tasks_[index] = host_.MakeTask(spec.component, spec.options, spec.context);
  }
  return *tasks_[index];
}

const TaskContent& PlanContents::task_content(size_t index) {
  if (!task_contents_[index]) {
    const TaskSpec& spec = plan_.study.tasks[index];
    const Component& component = host_.Find(ComponentKind::kTask, spec.component, spec.mark.Text());
    TaskContent content;
    content.name = spec.name;
    content.component = component.info.name;
    content.component_version = component.plugin_version;
    content.digest = task(index).digest();
    content.evaluate = plan_.study.evaluate;
    if (content.evaluate.is_map()) {  // What is looked for beside the scores changes none.
      std::erase_if(content.evaluate.AsMap(), [](const auto& entry) { return entry.first == "overlap_words"; });
    }
    task_contents_[index] = std::move(content);
  }
  return *task_contents_[index];
}

void PlanContents::CheckTask(size_t index) {
  const TaskContent& content = task_content(index);
  if (task(index).digest() == content.digest) return;
  throw Error(ErrorKind::kIo, fmt::format("task '{}': its definition or data changed while the trial ran. Nothing of it "
                                          "was recorded; run again.",
                                          content.name));
}

std::unique_ptr<Corpus> PlanContents::MakeCorpus(const std::string& name) const {
  std::vector<NamedCorpus> all;
  for (const CorpusSpec& spec : plan_.study.corpora) all.push_back({spec.name, spec.component, &spec.options});
  return OpenCorpus(host_, all, name);
}

const Corpus& PlanContents::corpus(const std::string& name) {
  std::unique_ptr<Corpus>& corpus = corpora_[name];
  if (!corpus) {
    corpus = MakeCorpus(name);
    for (const CorpusSpec& spec : plan_.study.corpora) {
      if (spec.name != name) continue;
      const Component& component = host_.Find(ComponentKind::kCorpus, spec.component, spec.mark.Text());
      corpus_digests_[name] =
          DigestOf(component.info.name + "\n" + component.plugin_version + "\n" + corpus->digest());
    }
  }
  return *corpus;
}

void PlanContents::CheckCorpus(const std::string& name) {
  // A corpus may keep its digest: another object reads the text again.
  if (MakeCorpus(name)->digest() == corpus(name).digest()) return;
  throw Error(ErrorKind::kIo, fmt::format("corpus '{}': its text changed while calibration tokens were drawn. Nothing "
                                          "was recorded of them; run again.",
                                          name));
}

std::vector<fs::path> PlanContents::ModelFiles(size_t model) const {
  const ModelSpec& spec = plan_.models[model].spec;
  return host_.MakeModelBackend(spec.backend, spec.backend_options)->Files(spec.path);
}

const std::string& PlanContents::WeightsDigest(size_t model) {
  const bool known = !weights_digests_[model].empty() && !model_watches_[model].files().empty();
  return known ? weights_digests_[model] : TakeWeightsDigest(model);
}

const std::string& PlanContents::TakeWeightsDigest(size_t model) {
  return weights_digests_[model] = cache_.Files(ModelFiles(model), &model_watches_[model]);
}

TrialContent PlanContents::Base(const Trial& trial, std::string weights_digest) {
  const ModelSpec& spec = plan_.models[trial.model].spec;
  const Component& backend = host_.Find(ComponentKind::kModel, spec.backend, spec.mark.Text());
  TrialContent content;
  content.weights_digest = std::move(weights_digest);
  content.backend = backend.info.name;
  content.backend_version = backend.plugin_version;
  content.backend_options = spec.backend_options.map();
  content.compute = trial.compute;
  content.quantizer = trial.quantizer;
  content.quantizer_version = trial.quantizer_version;
  content.quantizer_options = trial.quantizer_options.map();
  content.recipe = trial.recipe;
  return content;
}

std::string PlanContents::CalibrationEntry(const Trial& trial, const std::string& weights_digest) {
  const CalibrationSpec& calibration = *trial.calibration;
  corpus(calibration.corpus);  // Fills in its digest.
  const Component& backend = host_.Find(ComponentKind::kModel, plan_.models[trial.model].spec.backend);
  // The weights digest covers the tokenizer's files.
  Value key = Value::Map{{"weights_digest", weights_digest},
                               {"backend", backend.info.name},
                               {"backend_version", backend.plugin_version},
                               {"corpus", corpus_digests_.at(calibration.corpus)},
                               {"sequences", calibration.sequences},
                               {"tokens", calibration.tokens},
                               {"seed", static_cast<int64_t>(calibration.seed)},
                               {"format", kRecordFormat}};
  if (corpus(calibration.corpus).asks_model()) {
    key.Set("compute", Value::Map{{"dtype", std::string(Name(trial.compute.dtype))}, {"device", trial.compute.device}});
    key.Set("backend_options", plan_.models[trial.model].spec.backend_options.map());
  }
  return "calibration " + DigestOf(key.CanonicalJson());
}

std::optional<TrialContent> PlanContents::Cached(const Trial& trial) {
  std::string& weights_digest = weights_digests_[trial.model];
  if (weights_digest.empty()) {
    const auto cached = cache_.CachedFiles(ModelFiles(trial.model));
    if (!cached) return std::nullopt;
    weights_digest = *cached;
  }
  TrialContent content = Base(trial, weights_digest);
  if (trial.calibration) {
    const auto digest = cache_.CachedEntry(CalibrationEntry(trial, weights_digest));
    if (!digest) return std::nullopt;
    content.calibration_digest = *digest;
  }
  return content;
}

TrialContent PlanContents::WithoutCalibration(const Trial& trial) { return Base(trial, WeightsDigest(trial.model)); }

size_t RecordedPairs::done_of(size_t trial) const {
  return static_cast<size_t>(std::count(pairs[trial].begin(), pairs[trial].end(), true));
}

std::optional<TaskRecord> FindUsable(const RecordStore& store, const Plan& plan, const TrialContent& trial,
                                     const TaskContent& task, std::vector<std::string>& faults) {
  auto record = store.FindTask(RecordDigest(TaskKey(trial, task)), faults);
  if (record && record->quantization && !record->quantization->fallbacks.empty() && !plan.study.allow_fallback) {
    return std::nullopt;
  }
  return record;
}

DigestCache CacheOf(const fs::path& output) { return DigestCache(output / "digests.json"); }

RecordedPairs RecordedTasks(const Plan& plan, const PluginHost& host, const fs::path& output) {
  const fs::path folder = output.empty() ? plan.study.output : output;
  RecordedPairs recorded;
  recorded.pairs.assign(plan.trials.size(), std::vector<bool>(plan.study.tasks.size(), false));
  recorded.total = plan.trials.size() * plan.study.tasks.size();
  // A folder without records needs no look at any data file.
  if (!fs::is_directory(folder / "records")) return recorded;
  const RecordStore store(folder);
  DigestCache cache = CacheOf(folder);
  PlanContents contents(plan, host, cache);
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const auto content = contents.Cached(plan.trials[i]);
    if (!content) continue;
    for (size_t t = 0; t < plan.study.tasks.size(); ++t) {
      if (!FindUsable(store, plan, *content, contents.task_content(t), recorded.warnings)) continue;
      recorded.pairs[i][t] = true;
      ++recorded.done;
    }
  }
  return recorded;
}

}  // namespace bitlaw
