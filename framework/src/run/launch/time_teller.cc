#include "run/launch/time_teller.h"

#include <algorithm>
#include <cmath>

#include "run/schedule/schedule.h"

namespace bitlaw {
namespace {

constexpr double kEach_s = 0.5;       // At most so often.
constexpr size_t kMostTimings = 500;  // Files of times that are read at once.

}  // namespace

TimeTeller::TimeTeller(std::filesystem::path output, std::vector<EstimatedTrial> trials, size_t tasks)
    : output_(std::move(output)), costs_(std::move(trials), tasks) {}

void TimeTeller::AddWhole(size_t trial, double seconds) {
  costs_.AddWhole(trial, seconds);
  is_first_ = !has_told_;
}

bool TimeTeller::IsDue() const {
  return is_first_ || std::chrono::duration<double>(Clock::now() - told_).count() >= each_s_;
}

double TimeTeller::Remaining(const Work& work) {
  const Clock::time_point begun = told_ = Clock::now();
  is_first_ = false;
  costs_.AddTimings(output_, kMostTimings);
  std::vector<std::pair<size_t, double>> in_hand = work.in_hand;
  for (const size_t trial : work.of_others) in_hand.emplace_back(trial, costs_.Of(trial).sum() / 2);
  const double seconds = TimeLeftOf(costs_, in_hand, work.left, work.workers).remaining_s;
  has_told_ = has_told_ || !std::isnan(seconds);
  each_s_ = std::max(kEach_s, 100 * std::chrono::duration<double>(Clock::now() - begun).count());
  return seconds;
}

}  // namespace bitlaw
