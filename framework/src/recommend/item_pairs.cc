#include "recommend/item_pairs.h"

#include <cmath>

namespace bitlaw {

namespace {

const std::vector<float>* ScoresOf(const ItemScores::Task& task, const std::string& trial) {
  const auto found = task.of_trial.find(trial);
  return found == task.of_trial.end() || found->second.size() != task.chance.size() ? nullptr : &found->second;
}

// Weighted mean of the adjusted accuracies of one trial.
double AdjustedOf(const ItemScores& scores, const TaskWeights& tasks, const std::string& trial) {
  double sum = 0;
  for (const auto& [name, weight] : tasks) {
    const auto task = scores.tasks.find(name);
    const std::vector<float>* values = task == scores.tasks.end() ? nullptr : ScoresOf(task->second, trial);
    if (values == nullptr || values->empty()) return kUnset;
    double accuracy = 0, chance = 0;
    for (size_t i = 0; i < values->size(); ++i) accuracy += (*values)[i], chance += task->second.chance[i];
    const double n = static_cast<double>(values->size());
    sum += weight * (accuracy / n - chance / n) / (1 - chance / n);
  }
  return sum;
}

}  // namespace

ItemEstimate PairedDifferenceOf(const ItemScores& scores, const TaskWeights& tasks, const std::string& a,
                                const std::string& b, double r) {
  ItemEstimate out;
  const double first = AdjustedOf(scores, tasks, a), second = AdjustedOf(scores, tasks, b);
  if (std::isnan(first) || std::isnan(second)) return out;
  double variance = 0;
  for (const auto& [name, weight] : tasks) {
    const ItemScores::Task& task = scores.tasks.at(name);
    const std::vector<float>&one = *ScoresOf(task, a), &other = *ScoresOf(task, b);
    // Of each outcome half an item, shared by the tasks.
    const double more = 0.5 / static_cast<double>(tasks.size());
    double n = 4 * more, sum = 0, squares = 0, chance = 0;
    for (const double outcome : {1 - r, 1.0, -r, 0.0}) sum += more * outcome, squares += more * outcome * outcome;
    for (size_t i = 0; i < one.size(); ++i) {
      const double d = static_cast<double>(one[i]) - r * static_cast<double>(other[i]);
      sum += d, squares += d * d, n += 1, chance += task.chance[i];
    }
    chance /= static_cast<double>(one.size());
    const double scale = weight / (1 - chance);
    variance += scale * scale * (squares / n - sum / n * (sum / n)) / n;
  }
  return {first - r * second, std::sqrt(variance)};
}

ItemEstimate KeptShare(const ItemScores& scores, const TaskWeights& tasks, const std::string& a, const std::string& b) {
  const double first = AdjustedOf(scores, tasks, a), second = AdjustedOf(scores, tasks, b);
  if (!(second > 0) || std::isnan(first)) return {};
  const double kept = first / second;
  return {kept, PairedDifferenceOf(scores, tasks, a, b, kept).error / second};
}

}  // namespace bitlaw
