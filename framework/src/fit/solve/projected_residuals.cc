#include "fit/solve/projected_residuals.h"

#include <algorithm>
#include <cmath>

#include "fit/box/box_step.h"

namespace bitlaw {

ProjectedResiduals::ProjectedResiduals(const Objective& objective, std::span<const double> multiplicity,
                                       std::span<const size_t> linear, std::span<const double> start)
    : objective_(objective), linear_(linear.begin(), linear.end()), theta_(start.begin(), start.end()) {
  for (size_t i = 0; i < objective.rows().size(); ++i) {
    const double times = multiplicity.empty() ? 1 : multiplicity[i];
    if (times == 0) continue;
    rows_.push_back(i);
    roots_.push_back(std::sqrt(times));
  }
  for (size_t j = 0; j < theta_.size(); ++j) {
    if (std::find(linear_.begin(), linear_.end(), j) == linear_.end()) free_.push_back(j);
  }
}

bool ProjectedResiduals::Complete(std::span<const double> free, std::vector<double>& theta) const {
  for (size_t j = 0; j < free_.size(); ++j) theta[free_[j]] = free[j];
  return SolveLinear(theta, nullptr, nullptr);
}

bool ProjectedResiduals::Evaluate(std::span<const double> free, double* residuals, double* jacobian) const {
  std::vector<double> theta = theta_;
  for (size_t j = 0; j < free_.size(); ++j) theta[free_[j]] = free[j];
  Eigen::MatrixXd columns;
  if (!SolveLinear(theta, &columns, residuals)) return false;
  const auto n = static_cast<Eigen::Index>(rows_.size()), k = static_cast<Eigen::Index>(free_.size());
  Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> slopes(jacobian, n, k);
  std::vector<double> gradient(theta.size());
  for (Eigen::Index at = 0; at < n; ++at) {
    const auto row = static_cast<size_t>(at);
    objective_.Residual(theta, rows_[row], gradient);
    for (Eigen::Index j = 0; j < k; ++j) {
      slopes(at, j) = gradient[free_[static_cast<size_t>(j)]] * roots_[row];
      if (!std::isfinite(slopes(at, j))) return false;
    }
  }
  if (columns.cols() > 0) {
    const Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(columns);
    const Eigen::MatrixXd basis = qr.householderQ() * Eigen::MatrixXd::Identity(n, qr.rank());
    slopes -= (basis * (basis.transpose() * slopes)).eval();
  }
  return true;
}

bool ProjectedResiduals::SolveLinear(std::vector<double>& theta, Eigen::MatrixXd* columns_out,
                                     double* residuals) const {
  const auto n = static_cast<Eigen::Index>(rows_.size()), m = static_cast<Eigen::Index>(linear_.size());
  Eigen::MatrixXd columns(n, m);
  Eigen::VectorXd rest(n);  // Minus the residual at c = 0.
  std::vector<double> gradient(theta.size());
  for (Eigen::Index at = 0; at < n; ++at) {
    const auto row = static_cast<size_t>(at);
    double residual = objective_.Residual(theta, rows_[row], gradient) * roots_[row];
    for (Eigen::Index j = 0; j < m; ++j) {
      const size_t parameter = linear_[static_cast<size_t>(j)];
      columns(at, j) = gradient[parameter] * roots_[row];
      residual -= columns(at, j) * theta[parameter];
    }
    if (!std::isfinite(residual)) return false;
    rest[at] = -residual;
  }
  if (!columns.allFinite()) return false;
  const auto parameters = objective_.law().parameters();
  Eigen::VectorXd lengths = columns.colwise().norm().transpose();
  for (Eigen::Index j = 0; j < m; ++j) {
    if (!(lengths[j] > 0)) lengths[j] = 1;
    columns.col(j) /= lengths[j];
  }
  // Without bounds first, as they seldom matter.
  Eigen::VectorXd solution = columns.colPivHouseholderQr().solve(rest);
  std::vector<char> is_held(static_cast<size_t>(m), 0);
  bool is_beyond = false;
  for (Eigen::Index j = 0; j < m; ++j) {
    const double value = solution[j] / lengths[j];
    const auto& parameter = parameters[linear_[static_cast<size_t>(j)]];
    if (!std::isfinite(value)) return false;
    is_beyond = is_beyond || value < parameter.min || value > parameter.max;
  }
  if (is_beyond) {
    // About a point within the bounds.
    std::vector<long double> hessian(static_cast<size_t>(m * m)), slope(static_cast<size_t>(m));
    std::vector<double> low, high, step(static_cast<size_t>(m));
    Eigen::VectorXd inside(m);
    for (Eigen::Index j = 0; j < m; ++j) {
      const auto& parameter = parameters[linear_[static_cast<size_t>(j)]];
      inside[j] = std::clamp(solution[j] / lengths[j], parameter.min, parameter.max) * lengths[j];
      low.push_back(parameter.min * lengths[j] - inside[j]);
      high.push_back(parameter.max * lengths[j] - inside[j]);
    }
    const Eigen::VectorXd left = columns * inside - rest;
    for (Eigen::Index a = 0; a < m; ++a) {
      slope[static_cast<size_t>(a)] = columns.col(a).dot(left);
      for (Eigen::Index b = 0; b < m; ++b)
        hessian[static_cast<size_t>(a * m + b)] = columns.col(a).dot(columns.col(b)) + (a == b ? 1e-15 : 0);
    }
    if (!StepInBox(hessian, slope, low, high, step)) return false;
    for (Eigen::Index j = 0; j < m; ++j) {
      const auto at = static_cast<size_t>(j);
      is_held[at] = step[at] == low[at] || step[at] == high[at];
      solution[j] = inside[j] + step[at];
    }
  }
  std::vector<Eigen::Index> open;
  for (Eigen::Index j = 0; j < m; ++j) {
    const auto& parameter = parameters[linear_[static_cast<size_t>(j)]];
    theta[linear_[static_cast<size_t>(j)]] = std::clamp(solution[j] / lengths[j], parameter.min, parameter.max);
    if (!is_held[static_cast<size_t>(j)]) open.push_back(j);
  }
  if (columns_out != nullptr) *columns_out = columns(Eigen::all, open);
  if (residuals == nullptr) return true;
  Eigen::Map<Eigen::VectorXd> out(residuals, n);
  out = columns * solution - rest;
  return out.allFinite();
}

}  // namespace bitlaw
