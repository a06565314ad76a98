#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"
#include "plan/plan.h"
#include "plugin/host.h"
#include "records/digest_cache.h"
#include "records/record_store.h"

namespace bitlaw {

/// Tells by which digests the records of a plan's trials and tasks are filed.
///
/// The digests of weights and calibration tokens come from the cache where it knows them; what is asked for in
/// "Cached" functions is never read or drawn. The plan, host and cache must outlive the object.
class BITLAW_EXPORT PlanContents {
 public:
  PlanContents(const Plan& plan, const PluginHost& host, DigestCache& cache);
  ~PlanContents();
  PlanContents(const PlanContents&) = delete;
  PlanContents& operator=(const PlanContents&) = delete;

  /// Task `index` of the study, opened once. Error(kIo / kSpec) of the task's own.
  const Task& task(size_t index);
  /// What determines its numbers; reads its data file.
  const TaskContent& task_content(size_t index);

  /// A corpus of the study, opened once.
  const Corpus& corpus(const std::string& name);

  /// Digest of a model's files; reads them when the cache does not know them.
  const std::string& WeightsDigest(size_t model);
  /// The digest of the files as they are now; WeightsDigest() gives it from then on.
  const std::string& TakeWeightsDigest(size_t model);
  /// Has Cached() take a model's digest from somebody who read its files; WeightsDigest() still reads them.
  void AssumeWeightsDigest(size_t model, const std::string& digest) { weights_digests_[model] = digest; }
  /// Watches these files since the digest was taken.
  FileWatch& model_watch(size_t model) { return model_watches_[model]; }

  /// Error(kIo) if the task's definition or data are no longer those of task_content().
  void CheckTask(size_t index);
  /// Error(kIo) if the corpus is no longer the one that corpus() opened.
  void CheckCorpus(const std::string& name);

  /// What determines a trial's numbers. nullopt if the cache lacks a digest.
  std::optional<TrialContent> Cached(const Trial& trial);

  /// The same, with the calibration digest left to the caller ("" if the trial takes none); reads weights if it must.
  TrialContent WithoutCalibration(const Trial& trial);

  /// Under which entry the cache keeps the digest of a trial's calibration tokens; needs the model's weights digest.
  std::string CalibrationEntry(const Trial& trial, const std::string& weights_digest);

  const Plan& plan() const { return plan_; }
  const PluginHost& host() const { return host_; }

 private:
  std::unique_ptr<Corpus> MakeCorpus(const std::string& name) const;
  TrialContent Base(const Trial& trial, std::string weights_digest);
  std::vector<std::filesystem::path> ModelFiles(size_t model) const;

  const Plan& plan_;
  const PluginHost& host_;
  DigestCache& cache_;
  std::vector<std::unique_ptr<Task>> tasks_;
  std::vector<std::optional<TaskContent>> task_contents_;
  std::map<std::string, std::unique_ptr<Corpus>> corpora_;
  std::map<std::string, std::string> corpus_digests_;
  std::vector<std::string> weights_digests_;
  std::vector<FileWatch> model_watches_;
};

/// Which (trial, task) pairs of a plan have a record.
struct BITLAW_EXPORT RecordedPairs {
  std::vector<std::vector<bool>> pairs;  ///< [trials][tasks of the study]
  size_t done = 0, total = 0;
  std::vector<std::string> warnings;     ///< Files that are no whole records; they count as not recorded.
  size_t done_of(size_t trial) const;
};

/// Looks into `output` (the study's own folder if empty). Reads task data and records; no weights. A model whose
/// weights were never digested in this folder has no recorded tasks, as far as this can tell.
BITLAW_EXPORT RecordedPairs RecordedTasks(const Plan& plan, const PluginHost& host,
                                          const std::filesystem::path& output = {});

/// The record of one pair if it may be used: a record with fallbacks only if the study allows them.
BITLAW_EXPORT std::optional<TaskRecord> FindUsable(const RecordStore& store, const Plan& plan,
                                                   const TrialContent& trial, const TaskContent& task,
                                                   std::vector<std::string>& faults);

/// The cache of an output folder.
BITLAW_EXPORT DigestCache CacheOf(const std::filesystem::path& output);

}  // namespace bitlaw
