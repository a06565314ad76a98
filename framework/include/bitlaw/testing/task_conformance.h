#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"

namespace bitlaw::testing {

/// What a task is tried with beside what the kit makes up.
struct TaskTrial {
  /// The responses of a model that knows the answer, or null: of an item and ItemScore::right as the task gives it. The
  /// item must then have the best value there is: accuracy 1. Needed for tasks that let a model write, whose form of an
  /// answer no kit can guess.
  std::function<std::vector<Response>(const TaskItem& item, const std::string& right)> knows{};
  int64_t max_items = 40;  ///< So many items, from the first one, are scored.
};

/// What a task does against the promises of task.h, one sentence an entry; empty if it keeps them. `make` makes the
/// task afresh.
///
/// Tried: a card with name, version and metrics; items with ids of their own and requests that can be asked; the same
/// items and digest the second time and from another object; scores of made-up responses (each request in turn the
/// likeliest, all, none): one value a metric, accuracies 0 or 1, chances in [0, 1), what was chosen against what is
/// right, the same twice; that scores follow the responses: every accuracy reaches 1 and 0 somewhere, a loss rises with
/// the windows' losses; and, with TaskTrial::knows, that who knows the answer is right.
BITLAW_EXPORT std::vector<std::string> TaskFaults(const std::function<std::unique_ptr<Task>()>& make,
                                                  const std::string& name, const TaskTrial& trial = {});

}  // namespace bitlaw::testing
