#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/table/unset.h"
#include "records/table.h"

namespace bitlaw {

/// How much of what tells the configurations of a study apart on a task is more than the luck of its items:
///
///     signal_to_noise = (variance of acc_adj over trials - mean of standard_error^2) / mean of standard_error^2
///
/// with errors of acc_adj, and 0 where the difference is negative. Trials share their items, which makes differences
/// between them surer than this says.
struct BITLAW_EXPORT TaskSignal {
  std::string task;
  size_t trials = 0;
  double between = kUnset;   ///< Variance over trials less that of the items, at least 0.
  double sampling = kUnset;  ///< Mean square of the standard errors.
  double signal_to_noise = kUnset;
};

/// Of each task of observations (columns trial, task, acc_adj, standard_error, chance), in order of first appearance, over
/// its rows that are primary and of an accuracy. NaN with fewer than three trials or without errors.
BITLAW_EXPORT std::vector<TaskSignal> TaskSignals(const Table& observations);

/// The table with the column `signal_to_noise` of each row's task; as it is where it has such a column or no tasks.
BITLAW_EXPORT Table WithTaskSignals(Table observations);

}  // namespace bitlaw
