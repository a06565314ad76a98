#include "fit/table/task_signal.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "api/chance_adjusted.h"

namespace bitlaw {

std::vector<TaskSignal> TaskSignals(const Table& observations) {
  std::vector<TaskSignal> signals;
  for (const char* needed : {"task", "acc_adj", "standard_error", "chance"}) {
    if (observations.Find(needed) == nullptr) return signals;
  }
  const TableColumn& task = observations.At("task");
  const TableColumn *primary = observations.Find("primary"), *kind = observations.Find("metric_kind");
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> scores;  // acc_adj, squared errors
  for (size_t row = 0; row < observations.rows(); ++row) {
    if (primary != nullptr && !observations.Flag(*primary, row, true)) continue;
    if (kind != nullptr && observations.CellText(*kind, row) != "accuracy") continue;
    const std::string name = observations.CellText(task, row);
    if (!scores.contains(name)) signals.push_back({name});
    const double value = observations.NumberAt("acc_adj", row);
    const double error =
        ChanceAdjustedError(observations.NumberAt("standard_error", row), observations.NumberAt("chance", row));
    auto& [values, squares] = scores[name];
    if (!std::isfinite(value) || !std::isfinite(error)) continue;
    values.push_back(value);
    squares.push_back(error * error);
  }
  for (TaskSignal& signal : signals) {
    const auto& [values, squares] = scores[signal.task];
    signal.trials = values.size();
    if (values.size() < 3) continue;
    const auto n = static_cast<double>(values.size());
    double mean = 0, sampling = 0, variance = 0;
    for (size_t i = 0; i < values.size(); ++i) mean += values[i] / n, sampling += squares[i] / n;
    for (const double value : values) variance += (value - mean) * (value - mean) / (n - 1);
    signal.sampling = sampling;
    signal.between = std::max(0.0, variance - sampling);
    if (sampling > 0) signal.signal_to_noise = signal.between / sampling;
  }
  return signals;
}

Table WithTaskSignals(Table observations) {
  if (observations.Find("signal_to_noise") != nullptr) return observations;
  std::map<std::string, double> of_task;
  for (const TaskSignal& signal : TaskSignals(observations)) of_task[signal.task] = signal.signal_to_noise;
  if (of_task.empty()) return observations;
  std::vector<double> ratios(observations.rows(), kUnset);
  for (size_t row = 0; row < ratios.size(); ++row) {
    const auto found = of_task.find(observations.TextAt("task", row));
    if (found != of_task.end()) ratios[row] = found->second;
  }
  observations.AddNumbers("signal_to_noise", std::move(ratios));
  return observations;
}

}  // namespace bitlaw
