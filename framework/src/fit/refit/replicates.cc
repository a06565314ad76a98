#include "fit/refit/replicates.h"

#include <algorithm>
#include <cmath>

#include "fit/solve/least_squares.h"

namespace bitlaw {

std::vector<double> Accelerations(std::span<const double> left_out, size_t quantities) {
  std::vector<double> accelerations(quantities, 0);
  for (size_t i = 0; i < quantities; ++i) {
    double mean = 0, count = 0, squares = 0, cubes = 0;
    for (size_t at = i; at < left_out.size(); at += quantities) {
      if (std::isnan(left_out[at])) continue;
      mean += left_out[at];
      ++count;
    }
    mean /= count;
    for (size_t at = i; at < left_out.size(); at += quantities) {
      if (std::isnan(left_out[at])) continue;
      const double step = mean - left_out[at];
      squares += step * step;
      cubes += step * step * step;
    }
    if (squares > 0) accelerations[i] = cubes / (6 * std::pow(squares, 1.5));
  }
  return accelerations;
}

Interval BcaLevels(std::span<const double> replicates, double value, double acceleration, const Interval& levels) {
  double below = 0;
  const double rounding = 1e-9 * std::fabs(value);
  for (const double one : replicates) below += std::fabs(one - value) <= rounding ? 0.5 : one < value ? 1 : 0;
  const double z0 = NormalQuantile(below / static_cast<double>(replicates.size()));
  if (!std::isfinite(z0)) return {};
  const auto end = [&](double p) {
    const double z = z0 + NormalQuantile(p);
    return NormalCdf(z0 + z / (1 - acceleration * z));
  };
  return {end(levels.low), end(levels.high)};
}

void SortTails(std::vector<double>& values, double low, double high) {
  const auto last = static_cast<double>(values.size() - 1);
  const auto low_end = values.begin() + static_cast<std::ptrdiff_t>(std::min(last, std::floor(low * last) + 1));
  const auto high_begin = values.begin() + static_cast<std::ptrdiff_t>(std::floor(high * last));
  if (low_end >= high_begin) {
    std::sort(values.begin(), values.end());
    return;
  }
  std::nth_element(values.begin(), low_end, values.end());
  std::sort(values.begin(), low_end);
  std::nth_element(low_end + 1, high_begin, values.end());
  std::sort(high_begin, values.end());
}

Interval ExpandedLevels(double level, size_t units) {
  if (units < 2) return {(1 - level) / 2, (1 + level) / 2};
  const auto n = static_cast<double>(units);
  const double low = NormalCdf(-StudentQuantile(level, n - 1) * std::sqrt(n / (n - 1)));
  return {low, 1 - low};
}

double Quantile(std::span<const double> sorted, double p) {
  if (sorted.empty() || std::isnan(p)) return kUnset;
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(std::floor(at));
  if (below + 1 >= sorted.size()) return sorted.back();
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
}

}  // namespace bitlaw
