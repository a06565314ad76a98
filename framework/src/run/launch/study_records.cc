#include "run/launch/study_records.h"

#include <fmt/format.h>

#include <filesystem>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "run/trial.h"

namespace bitlaw {

StudyRecords::StudyRecords(const Plan& plan, const PluginHost& host, const RecordStore& store, DigestCache& cache)
    : plan_(plan), host_(host), store_(store), cache_(cache), contents_(plan, host, cache) {}

const FileWatch& StudyRecords::Code() {
  if (!code_) code_ = WatchCode(host_);
  return *code_;
}

StudyRecords::Found StudyRecords::Find(size_t index, bool keep_codes) {
  const Trial& trial = plan_.trials[index];
  const size_t tasks = plan_.study.tasks.size();
  Found found;
  found.tasks.assign(tasks, false);
  contents_.WeightsDigest(trial.model);
  cache_.Save();  // The next model's may take minutes, too.
  const auto content = contents_.Cached(trial);
  if (!content) return found;
  for (size_t t = 0; t < tasks; ++t) {
    const auto record = FindUsable(store_, plan_, *content, contents_.task_content(t), found.faults);
    if (!record) continue;
    found.tasks[t] = true;
    ++found.done;
    for (const std::string& plugin : RebuiltPlugins(store_.Timings(RecordDigest(record->key)), host_, Code())) {
      ++rebuilt_[plugin];
    }
  }
  const bool quantized = HasQuantization(trial, *content, found.done > 0 ? &found.faults : nullptr);
  found.is_complete = found.done == tasks && quantized;
  if (found.is_complete && trial.quantizer != "none" && !keep_codes) {
    std::error_code ignored;  // A kill after the last record leaves the codes behind.
    std::filesystem::remove(ArtifactPath(store_, *content), ignored);
  }
  return found;
}

void StudyRecords::Forget(size_t index) {
  const Trial& trial = plan_.trials[index];
  contents_.WeightsDigest(trial.model);
  const auto content = contents_.Cached(trial);
  if (!content) return;
  for (size_t t = 0; t < plan_.study.tasks.size(); ++t) {
    store_.Quarantine(RecordDigest(TaskKey(*content, contents_.task_content(t))));
  }
  if (trial.quantizer == "none") return;
  store_.Quarantine(RecordDigest(QuantizationKey(*content)));
  std::error_code ignored;
  std::filesystem::remove(ArtifactPath(store_, *content), ignored);
}

// Whether the record of a trial's quantization is whole; the unquantized model has none to lack.
bool StudyRecords::HasQuantization(const Trial& trial, const TrialContent& content,
                                   std::vector<std::string>* faults) const {
  if (trial.quantizer == "none") return true;
  std::vector<std::string> found;
  const bool has = store_.FindQuantization(RecordDigest(QuantizationKey(content)), found).has_value();
  if (faults == nullptr) return has;
  if (!has && found.empty()) {
    found.push_back(fmt::format("{}: the record of its quantization is missing.", trial.label));
  }
  faults->insert(faults->end(), found.begin(), found.end());
  return has;
}

std::string StudyRecords::Lacking(size_t index) {
  const Trial& trial = plan_.trials[index];
  const auto content = contents_.Cached(trial);
  if (!content) return "the digest of its calibration tokens is not known";
  std::vector<std::string> faults;
  for (size_t t = 0; t < plan_.study.tasks.size(); ++t) {
    if (FindUsable(store_, plan_, *content, contents_.task_content(t), faults)) continue;
    return faults.empty() ? fmt::format("there is no record of task '{}'", plan_.study.tasks[t].name) : faults.front();
  }
  if (HasQuantization(trial, *content, nullptr)) return "";
  return "there is no record of its quantization";
}

// Reads a model's files again if they were touched, and remembers them as they are now.
std::string StudyRecords::ModelChange(size_t model) {
  try {
    const std::string before = contents_.WeightsDigest(model);
    return contents_.TakeWeightsDigest(model) == before ? "" : "its model was replaced since";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string StudyRecords::LackingAtTheEnd(size_t index) {
  const size_t model = plan_.trials[index].model;
  if (!model_changes_.contains(model)) model_changes_[model] = ModelChange(model);
  return model_changes_[model].empty() ? Lacking(index) : model_changes_[model];
}

std::string StudyRecords::CalibrationText(size_t index) {
  const Trial& trial = plan_.trials[index];
  const auto content = contents_.Cached(trial);
  if (!content || !trial.calibration) return "";
  return Value(Value::Map{{"entry", contents_.CalibrationEntry(trial, content->weights_digest)},
                          {"digest", content->calibration_digest}})
             .CanonicalJson() +
         "\n";
}

void StudyRecords::TakeCalibration(const std::string& text) {
  try {
    const Value json = ParseJson(text, "done");
    const Value *entry = json.is_map() ? json.Find("entry") : nullptr, *digest = json.is_map() ? json.Find("digest") : nullptr;
    if (entry == nullptr || digest == nullptr || !entry->is_string() || !digest->is_string()) return;
    if (!cache_.CachedEntry(entry->AsString())) cache_.SetEntry(entry->AsString(), digest->AsString());
  } catch (const Error&) {  // Of a trial without calibration.
  }
}

}  // namespace bitlaw
