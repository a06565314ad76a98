#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/model.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// How an evaluation is carried out. None of it changes a float32 score by more than rounding (about 1e-5 nats),
/// so none of it is part of a record's identity.
struct BITLAW_EXPORT EvaluateOptions {
  int64_t batch_tokens = 2048;                ///< Tokens of one forward pass, unless one text alone has more.
  int64_t kv_budget_bytes = int64_t{1} << 30;  ///< For keys and values, unless one text alone needs more.
  int64_t logits_budget_bytes = int64_t{1} << 27;  ///< For the [positions, V] logits of one step.
  bool share_prefixes = true;                 ///< False: every request is a forward pass of its own (for comparison).
  bool keep_samples = false;                  ///< Keep items and responses in the result.

  static OptionSchema Schema();               ///< Of the study's `evaluate:` map.
  static EvaluateOptions From(const Options& options);
};

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
/// Errors  Those of the task's data; Error(kUnsupported) for requests that do not fit the model;
///         Error(kNumerical) if the model's logits are not finite; Error(kBudget) if memory runs out.
/// Threads One evaluation at a time a model.
BITLAW_EXPORT TaskResult Evaluate(Model& model, const Task& task, const EvaluateOptions& options = {},
                                  const EvaluateProgressFn& progress = {});

/// (value - chance) / (1 - chance): 0 is guessing, 1 is perfect. NaN for metrics that are no accuracy.
BITLAW_EXPORT double ChanceAdjusted(const MetricCard& metric, const MetricSummary& summary);

}  // namespace bitlaw
