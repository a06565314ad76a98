#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"
#include "records/record_store.h"
#include "run/claims/campaign.h"
#include "run/slurm/slurm_queue.h"

namespace bitlaw {

enum class StudyState {
  kNotBegun,     ///< No campaign was opened in the folder.
  kPrepared,     ///< One is open, and nobody has taken a trial of it yet.
  kRunning,      ///< A worker lives.
  kInterrupted,  ///< Trials are left, and nobody works on them.
  kFinished,     ///< Every trial is done.
  kFailed,  ///< None is in hand, and some failed: all others are done, or so many failed that no other one is begun.
};
BITLAW_EXPORT std::string_view Name(StudyState state);  ///< "running"

/// A process that takes trials, as its beats tell.
struct BITLAW_EXPORT WorkerStatus {
  WorkerIdentity worker;
  /// It beats, or its process runs; false: not for the expiry, or its process, of this machine, is gone.
  bool lives = true;
  double silent_s = 0;  ///< Since its last beat, by the file's time.
  std::vector<std::string> trials;
};

/// A trial in the hands of a worker that lives.
struct BITLAW_EXPORT HeldTrial {
  std::string trial, label;
  WorkerIdentity worker;
  double since_s = 0;   ///< Since it was claimed, by the file's time.
  double silent_s = 0;  ///< Since its worker's last beat.
  int attempt = 1;
};

/// What a machine has done of a campaign, and does.
struct BITLAW_EXPORT HostShare {
  size_t done = 0;
  size_t in_hand = 0;
};

/// A trial whose last attempt failed.
struct BITLAW_EXPORT FailedTrial {
  FailureRecord failure;         ///< Of that attempt; trial and label alone where its file cannot be read.
  bool is_final = true;          ///< It is not tried again in this campaign.
  std::vector<std::string> log;  ///< The last lines that its process wrote.
};

/// How far the last campaign of an output folder is.
struct BITLAW_EXPORT StudyStatus {
  StudyState state = StudyState::kNotBegun;
  std::string study;
  int64_t campaign = 0;
  size_t total = 0;
  size_t done = 0;             ///< Recorded, before the campaign or in it.
  size_t recorded_before = 0;  ///< Of these, before it.
  size_t failed = 0;           ///< For good.
  size_t left = 0;             ///< Neither done nor failed nor in hand.
  std::vector<HeldTrial> held;
  /// By host name, as claims tell it; "" for trials whose claims do not.
  std::map<std::string, HostShare> hosts;
  std::vector<WorkerStatus> workers;
  std::vector<FailedTrial> failures;
  std::string stopped;  ///< Why no other trial is begun; "" unless too many failed.
  SlurmJobs jobs;
  /// Seconds until the end if the trials that are left take what MeasuredCosts says and the workers that live stay; NaN
  /// where that is not known, or nobody works.
  double remaining_s = std::numeric_limits<double>::quiet_NaN();
  /// Seconds of one process for all that is left; NaN before any trial was measured.
  double work_left_s = std::numeric_limits<double>::quiet_NaN();
  size_t records = 0;  ///< Files of records, where there is no campaign.
};

/// Reads the status of an output folder, again and again: from the names of its claims and a few small files, on any
/// machine that sees it, without a lock and without writing anything. Of workers of other machines the first look
/// believes the times of files; those after it what was seen to change.
class BITLAW_EXPORT StatusReader {
 public:
  explicit StatusReader(std::filesystem::path output);
  ~StatusReader();
  /// Error(kIo) if there is no such folder, or a file of the campaign is none.
  StudyStatus Read();

 private:
  struct Trials;
  const Trials& TrialsOf(const Campaign& campaign);
  void ReadWorkers(const Campaign& campaign, StudyStatus& status);
  void ReadTrials(const Campaign& campaign, StudyStatus& status);
  void CountByHost(const std::vector<std::string>& done, StudyStatus& status);
  void ReadFailures(const std::map<std::string, int>& failed, const Campaign& campaign, StudyStatus& status);

  std::filesystem::path output_;
  FolderFiles files_;
  std::unique_ptr<Trials> trials_;
  std::unique_ptr<LifeWatch> watch_;
  std::map<std::string, std::string> hosts_;  ///< Of claims of trials that are done, which do not change.
};

}  // namespace bitlaw
