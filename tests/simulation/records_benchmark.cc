// How long the records of a large study take to be looked through: the figures of docs/benchmarks.md. Records of trials that
// were done become those of all trials of another study, under the keys that it asks for; `bitlaw run` then finds all done.
//     records_benchmark PLUGINS CONFIGS STUDY.yaml RESULTS OUTPUT [claims]
// RESULTS: an output folder with records of each task, quantized ones among them. "claims": OUTPUT has a campaign that
// `bitlaw run --prepare` opened; all but ten of its trials become done, by a hundred hosts, for `bitlaw status`.
#include <fmt/core.h>

#include <chrono>
#include <ctime>
#include <map>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/fingerprint.h"
#include "records/plan_records.h"
#include "run/claims/campaign.h"
#include "run/claims/claim_folder.h"
#include "spec/study_spec.h"

// What is measured is reading: without this writing would take minutes.
extern "C" __attribute__((visibility("default"))) int fsync(int) { return 0; }

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct Templates {
  std::map<std::string, std::pair<TaskRecord, std::vector<ItemScore>>> tasks;  // By card.
  std::optional<QuantizationRecord> quantization;
};

Templates TemplatesOf(const fs::path& results) {
  Templates found;
  const RecordStore store(results);
  for (const auto& entry : fs::recursive_directory_iterator(results / "records")) {
    if (entry.path().extension() != ".json") continue;
    const std::string digest = entry.path().stem().string();
    std::vector<std::string> faults;
    if (const auto record = store.FindTask(digest, faults); record && record->quantization) {
      found.tasks[record->card.name] = {*record, store.Items(*record)};
    } else if (const auto quantization = store.FindQuantization(digest, faults)) {
      found.quantization = *quantization;
    }
  }
  return found;
}

void WriteAll(const Plan& plan, const PluginHost& host, const Templates& templates) {
  const RecordStore store(plan.study.output);
  fs::create_directories(plan.study.output);
  DigestCache cache = CacheOf(plan.study.output);
  PlanContents contents(plan, host, cache);
  for (const Trial& trial : plan.trials) {
    TrialContent content = contents.WithoutCalibration(trial);
    if (trial.calibration) {
      const std::string entry = contents.CalibrationEntry(trial, content.weights_digest);
      content.calibration_digest = DigestOf(entry);  // Nobody draws it again.
      cache.SetEntry(entry, content.calibration_digest);
    }
    for (size_t t = 0; t < plan.study.tasks.size(); ++t) {
      auto [record, items] = templates.tasks.at(plan.study.tasks[t].name);
      record.key = TaskKey(content, contents.task_content(t));
      record.trial = {trial.id, trial.label, trial.axes};
      if (trial.quantizer == "none") record.quantization.reset();
      if (trial.quantizer != "none") record.quantization->record = RecordDigest(QuantizationKey(content));
      store.Write(record, items);
      store.WriteTimings(RecordDigest(record.key), Value(Value::Map{{"elapsed_s", 0.5}}));
    }
    if (trial.quantizer == "none") continue;
    QuantizationRecord record = templates.quantization.value();
    record.key = QuantizationKey(content);
    record.trial = {trial.id, trial.label, trial.axes};
    store.Write(record);
  }
  cache.Save();
}

void EndAll(const fs::path& output) {
  FolderFiles files(output);
  const Campaign campaign = ReadCampaign(ReadWholeFile(output / kCampaignFile), kCampaignFile);
  const std::vector<CampaignTrial> trials = ReadTrials(ReadWholeFile(output / kTrialsFile), kTrialsFile);
  ClaimFolder claims(files, campaign.number);
  for (size_t i = 10; i < trials.size(); ++i) {
    const std::string host = fmt::format("node{}", i % 100);
    claims.Claim(trials[i].trial.id, 1,
                 PrettyJson(Value::Map{{"worker", host + "-4711-afc8e8bc"}, {"host", host}, {"pid", 4711}, {"job", ""}}));
    claims.Done(trials[i].trial.id, "");
  }
  fmt::print("{} of {} trials are done\n", trials.size() - 10, trials.size());
}

void Main(int count, char** arguments) {
  PluginHost host(OwnFingerprint());
  host.LoadFolder(arguments[1]);
  StudySpec study = ReadStudy(arguments[3], host, {fs::path(arguments[2])});
  study.output = fs::absolute(arguments[5]);
  if (count > 6) return EndAll(study.output);
  const Plan plan = MakePlan(study, host);
  if (!fs::exists(study.output / "records")) WriteAll(plan, host, TemplatesOf(arguments[4]));
  for (int round = 0; round < 5; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t processor = std::clock();
    const RecordedPairs pairs = RecordedTasks(plan, host, study.output);
    fmt::print("{} of {} task records found: {:.3f} s of processor time, {:.3f} s\n", pairs.done, pairs.total,
               static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC,
               std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
}

}  // namespace
}  // namespace bitlaw

int main(int count, char** arguments) {
  if (count < 6) {
    fmt::print(stderr, "records_benchmark PLUGINS CONFIGS STUDY.yaml RESULTS OUTPUT [claims]\n");
    return 2;
  }
  try {
    bitlaw::Main(count, arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
