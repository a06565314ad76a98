#include "fit/box/box_step.h"

#include <algorithm>
#include <cmath>

namespace bitlaw {

namespace {

// Solves H d = right for the free directions, scaled to a unit diagonal, by Cholesky. False if a pivot is lost. Eigen's
// LLT takes as long (334 ns at five directions, 335 here).
bool SolveFree(std::span<const long double> hessian, size_t k, std::span<const size_t> free,
               std::vector<long double>& factor, std::vector<long double>& right) {
  constexpr long double kLost = 1e-18L;
  const size_t m = free.size();
  factor.resize(m * m);
  std::vector<long double> scale(m);
  for (size_t a = 0; a < m; ++a) {
    const long double diagonal = hessian[free[a] * k + free[a]];
    if (!(diagonal > 0) || !std::isfinite(diagonal)) return false;
    scale[a] = std::sqrt(diagonal);
  }
  for (size_t a = 0; a < m; ++a) {
    for (size_t b = 0; b <= a; ++b) {
      long double sum = hessian[free[a] * k + free[b]] / (scale[a] * scale[b]);
      for (size_t c = 0; c < b; ++c) sum -= factor[a * m + c] * factor[b * m + c];
      if (a == b && !(sum > kLost)) return false;
      factor[a * m + b] = a == b ? std::sqrt(sum) : sum / factor[b * m + b];
    }
  }
  for (size_t a = 0; a < m; ++a) {
    right[a] /= scale[a];
    for (size_t c = 0; c < a; ++c) right[a] -= factor[a * m + c] * right[c];
    right[a] /= factor[a * m + a];
  }
  for (size_t a = m; a-- > 0;) {
    for (size_t c = a + 1; c < m; ++c) right[a] -= factor[c * m + a] * right[c];
    right[a] /= factor[a * m + a];
  }
  for (size_t a = 0; a < m; ++a) right[a] /= scale[a];
  return true;
}

}  // namespace

bool StepInBox(std::span<const long double> hessian, std::span<const long double> gradient, std::span<const double> low,
               std::span<const double> high, std::span<double> step) {
  const size_t k = gradient.size();
  std::fill(step.begin(), step.end(), 0.0);
  std::vector<long double> slope(gradient.begin(), gradient.end()), factor, direction;
  std::vector<char> is_held(k, 0);
  std::vector<size_t> free;
  for (size_t j = 0; j < k; ++j)
    is_held[j] = (low[j] >= 0 && gradient[j] >= 0) || (high[j] <= 0 && gradient[j] <= 0);
  for (size_t round = 0; round < 20 * k + 20; ++round) {
    free.clear();
    for (size_t j = 0; j < k; ++j) {
      if (!is_held[j]) free.push_back(j);
    }
    if (!free.empty()) {
      direction.resize(free.size());
      for (size_t a = 0; a < free.size(); ++a) direction[a] = -slope[free[a]];
      if (!SolveFree(hessian, k, free, factor, direction)) return false;
    }
    long double share = 1;
    size_t blocking = k;
    for (size_t a = 0; a < free.size(); ++a) {
      const size_t j = free[a];
      const double room = (direction[a] < 0 ? low[j] : high[j]) - step[j];
      if (direction[a] == 0 || !std::isfinite(room)) continue;
      const long double here = room / direction[a];
      if (here < share) share = std::max(here, 0.0L), blocking = j;
    }
    for (size_t a = 0; a < free.size(); ++a) {
      const long double moved = share * direction[a];
      step[free[a]] += static_cast<double>(moved);
      for (size_t j = 0; j < k; ++j) slope[j] += hessian[j * k + free[a]] * moved;
    }
    if (blocking < k) {
      step[blocking] = step[blocking] - low[blocking] < high[blocking] - step[blocking] ? low[blocking] : high[blocking];
      is_held[blocking] = 1;
      continue;
    }
    // Of the bounds that are held against the slope, the one that holds back most is left.
    long double most = 0;
    size_t left = k;
    for (size_t j = 0; j < k; ++j) {
      if (!is_held[j] || low[j] == high[j]) continue;
      const long double inward = step[j] <= low[j] ? -slope[j] : slope[j];
      const long double weight = inward * std::fabs(inward) / std::max(hessian[j * k + j], 1e-300L);
      if (inward > 1e-17L * std::fabs(gradient[j]) && weight > most) most = weight, left = j;
    }
    if (left == k) return true;
    is_held[left] = 0;
  }
  return true;
}

double ShareToLowest(std::vector<KneeRow>& rows, double knee, long double initial, long double curved) {
  const auto slope_of = [knee](const KneeRow& row, double t) { return std::clamp(row.z + t * row.along, -knee, knee); };
  // Slopes less those at 0, which cancels in no sum: of the rows that are settled, still + t * rising.
  long double still = initial, rising = curved;
  const auto slope_at = [&](double t) {
    double sum = 0;
    for (const KneeRow& row : rows) sum += row.pull * (slope_of(row, t) - row.psi);
    return still + t * rising + sum;
  };
  const long double at_end = slope_at(1);
  if (!(at_end > 1e-12L * -initial)) return 1;
  double inside = 0, outside = 1, share = 1;
  long double below = initial, above = at_end;
  for (int search = 0; search < 60 && outside - inside > 1e-15; ++search) {
    // A row without an end of the knee between the two is straight there.
    size_t kept = 0;
    for (const KneeRow& row : rows) {
      const double one = row.z + inside * row.along, other = row.z + outside * row.along;
      if (std::min(one, other) >= knee || std::max(one, other) <= -knee) {
        still += static_cast<long double>(row.pull) * ((one > 0 ? knee : -knee) - row.psi);
      } else if (std::max(std::fabs(one), std::fabs(other)) <= knee) {
        still += static_cast<long double>(row.pull) * (row.z - row.psi);
        rising += static_cast<long double>(row.pull) * row.along;
      } else {
        rows[kept++] = row;
      }
    }
    rows.resize(kept);
    if (kept == 0 && rising > 0) return std::clamp(static_cast<double>(-still / rising), inside, outside);
    // Regula falsi, halving where it stalls.
    double middle = inside + static_cast<double>(below / (below - above)) * (outside - inside);
    if (search % 3 == 2 || !(middle > inside && middle < outside)) middle = (inside + outside) / 2;
    const long double here = slope_at(middle);
    share = middle;
    if (std::fabs(here) <= 1e-11L * -initial) break;
    (here < 0 ? inside : outside) = middle;
    (here < 0 ? below : above) = here;
  }
  return share;
}

}  // namespace bitlaw
