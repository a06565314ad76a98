#include "fit/study/power.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitlaw {

double DetectableAccuracy(std::span<const PlannedComparison> benchmarks, const PairedSettings& settings) {
  const auto has_items = [](const PlannedComparison& one) { return one.items > 0; };
  if (benchmarks.empty() || !std::all_of(benchmarks.begin(), benchmarks.end(), has_items))
    return std::numeric_limits<double>::quiet_NaN();
  const double count = static_cast<double>(benchmarks.size());
  const auto found = [&](double least_discordance) {
    double variance = 0;
    for (const PlannedComparison& one : benchmarks)
      variance += std::max(one.discordance, least_discordance) / static_cast<double>(one.items);
    return DetectableDifference(std::sqrt(variance) / count, 1, settings);
  };
  // found(x) / x falls as x grows: one x is its own answer.
  double low = found(0), high = low;
  while (found(high) > high) high *= 2;
  for (int step = 0; step < 100 && low < high; ++step) {
    const double middle = low + (high - low) / 2;
    (found(middle) > middle ? low : high) = middle;
  }
  return high;
}

int64_t ItemsForEffect(std::span<const PlannedComparison> benchmarks, double effect, const PairedSettings& settings) {
  double discordance = 0;
  for (const PlannedComparison& one : benchmarks) discordance += std::max(one.discordance, effect);
  const double found = DetectableDifference(std::sqrt(discordance) / static_cast<double>(benchmarks.size()), 1, settings);
  return static_cast<int64_t>(std::ceil(std::pow(found / effect, 2)));
}

}  // namespace bitlaw
