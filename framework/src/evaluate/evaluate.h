#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/model.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"
#include "plan/evaluate_options.h"

namespace bitlaw {

/// Told after every batch. `done` and `total` count requests.
struct BITLAW_EXPORT EvaluateProgress {
  std::string_view task;
  int64_t done = 0;
  int64_t total = 0;
};
using EvaluateProgressFn = std::function<void(const EvaluateProgress&)>;

struct BITLAW_EXPORT EvaluateCost {
  int64_t requests = 0;
  int64_t truncated_requests = 0;  ///< Contexts that lost tokens at their left for want of positions.
  int64_t tokens_requested = 0;    ///< What one forward pass a request would read.
  int64_t tokens_computed = 0;     ///< What was read.
  int64_t budget_halvings = 0;     ///< How often memory ran out, and passes went on at half their size.
  double elapsed_s = 0;
};

/// What one task gave.
struct BITLAW_EXPORT TaskResult {
  TaskCard card;                           ///< `limit` is empty when the data had no more items than it.
  std::vector<ItemScore> scores;           ///< In the order of Task::Items().
  std::vector<MetricSummary> summaries;    ///< One for each of card.metrics.
  EvaluateCost cost;
  std::vector<TaskItem> items;             ///< Only with keep_samples.
  std::vector<std::vector<Response>> responses;  ///< Only with keep_samples; matches items and their requests.
};

/// Asks `task`'s requests of `model` and scores the answers.
///
/// Shared prefixes are computed once (reading_plan.h), passes are cut by a token budget, logits are taken only at
/// scored positions, and ln p is computed in float32 from logits in the compute dtype.
///
/// Where memory runs out, what has been scored is kept, budgets are halved and the rest goes on.
///
/// Errors  Those of the task's data; Error(kUnsupported) for requests that do not fit the model;
///         Error(kNumerical) if the model's logits are not finite; Error(kBudget) if memory runs out for the smallest passes too.
/// Threads One evaluation at a time a model.
BITLAW_EXPORT TaskResult Evaluate(Model& model, const Task& task, const EvaluateOptions& options = {},
                                  const EvaluateProgressFn& progress = {});

/// (value - chance) / (1 - chance): 0 is guessing, 1 is perfect. NaN for metrics that are no accuracy.
BITLAW_EXPORT double ChanceAdjusted(const MetricCard& metric, const MetricSummary& summary);

}  // namespace bitlaw
