#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "cost/measured_costs.h"

namespace bitlaw {

/// The time left of a study as its launcher tells it, by the rule of `bitlaw status`: trials are taken for what they were
/// estimated at, corrected by what those that ended took.
///
/// Not thread-safe.
class BITLAW_EXPORT TimeTeller {
 public:
  /// `output`: where other workers leave their times too. `tasks`: how many each trial is scored on.
  TimeTeller(std::filesystem::path output, std::vector<EstimatedTrial> trials, size_t tasks);

  /// What a trial took from its claim to its end.
  void AddWhole(size_t trial, double seconds);

  /// Not more often than takes a hundredth of the time, since it looks at each trial; and once the first trial ended.
  bool IsDue() const;

  struct Work {
    std::vector<std::pair<size_t, double>> in_hand;  ///< Trials of this launcher's workers, and for how long.
    std::vector<size_t> of_others;                   ///< Trials that others have; for how long is not known here.
    std::vector<size_t> left;
    size_t workers = 0;  ///< All that live, those of others included.
  };
  /// Seconds until the end; NaN before anything was measured.
  double Remaining(const Work& work);

 private:
  using Clock = std::chrono::steady_clock;

  std::filesystem::path output_;
  MeasuredCosts costs_;
  bool is_first_ = false;  // A trial ended, and nothing was told since.
  bool has_told_ = false;
  Clock::time_point told_{};
  double each_s_ = 0;
};

}  // namespace bitlaw
