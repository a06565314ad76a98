#include "run/schedule/schedule.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <queue>
#include <utility>

namespace bitlaw {

double ListSchedule(const std::vector<double>& in_hand, std::vector<double> left, size_t workers) {
  std::priority_queue<double, std::vector<double>, std::greater<>> free;  // When workers are.
  for (size_t i = 0; i < std::max<size_t>(1, workers); ++i) free.push(i < in_hand.size() ? in_hand[i] : 0);
  std::sort(left.begin(), left.end(), std::greater<>());
  for (const double seconds : left) {
    const double begin = free.top();
    free.pop();
    free.push(begin + seconds);
  }
  double last = 0;
  for (; !free.empty(); free.pop()) last = free.top();
  return last;
}

TimeLeft TimeLeftOf(const MeasuredCosts& costs, const std::vector<std::pair<size_t, double>>& in_hand,
                    const std::vector<size_t>& left, size_t workers) {
  TimeLeft time;
  if (!costs.IsMeasured()) return time;
  time.work_s = 0;
  std::vector<double> begun, others;
  for (const auto& [trial, since_s] : in_hand) begun.push_back(std::max(0.0, costs.Of(trial).sum() - since_s));
  for (const size_t trial : left) others.push_back(costs.Of(trial).sum());
  for (const std::vector<double>* list : {&begun, &others}) {
    for (const double seconds : *list) time.work_s += seconds;
  }
  if (workers > 0) time.remaining_s = ListSchedule(begun, std::move(others), std::max(workers, begun.size()));
  return time;
}

Schedule PlaySchedule(const std::vector<ScheduledTrial>& trials, size_t workers) {
  std::vector<TrialWeight> weights;
  for (const ScheduledTrial& trial : trials) weights.push_back(trial.weight);
  ClaimOrder order(weights);
  struct Worker {
    std::optional<size_t> last, in_hand;
    std::string text, statistics;  // That it has.
  };
  std::vector<Worker> all(std::max<size_t>(1, workers));
  Schedule schedule;
  using Event = std::pair<double, size_t>;  // When a worker is free, and which.
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events;
  for (size_t i = 0; i < all.size(); ++i) events.emplace(0.0, i);
  while (!events.empty()) {
    const auto [now, number] = events.top();
    events.pop();
    Worker& worker = all[number];
    schedule.finish_s = std::max(schedule.finish_s, now);
    if (worker.in_hand) order.Set(*worker.in_hand, ClaimOrder::State::kEnded);
    worker.last = std::exchange(worker.in_hand, std::nullopt);
    const auto next = order.Next(worker.last);
    if (!next) continue;
    order.Set(*next, ClaimOrder::State::kInWork);
    worker.in_hand = *next;
    const ScheduledTrial& trial = trials[*next];
    double seconds = trial.seconds;
    ++schedule.opened;
    if (!worker.last || trials[*worker.last].weight.group != trial.weight.group) ++schedule.model_changes;
    if (trial.calibrates) {
      const std::string text = trial.weight.group + "\n" + trial.weight.subgroup;
      if (text != worker.text) ++schedule.texts, worker.text = text;
    }
    if (trial.collects_statistics) {
      const bool has = !trial.shared_statistics.empty() && trial.shared_statistics == worker.statistics;
      has ? seconds -= trial.statistics_s : ++schedule.statistics;
      if (!trial.shared_statistics.empty()) worker.statistics = trial.shared_statistics;
    }
    schedule.work_s += seconds;
    schedule.longest_s = std::max(schedule.longest_s, seconds);
    events.emplace(now + seconds, number);
  }
  return schedule;
}

}  // namespace bitlaw
