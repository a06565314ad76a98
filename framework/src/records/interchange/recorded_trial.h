#pragma once

#include <string>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "records/record.h"

namespace bitlaw {

/// What an item asks, of the task's definition and data.
struct BITLAW_EXPORT ItemTexts {
  std::string id;
  int64_t place = 0;  ///< In the data, from 0.
  Value row;          ///< Of the data file; null where the task has none.
  std::vector<Request> requests;
};

/// A task's record with what belongs to it, on the way to another program's form.
struct BITLAW_EXPORT RecordedTask {
  std::string digest;  ///< Of the record.
  TaskRecord record;
  std::vector<ItemScore> items;
  std::vector<ItemTexts> texts;  ///< One for each of `items`, in that order; empty: not known.
  int64_t available = 0;         ///< Items of the data; 0: not known.
  Value timings;                 ///< Null if there are none.
};

/// The tasks of one trial.
struct BITLAW_EXPORT RecordedTrial {
  std::string study, id, label;
  std::vector<RecordedTask> tasks;
};

/// When the last of the tasks was scored: "2026-11-28T09:07:18Z"; "" where no timings tell.
BITLAW_EXPORT std::string LastDate(const RecordedTrial& trial);
/// Seconds since 1970 of such a date; 0 for another text.
BITLAW_EXPORT double EpochSeconds(const std::string& date);

/// "multiple_choice", "loglikelihood", "generate_until" or "loglikelihood_rolling", as lm-evaluation-harness calls what
/// a task asks.
BITLAW_EXPORT std::string OutputTypeOf(const RecordedTask& task);

}  // namespace bitlaw
