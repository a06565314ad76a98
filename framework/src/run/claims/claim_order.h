#pragma once

#include <cstddef>
#include <map>
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

/// In which order one worker takes the trials that nobody has: the next one like its last, else of the costliest group
/// that nobody works on, else the costliest one left. Ties go in the order of the list.
///
/// Complexity: a choice looks at each trial once.
class BITLAW_EXPORT ClaimOrder {
 public:
  explicit ClaimOrder(std::vector<TrialWeight> trials);

  enum class State { kFree, kInWork, kEnded };
  void Set(size_t trial, State state);
  State state(size_t trial) const { return states_[trial]; }
  size_t free() const { return free_; }
  size_t in_work() const { return in_work_; }

  /// The trial to try, after `last` (none: the worker's first). `skip`: how many of the best ones to pass over, as far as
  /// there are as good ones: of many workers that try at once each tries another. nullopt: none is free.
  std::optional<size_t> Next(std::optional<size_t> last, size_t skip = 0) const;

 private:
  void Count(size_t trial, int by);

  std::vector<TrialWeight> trials_;
  std::vector<State> states_;
  std::vector<size_t> costliest_first_;  ///< Trials by falling cost of their group, then of their own.
  std::map<std::string, int> groups_in_work_, subgroups_in_work_;
  size_t free_ = 0, in_work_ = 0;
};

}  // namespace bitlaw
