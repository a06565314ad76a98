#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "cost/measured_costs.h"
#include "run/claims/claim_order.h"

namespace bitlaw {

/// Seconds until the last of `workers` ends, if each takes the longest trial that is left when it is free, after what it has
/// in hand: at most 4/3 of the best order (Graham 1969). `in_hand`: one a busy worker, at most `workers`.
BITLAW_EXPORT double ListSchedule(const std::vector<double>& in_hand, std::vector<double> left, size_t workers);

/// What is left of a study.
struct BITLAW_EXPORT TimeLeft {
  double work_s = std::numeric_limits<double>::quiet_NaN();       ///< Of one worker; NaN before anything was measured.
  double remaining_s = std::numeric_limits<double>::quiet_NaN();  ///< Until the end; NaN also where nobody works.
};
/// `in_hand`: trials and how long they have been so; `workers`: as many as live, those with a trial included.
BITLAW_EXPORT TimeLeft TimeLeftOf(const MeasuredCosts& costs, const std::vector<std::pair<size_t, double>>& in_hand,
                                  const std::vector<size_t>& left, size_t workers);

/// A trial as the order of trials sees it.
struct BITLAW_EXPORT ScheduledTrial {
  TrialWeight weight;
  double seconds = 0;
  double statistics_s = 0;         ///< Of these, what another trial's statistics spare.
  std::string shared_statistics;   ///< TrialCost::shared_statistics.
  bool calibrates = false;
  bool collects_statistics = false;
};

/// What becomes of a study in the order in which workers take its trials.
struct BITLAW_EXPORT Schedule {
  double work_s = 0;             ///< Of all workers together, what is reused left out.
  double finish_s = 0;           ///< Until the last worker ends.
  double longest_s = 0;          ///< The longest trial: no number of workers is faster.
  size_t opened = 0;             ///< Checkpoints that are opened: one a trial.
  size_t model_changes = 0;      ///< Of these, those of another model than the worker's last: files to be read anew.
  size_t texts = 0;              ///< Calibration texts that are drawn: those of another one than the worker's last.
  size_t statistics = 0;         ///< Passes of calibration text through a model for statistics.
};

/// Plays the study: each worker asks ClaimOrder for its next trial when it is free.
/// Complexity: that of ClaimOrder::Next() a trial; of more than kMostPlayed, PlaySchedule() must not be asked.
inline constexpr size_t kMostPlayed = 4000;
BITLAW_EXPORT Schedule PlaySchedule(const std::vector<ScheduledTrial>& trials, size_t workers);

}  // namespace bitlaw
