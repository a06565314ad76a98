#include "cli/tensor/against_unquantized.h"

#include <cmath>
#include <cstdio>

#include "cli/common/output.h"
#include "report/paired_table.h"

namespace bitlaw {

TaskComparison CompareWithUnquantized(Model& unquantized, Model& quantized, const Task& task, const TaskResult& result,
                                      const EvaluateOptions& options, const EvaluateProgressFn& progress) {
  const TaskResult before = Evaluate(unquantized, task, options, progress);
  TaskComparison comparison{
      result.card.name, result.card.metrics, {}, CompareModels(unquantized, quantized, task, options)};
  for (size_t m = 0; m < result.card.metrics.size(); ++m) {
    comparison.paired.push_back(ComparePaired(result.card.metrics[m], m, before.scores, result.scores));
  }
  return comparison;
}

void PrintComparisons(const std::vector<TaskComparison>& comparisons) {
  ReportTable paired = MakePairedTable({"task"}, {}), divergence;
  paired.title = "Beside the unquantized model, item by item";
  divergence.title = "Predictions beside the unquantized model's";
  divergence.header = {"task", "texts", "positions", "KL nats", "+-", "same top token", "+-"};
  for (const TaskComparison& comparison : comparisons) {
    for (size_t m = 0; m < comparison.paired.size(); ++m) {
      paired.rows.push_back(PairedRow({m == 0 ? comparison.task : ""}, comparison.metrics[m], comparison.paired[m]));
    }
    const Divergence& far = comparison.divergence;
    if (far.positions == 0) continue;
    divergence.rows.push_back({comparison.task, Whole(static_cast<double>(far.texts)),
                               Whole(static_cast<double>(far.positions)), Significant(far.kl_nats),
                               Significant(far.kl_standard_error, 2), Fixed(far.top1_agreement, 4),
                               Fixed(far.top1_standard_error, 4)});
  }
  std::printf("\n%s", RenderText(paired).c_str());
  if (!divergence.rows.empty()) std::printf("\n%s", RenderText(divergence).c_str());
}

Value ComparisonJson(const TaskComparison& comparison) {
  Value metrics(Value::List{});
  for (size_t m = 0; m < comparison.paired.size(); ++m) {
    const PairedDifference& one = comparison.paired[m];
    metrics.AsList().push_back(Value::Map{{"name", comparison.metrics[m].name},
                                          {"items", one.items},
                                          {"unquantized", NumberOrNull(one.first)},
                                          {"quantized", NumberOrNull(one.second)},
                                          {"difference", NumberOrNull(one.difference)},
                                          {"standard_error", NumberOrNull(one.standard_error)},
                                          {"low", NumberOrNull(one.low)},
                                          {"high", NumberOrNull(one.high)},
                                          {"only_unquantized", one.only_first},
                                          {"only_quantized", one.only_second},
                                          {"mcnemar_p", NumberOrNull(one.mcnemar_p)},
                                          {"detectable", NumberOrNull(one.detectable)}});
  }
  const Divergence& far = comparison.divergence;
  return Value::Map{{"metrics", std::move(metrics)},
                    {"texts", far.texts},
                    {"positions", far.positions},
                    {"kl_nats", NumberOrNull(far.kl_nats)},
                    {"kl_standard_error", NumberOrNull(far.kl_standard_error)},
                    {"top1_agreement", NumberOrNull(far.top1_agreement)},
                    {"top1_standard_error", NumberOrNull(far.top1_standard_error)}};
}

}  // namespace bitlaw
