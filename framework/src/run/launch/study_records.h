#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "plan/plan.h"
#include "records/plan_records.h"
#include "records/record_store.h"
#include "run/machine/code_watch.h"

namespace bitlaw {

/// What of a study's trials is recorded, as its launcher finds it: the records decide, whatever a worker says.
class BITLAW_EXPORT StudyRecords {
 public:
  StudyRecords(const Plan& plan, const PluginHost& host, const RecordStore& store, DigestCache& cache);

  struct Found {
    std::vector<bool> tasks;            ///< Which have a usable record.
    size_t done = 0;                    ///< How many.
    bool is_complete = false;           ///< All of them, and the quantization's.
    std::vector<std::string> faults;    ///< Files that are none.
  };
  /// Looks a trial up; reads its model's weights if their digest is not known. Codes that a complete trial left behind are
  /// removed, unless `keep_codes`.
  Found Find(size_t trial, bool keep_codes);
  /// Puts a trial's records aside, so that it is done again.
  void Forget(size_t trial);

  /// What a trial lacks in the records, "" if nothing.
  std::string Lacking(size_t trial);
  /// The same, and of a model whose files were replaced that they were; files that were touched are read again, once a
  /// model.
  std::string LackingAtTheEnd(size_t trial);

  const std::string& WeightsDigest(size_t model) { return contents_.WeightsDigest(model); }
  void AssumeWeightsDigest(size_t model, const std::string& digest) { contents_.AssumeWeightsDigest(model, digest); }
  const FileWatch& Code();
  /// Of the records that Find() found, how many were made by another build of a plugin than the one that is loaded.
  const std::map<std::string, size_t>& rebuilt() const { return rebuilt_; }
  /// For others: the digest of a trial's calibration tokens, as the cache keeps it; "" if there is none.
  std::string CalibrationText(size_t trial);
  void TakeCalibration(const std::string& text);

 private:
  bool HasQuantization(const Trial& trial, const TrialContent& content, std::vector<std::string>* faults) const;
  std::string ModelChange(size_t model);

  const Plan& plan_;
  const PluginHost& host_;
  const RecordStore& store_;
  DigestCache& cache_;
  PlanContents contents_;
  std::optional<FileWatch> code_;
  std::map<std::string, size_t> rebuilt_;
  std::map<size_t, std::string> model_changes_;  ///< By model; "" if it is what it was.
};

}  // namespace bitlaw
