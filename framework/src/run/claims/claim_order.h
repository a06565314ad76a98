#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// What the order of trials is chosen by.
struct BITLAW_EXPORT TrialWeight {
  std::string group;     ///< Trials of one model, type and device: what was opened and read is there already.
  std::string subgroup;  ///< Of these, those that calibrate on one text: its tokens and statistics are.
  double cost = 0;       ///< In any unit: what takes long is begun first.
};

/// Trials with their groups and subgroups as numbers. Does not change: any number of orders may share one.
struct BITLAW_EXPORT RankedTrials {
  explicit RankedTrials(const std::vector<TrialWeight>& trials);

  std::vector<uint32_t> groups, subgroups;  ///< Of each trial.
  std::vector<uint32_t> group_of;           ///< Of each subgroup.
  /// Trials group by group, that with the costliest trial first; within a group as they stand.
  std::vector<uint32_t> costliest_first;
  struct Range {
    uint32_t group, begin, end;
  };
  std::vector<Range> ranges;                ///< Of the groups in costliest_first, in its order.
  std::vector<uint32_t> range_of;           ///< Of each group, into `ranges`.
};

/// In which order one worker takes the trials that nobody has: the next one like its last, else of the costliest group
/// that nobody works on, else the costliest one left. Ties go in the order of the list.
///
/// Complexity: a choice looks at each group once, and at the trials of those groups of which it takes one.
class BITLAW_EXPORT ClaimOrder {
 public:
  explicit ClaimOrder(const std::vector<TrialWeight>& trials);
  explicit ClaimOrder(std::shared_ptr<const RankedTrials> trials);

  enum class State : uint8_t { kFree, kInWork, kEnded };
  void Set(size_t trial, State state);
  State state(size_t trial) const { return states_[trial]; }
  size_t free() const { return free_; }
  size_t in_work() const { return in_work_; }

  /// The trial to try, after `last` (none: the worker's first): of the `among` best ones, as far as there are as good ones,
  /// that of number `random`, modulo how many there are, so that of many workers that try at once each tries another.
  /// nullopt: none is free.
  std::optional<size_t> Next(std::optional<size_t> last, size_t among = 1, uint64_t random = 0) const;

 private:
  struct Count {
    uint32_t free = 0, in_work = 0;
    uint32_t quiet = 0;  ///< Of a group: free ones of subgroups that nobody works on.
  };

  std::shared_ptr<const RankedTrials> trials_;
  std::vector<State> states_;
  std::vector<Count> groups_, subgroups_;  ///< By number.
  size_t free_ = 0, in_work_ = 0;
};

}  // namespace bitlaw
