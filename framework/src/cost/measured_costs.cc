#include "cost/measured_costs.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

// How trials that are alike are called: of one model and quantizer, of one of the two, all.
std::string Both(const EstimatedTrial& trial) { return "both\n" + trial.model + "\n" + trial.quantizer; }
std::string OfModel(const EstimatedTrial& trial) { return "model\n" + trial.model; }
std::string OfQuantizer(const EstimatedTrial& trial) { return "quantizer\n" + trial.quantizer; }

std::string Text(const Value& map, const char* key) {
  const Value* value = map.Find(key);
  return value != nullptr && value->is_string() ? value->AsString() : "";
}

std::optional<double> Number(const Value& map, const char* key) {
  const Value* value = map.Find(key);
  return value != nullptr && value->is_number() ? std::optional(value->AsReal()) : std::nullopt;
}

// The first files of each folder below `timings` that are not among `known`: names are digests, so that these are any.
std::vector<fs::path> SomeFiles(const fs::path& timings, size_t most, const std::set<fs::path>& known) {
  std::vector<fs::path> folders, files;
  std::error_code error;
  for (fs::directory_iterator entry(timings, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_directory(error)) folders.push_back(entry->path());
  }
  std::sort(folders.begin(), folders.end());
  const size_t each = folders.empty() ? 0 : std::max<size_t>(1, (most + folders.size() - 1) / folders.size());
  for (const fs::path& folder : folders) {
    size_t taken = 0;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      if (entry->path().extension() != ".json" || known.contains(entry->path())) continue;
      files.push_back(entry->path());
      if (++taken == each || files.size() == most) break;
    }
  }
  return files;
}

}  // namespace

MeasuredCosts::MeasuredCosts(std::vector<EstimatedTrial> trials, size_t tasks)
    : trials_(std::move(trials)), tasks_(tasks) {
  for (size_t i = 0; i < trials_.size(); ++i) by_id_[trials_[i].id] = i;
}

void MeasuredCosts::Add(Ratios& ratios, const EstimatedTrial& trial, double measured, double estimated) const {
  for (const std::string& key : {Both(trial), OfModel(trial), OfQuantizer(trial), std::string()}) {
    ratios[key].measured += measured;
    ratios[key].estimated += estimated;
  }
}

double MeasuredCosts::Scale(const Ratios& ratios, const EstimatedTrial& trial, Stage stage, double otherwise) {
  const std::string middle = stage == Stage::kQuantize ? OfQuantizer(trial) : OfModel(trial);
  for (const std::string& key : {Both(trial), middle, std::string()}) {
    const auto found = ratios.find(key);
    if (found != ratios.end() && found->second.estimated > 0) return found->second.measured / found->second.estimated;
  }
  return otherwise;
}

// What all stages took together over what was estimated; 1 before anything was measured.
double MeasuredCosts::AllStages() const {
  double measured = 0, estimated = 0;
  for (const Ratios& ratios : stages_) {
    const auto all = ratios.find("");
    if (all == ratios.end()) continue;
    measured += all->second.measured;
    estimated += all->second.estimated;
  }
  return estimated > 0 ? measured / estimated : 1;
}

void MeasuredCosts::AddTimings(const fs::path& output, size_t most) {
  for (const fs::path& file : SomeFiles(output / "timings", most, read_)) {
    read_.insert(file);
    try {
      const Value timings = ParseJson(ReadWholeFile(file), file.string());
      if (timings.is_map()) TakeTimings(timings);
    } catch (const Error&) {  // Nothing depends on them.
    }
  }
  SumEvaluations();
}

void MeasuredCosts::TakeTimings(const Value& timings) {
  const auto found = by_id_.find(Text(timings, "trial"));
  if (found == by_id_.end()) return;
  const EstimatedTrial& trial = trials_[found->second];
  const std::string task = Text(timings, "task");
  const auto elapsed = Number(timings, "elapsed_s"), total = Number(timings, "total_s");
  if (!task.empty() && elapsed) {
    Mean& mean = evaluations_[trial.model][task];
    mean.sum += *elapsed;
    mean.count += 1;
  } else if (total) {
    const double open = Number(timings, "open_s").value_or(0);
    const double calibrate = Number(timings, "forward_s").value_or(0) + Number(timings, "statistics_s").value_or(0);
    const auto add = [&](Stage stage, double measured) {
      Add(stages_[static_cast<size_t>(stage)], trial, measured, trial.seconds[stage]);
    };
    add(Stage::kLoad, open);
    add(Stage::kCalibrate, calibrate);
    add(Stage::kQuantize, std::max(0.0, *total - calibrate));
  } else {
    return;
  }
  record_scale_.reset();
  seen_.insert(found->second);
  if (const std::string host = Text(timings, "host"); !host.empty()) hosts_.insert(host);
}

// A model's tasks by their means, since of no trial all tasks need have been read.
void MeasuredCosts::SumEvaluations() {
  Ratios& ratios = stages_[static_cast<size_t>(Stage::kEvaluate)];
  ratios.clear();
  std::set<std::string> summed;
  for (const EstimatedTrial& trial : trials_) {
    const auto found = evaluations_.find(trial.model);
    if (found == evaluations_.end() || found->second.size() < tasks_) continue;
    if (!summed.insert(trial.model).second) continue;
    double measured = 0, count = 0;
    for (const auto& [task, mean] : found->second) {
      measured += mean.sum / mean.count;
      count += mean.count;
    }
    for (const std::string& key : {OfModel(trial), std::string()}) {
      ratios[key].measured += count * measured;
      ratios[key].estimated += count * trial.seconds[Stage::kEvaluate];
    }
  }
}

void MeasuredCosts::AddWhole(size_t trial, double seconds) {
  wholes_.emplace_back(trial, seconds);
  Add(whole_, trials_[trial], seconds, trials_[trial].seconds.sum());
  record_scale_.reset();
}

// But for the last stage, of which there are no timings.
StageSeconds MeasuredCosts::OfStages(const EstimatedTrial& trial) const {
  StageSeconds seconds = trial.seconds;
  const double all = AllStages();
  for (size_t s = 0; s < kStages; ++s) seconds.of[s] *= Scale(stages_[s], trial, static_cast<Stage>(s), all);
  return seconds;
}

double MeasuredCosts::RecordScale() const {
  if (record_scale_) return *record_scale_;
  double more = 0, estimated = 0;
  for (const auto& [trial, seconds] : wholes_) {
    const StageSeconds stages = OfStages(trials_[trial]);
    more += seconds - (stages.sum() - stages[Stage::kRecord]);
    estimated += stages[Stage::kRecord];
  }
  // On top of AllStages(): a machine that is slower in all else is slower in this, as long as nothing else is known.
  record_scale_ = estimated > 0 ? std::max(0.0, more / estimated) : 1;
  return *record_scale_;
}

StageSeconds MeasuredCosts::Of(size_t trial) const {
  const EstimatedTrial& one = trials_[trial];
  StageSeconds seconds = OfStages(one);
  if (!seen_.empty()) {
    seconds[Stage::kRecord] *= RecordScale();
  } else {
    const double whole = Scale(whole_, one, Stage::kRecord, 1);
    for (double& stage : seconds.of) stage *= whole;
  }
  return seconds;
}

}  // namespace bitlaw
