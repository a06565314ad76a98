#pragma once

#include <string>
#include <vector>

#include "bitlaw/api/model.h"
#include "evaluate/divergence.h"
#include "evaluate/evaluate.h"
#include "fit/study/item_statistics.h"

namespace bitlaw {

/// One task of a quantized model beside the unquantized one.
struct TaskComparison {
  std::string task;
  std::vector<MetricCard> metrics;
  std::vector<PairedDifference> paired;  ///< One for each metric.
  Divergence divergence;
};

/// Evaluates `task` with the unquantized model and compares it with what the quantized one gave.
TaskComparison CompareWithUnquantized(Model& unquantized, Model& quantized, const Task& task, const TaskResult& result,
                                      const EvaluateOptions& options, const EvaluateProgressFn& progress);

void PrintComparisons(const std::vector<TaskComparison>& comparisons);
Value ComparisonJson(const TaskComparison& comparison);

}  // namespace bitlaw
