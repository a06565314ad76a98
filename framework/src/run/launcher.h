#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "plan/evaluate_options.h"
#include "plan/plan.h"
#include "plugin/host.h"
#include "run/claims/campaign.h"
#include "run/machine/output_lock.h"

namespace bitlaw {

struct BITLAW_EXPORT LaunchOptions {
  std::filesystem::path output;
  int workers = 1;
  CampaignSettings campaign;                ///< How failures and other workers are dealt with.
  EvaluateOptions evaluate;
  /// argv of a worker process, which speaks worker_message.h: ServeTrials() in worker.h. "--device" and one of
  /// `devices`, in turn, and what the campaign says are added.
  std::vector<std::string> worker_command;
  std::vector<std::string> devices = {"cpu"};
  OutputLock* lock = nullptr;               ///< Of the output; taken for as long as a campaign is opened.
  /// Trials to do; empty: those of the plan. Indices into Plan::trials.
  std::vector<size_t> trials;
  bool force = false;                       ///< Put their records aside and do them again.
  bool prepare_only = false;                ///< Open the campaign for workers elsewhere, and return.
  bool goes_on = false;                     ///< Join the campaign that is open, though nobody works on it.
  /// Take part in this campaign, whose trials are the plan's, and open none.
  std::optional<Campaign> joins;
  std::vector<CampaignTrial> joined_trials;
  bool waits = true;                        ///< For trials in the hands of other workers that live.
  double grace_s = 60;                      ///< For trials in hand, once a signal asks to leave.
};

/// What the progress display is told. Functions that are not set are not called.
struct BITLAW_EXPORT LaunchProgress {
  size_t tasks_done = 0, tasks_total = 0;    ///< Pairs of trial and task; those recorded before count as done.
  size_t tasks_at_start = 0;                 ///< Of these, recorded before.
  size_t trials_failed = 0;
  double elapsed_s = 0;
  std::string current;                       ///< "SmolLM2-135M gptq bits=3: evaluate arc_easy"
  std::string last_score;                    ///< "arc_easy acc 0.4210 +- 0.0156"; "" before the first.
  /// Seconds until the end, as `bitlaw status` tells (TimeLeftOf()); NaN before a trial was measured.
  double remaining_s = std::numeric_limits<double>::quiet_NaN();
};
struct BITLAW_EXPORT LaunchSink {
  std::function<void(const LaunchProgress&)> tick;     ///< Several times a second.
  /// A trial ended, a warning; or, with `detail`, a task was scored. One line each.
  std::function<void(const LaunchProgress& progress, const std::string& line, bool detail)> event;
};

struct BITLAW_EXPORT TrialFailure {
  size_t trial = 0;
  std::string stage, kind, reason;
};

struct BITLAW_EXPORT LaunchResult {
  size_t trials_done = 0;     ///< Complete at the end, those recorded before included.
  size_t trials_here = 0;     ///< Of these, ended now, by this launcher.
  size_t trials_left = 0;     ///< After prepare_only: that nobody has begun.
  size_t given_back = 0;      ///< In hand when it was stopped, and free for others now.
  size_t tasks_recorded = 0;  ///< New.
  std::vector<TrialFailure> failures;
  int stopped_by = 0;         ///< SIGINT, SIGTERM, SIGHUP or SIGUSR1, or 0.
  bool is_complete = true;    ///< Nothing is left to do; where it stopped, or did not wait for others, there may be.
  int64_t campaign = 0;       ///< Its number.
  std::string stopped;        ///< Why no further trial was begun; "" unless too many failed.
};

/// Does what is not yet recorded of a plan, in worker processes, beside other launchers on any machine (run/claims), and
/// returns when nothing is left, or soon after SIGINT, SIGTERM or SIGHUP; after SIGUSR1 (and SIGTERM, if it joined) once the
/// trials in hand have ended. A trial that throws, crashes its worker or takes too long is a failure of the result and a file
/// in <output>/failures, after as many attempts as the campaign says; the others go on in a new worker. What counts as done is
/// in the records when Launch() returns, whatever a worker said.
///
/// Errors  Error(kIo) for unreadable weights or an output that cannot be written or is gone, and if workers live that do
///         something else in it; Error(kPlugin) if workers end before they could take a trial, three in a row, with what
///         the last one wrote.
/// Threads One launch a process: it handles signals while it runs.
BITLAW_EXPORT LaunchResult Launch(const Plan& plan, const PluginHost& host, const LaunchOptions& options,
                                  const LaunchSink& sink);

}  // namespace bitlaw
