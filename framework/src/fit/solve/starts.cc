#include "fit/solve/starts.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

namespace bitlaw {

std::vector<double> ClampToBounds(const Law& law, std::vector<double> theta) {
  for (size_t j = 0; j < theta.size(); ++j) {
    theta[j] = std::clamp(theta[j], law.parameters()[j].min, law.parameters()[j].max);
  }
  return theta;
}

StartSampler::StartSampler(const Objective& objective, uint64_t seed)
    : objective_(objective), law_(objective.law()), rows_(objective.rows()), seed_(seed) {
  FindLinear();
}

std::vector<double> StartSampler::DrawOnce(Rng& rng) const {
  std::vector<double> theta;
  for (const LawParameter& parameter : law_.parameters()) {
    const bool has_min = std::isfinite(parameter.min), has_max = std::isfinite(parameter.max);
    double value = 0;
    if (has_min && has_max) {
      const double u = rng.Uniform();
      value = parameter.min > 0 && parameter.max >= 100 * parameter.min
                  ? parameter.min * std::pow(parameter.max / parameter.min, u)
                  : parameter.min + u * (parameter.max - parameter.min);
    } else {
      const bool wide = rng.Uniform() < 0.5;
      const double size = wide ? std::pow(10.0, 6 * rng.Uniform() - 3) : std::fabs(rng.Normal());
      const double sign = rng.Uniform() < 0.5 ? -1 : 1;
      value = has_min ? parameter.min + size : (has_max ? parameter.max - size : sign * size);
    }
    theta.push_back(value);
  }
  return theta;
}

// Parameter p is linear given the others if df/dp does not change with p; a set of them is jointly linear if no df/dp
// changes with any of the set. Seen at a few rows and points: a wrong verdict costs a worse start, nothing else.
void StartSampler::FindLinear() {
  const size_t k = law_.parameters().size(), c = law_.covariates().size();
  const size_t step = std::max<size_t>(1, rows_.size() / 8);
  Rng rng = Rng(seed_).Fork(UINT64_MAX);
  const auto slopes = [&](const std::vector<double>& theta) {
    std::vector<double> all, gradient(k);
    for (size_t i = 0; i < rows_.size(); i += step) {
      law_.Predict(theta, rows_.row(i, c), gradient);
      all.insert(all.end(), gradient.begin(), gradient.end());
    }
    return all;
  };
  for (size_t candidate = 0; candidate < k; ++candidate) {
    int seen = 0;
    bool linear = true;
    for (int attempt = 0; attempt < 20 && seen < 3 && linear; ++attempt) {
      const std::vector<double> here = DrawOnce(rng);
      std::vector<double> there = here;
      there[candidate] = there[candidate] * 1.7 + 0.3;
      const std::vector<double> before = slopes(here), after = slopes(there);
      bool finite = true;
      for (size_t i = 0; i < before.size(); ++i) finite = finite && std::isfinite(before[i]) && std::isfinite(after[i]);
      if (!finite) continue;
      ++seen;
      for (size_t i = 0; i < before.size(); ++i) {
        const size_t j = i % k;
        const bool counts = j == candidate || std::find(linear_.begin(), linear_.end(), j) != linear_.end();
        if (counts && std::fabs(after[i] - before[i]) > 1e-9 * std::fabs(before[i])) linear = false;
      }
    }
    if (linear && seen > 0) linear_.push_back(candidate);
  }
}

void StartSampler::SolveLinear(std::vector<double>& theta) const {
  if (linear_.empty()) return;
  const size_t k = theta.size(), c = law_.covariates().size();
  const auto n = static_cast<Eigen::Index>(rows_.size());
  const auto m = static_cast<Eigen::Index>(linear_.size());
  // A residual of the logarithm is about one of the response over its size.
  const bool relative = objective_.procedure().space == FitProcedure::Space::kLog;
  Eigen::MatrixXd columns = Eigen::MatrixXd::Zero(n, m);
  Eigen::VectorXd rest = Eigen::VectorXd::Zero(n);
  std::vector<double> gradient(k);
  for (Eigen::Index i = 0; i < n; ++i) {
    const double y = rows_.y[static_cast<size_t>(i)];
    if (!std::isfinite(y)) continue;  // Counted, but without a response: at or below chance.
    const double size = relative && y != 0 ? std::fabs(y) : 1;
    const double value = law_.Predict(theta, rows_.row(static_cast<size_t>(i), c), gradient);
    rest[i] = (y - value) / size;
    for (Eigen::Index j = 0; j < m; ++j) {
      const size_t parameter = linear_[static_cast<size_t>(j)];
      columns(i, j) = gradient[parameter] / size;
      rest[i] += theta[parameter] * gradient[parameter] / size;
    }
  }
  const Eigen::VectorXd lengths = columns.colwise().norm();
  for (Eigen::Index j = 0; j < m; ++j) {
    if (lengths[j] > 0) columns.col(j) /= lengths[j];
  }
  const Eigen::VectorXd solution = columns.colPivHouseholderQr().solve(rest);
  for (Eigen::Index j = 0; j < m; ++j) {
    const double value = solution[j] / lengths[j];
    if (std::isfinite(value)) theta[linear_[static_cast<size_t>(j)]] = value;
  }
}

std::vector<double> StartSampler::Draw(uint64_t index) const {
  Rng rng = Rng(seed_).Fork(index);
  std::vector<double> best;
  double best_value = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 64; ++i) {
    std::vector<double> theta = DrawOnce(rng);
    // A start value of the law file holds in a quarter of the draws.
    if (i % 4 == 3) {
      for (size_t j = 0; j < theta.size(); ++j) {
        if (std::isfinite(law_.parameters()[j].start)) theta[j] = law_.parameters()[j].start;
      }
    }
    SolveLinear(theta);
    theta = ClampToBounds(law_, std::move(theta));
    const double value = objective_.Value(theta);
    if (best.empty() || value < best_value) {
      best = std::move(theta);
      if (std::isfinite(value)) best_value = value;
    }
  }
  return best;
}

}  // namespace bitlaw
