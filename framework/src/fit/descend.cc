#include <ceres/ceres.h>
#include <fmt/format.h>
#include <glog/logging.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>

#include "fit/objective.h"

namespace bitlaw {

namespace {

// All residuals of a fit as one Ceres cost, each times the root of how often its row counts.
class AllResiduals final : public ceres::CostFunction {
 public:
  AllResiduals(const Objective& objective, std::span<const double> multiplicity) : objective_(objective) {
    for (size_t i = 0; i < objective.rows().size(); ++i) {
      const double times = multiplicity.empty() ? 1 : multiplicity[i];
      if (times == 0) continue;
      rows_.push_back(i);
      roots_.push_back(std::sqrt(times));
    }
    set_num_residuals(static_cast<int>(rows_.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(objective.law().parameters().size()));
  }

  // False, which makes the solver shorten its step, where the law has no value.
  bool Evaluate(double const* const* parameters, double* residuals, double** jacobians) const override {
    const size_t k = objective_.law().parameters().size();
    const std::span<const double> theta(parameters[0], k);
    for (size_t at = 0; at < rows_.size(); ++at) {
      std::span<double> gradient;
      if (jacobians != nullptr && jacobians[0] != nullptr) gradient = {jacobians[0] + at * k, k};
      residuals[at] = objective_.Residual(theta, rows_[at], gradient) * roots_[at];
      if (!std::isfinite(residuals[at])) return false;
      for (double& slope : gradient) {
        if (!std::isfinite(slope)) return false;
        slope *= roots_[at];
      }
    }
    return true;
  }

 private:
  const Objective& objective_;
  std::vector<size_t> rows_;
  std::vector<double> roots_;
};

// One residual, for losses that look at each.
class OneResidual final : public ceres::CostFunction {
 public:
  OneResidual(const Objective& objective, size_t row) : objective_(objective), row_(row) {
    set_num_residuals(1);
    mutable_parameter_block_sizes()->push_back(static_cast<int>(objective.law().parameters().size()));
  }
  bool Evaluate(double const* const* parameters, double* residuals, double** jacobians) const override {
    const size_t k = objective_.law().parameters().size();
    std::span<double> gradient;
    if (jacobians != nullptr && jacobians[0] != nullptr) gradient = {jacobians[0], k};
    residuals[0] = objective_.Residual({parameters[0], k}, row_, gradient);
    return std::isfinite(residuals[0]) &&
           std::all_of(gradient.begin(), gradient.end(), [](double slope) { return std::isfinite(slope); });
  }

 private:
  const Objective& objective_;
  size_t row_;
};

// Residuals as functions of the parameters that are not linear; the linear ones are solved for at each point.
//   f = g(a) + Phi(a) c.  c(a) minimizes sum w (f - y)^2, within its bounds.
// The derivative by a is that at fixed c, less its part in the columns of Phi: Kaufman's, which leaves out a term that
// is small where residuals are.
class ProjectedResiduals final : public ceres::CostFunction {
 public:
  ProjectedResiduals(const Objective& objective, std::span<const double> multiplicity, std::span<const size_t> linear,
                     std::span<const double> start)
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
    set_num_residuals(static_cast<int>(rows_.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(free_.size()));
  }

  const std::vector<size_t>& free() const { return free_; }
  /// All parameters at these values of the free ones. False if the law has no value there.
  bool Complete(const double* free, std::vector<double>& theta) const {
    for (size_t j = 0; j < free_.size(); ++j) theta[free_[j]] = free[j];
    return SolveLinear(theta, nullptr, nullptr);
  }

  bool Evaluate(double const* const* parameters, double* residuals, double** jacobians) const override {
    std::vector<double> theta = theta_;
    for (size_t j = 0; j < free_.size(); ++j) theta[free_[j]] = parameters[0][j];
    Eigen::MatrixXd columns;
    if (!SolveLinear(theta, &columns, residuals)) return false;
    if (jacobians == nullptr || jacobians[0] == nullptr) return true;
    const auto n = static_cast<Eigen::Index>(rows_.size()), k = static_cast<Eigen::Index>(free_.size());
    Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> jacobian(jacobians[0], n, k);
    std::vector<double> gradient(theta.size());
    for (Eigen::Index at = 0; at < n; ++at) {
      const auto row = static_cast<size_t>(at);
      objective_.Residual(theta, rows_[row], gradient);
      for (Eigen::Index j = 0; j < k; ++j) {
        jacobian(at, j) = gradient[free_[static_cast<size_t>(j)]] * roots_[row];
        if (!std::isfinite(jacobian(at, j))) return false;
      }
    }
    if (columns.cols() > 0) {
      const Eigen::HouseholderQR<Eigen::MatrixXd> qr(columns);
      const Eigen::MatrixXd basis = qr.householderQ() * Eigen::MatrixXd::Identity(n, columns.cols());
      jacobian -= (basis * (basis.transpose() * jacobian)).eval();
    }
    return true;
  }

 private:
  // Fills the linear parameters of theta, the columns of those that are not held at a bound, and the residuals.
  bool SolveLinear(std::vector<double>& theta, Eigen::MatrixXd* columns_out, double* residuals) const {
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
    std::vector<Eigen::Index> open;
    for (Eigen::Index j = 0; j < m; ++j) open.push_back(j);
    std::vector<double> values(static_cast<size_t>(m), 0.0);
    Eigen::MatrixXd chosen;
    // One column at a time goes to its bound, the one that is furthest beyond.
    for (;;) {
      chosen.resize(n, static_cast<Eigen::Index>(open.size()));
      Eigen::VectorXd target = rest;
      for (Eigen::Index j = 0; j < m; ++j) {
        if (std::find(open.begin(), open.end(), j) == open.end())
          target -= columns.col(j) * values[static_cast<size_t>(j)];
      }
      Eigen::VectorXd lengths(chosen.cols());
      for (Eigen::Index o = 0; o < chosen.cols(); ++o) {
        const double length = columns.col(open[static_cast<size_t>(o)]).norm();
        lengths[o] = length > 0 ? length : 1;
        chosen.col(o) = columns.col(open[static_cast<size_t>(o)]) / lengths[o];
      }
      if (open.empty()) break;
      const Eigen::VectorXd solution = chosen.colPivHouseholderQr().solve(target);
      double worst = 0;
      size_t out = open.size();
      for (size_t o = 0; o < open.size(); ++o) {
        const auto& parameter = parameters[linear_[static_cast<size_t>(open[o])]];
        double& value = values[static_cast<size_t>(open[o])];
        value = solution[static_cast<Eigen::Index>(o)] / lengths[static_cast<Eigen::Index>(o)];
        if (!std::isfinite(value)) return false;
        const double beyond =
            std::max(parameter.min - value, value - parameter.max) * lengths[static_cast<Eigen::Index>(o)];
        if (beyond > worst) worst = beyond, out = o;
      }
      if (out == open.size()) break;
      const auto& parameter = parameters[linear_[static_cast<size_t>(open[out])]];
      double& value = values[static_cast<size_t>(open[out])];
      value = std::clamp(value, parameter.min, parameter.max);
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(out));
    }
    for (Eigen::Index j = 0; j < m; ++j) theta[linear_[static_cast<size_t>(j)]] = values[static_cast<size_t>(j)];
    if (columns_out != nullptr) *columns_out = chosen;
    if (residuals == nullptr) return true;
    Eigen::Map<Eigen::VectorXd> out(residuals, n);
    out = -rest;
    for (Eigen::Index j = 0; j < m; ++j) out += columns.col(j) * values[static_cast<size_t>(j)];
    return out.allFinite();
  }

  const Objective& objective_;
  std::vector<size_t> linear_, free_, rows_;
  std::vector<double> theta_, roots_;
};

// Ceres reports steps that it gives up through glog on the standard error stream; the summary says the same.
void SilenceLog() {
  static std::once_flag once;
  std::call_once(once, [] { FLAGS_minloglevel = google::GLOG_FATAL; });
}

void SetBounds(ceres::Problem& problem, const Law& law, double* theta) {
  for (size_t j = 0; j < law.parameters().size(); ++j) {
    const LawParameter& parameter = law.parameters()[j];
    if (std::isfinite(parameter.min)) problem.SetParameterLowerBound(theta, static_cast<int>(j), parameter.min);
    if (std::isfinite(parameter.max)) problem.SetParameterUpperBound(theta, static_cast<int>(j), parameter.max);
  }
}

void Solve(ceres::Problem& problem, const DescentOptions& options, Descent& descent) {
  ceres::Solver::Options solver;
  solver.linear_solver_type = ceres::DENSE_QR;
  solver.max_num_iterations = options.max_iterations;
  solver.function_tolerance = options.refine ? 1e-15 : 1e-10;
  solver.gradient_tolerance = options.refine ? 1e-14 : 1e-11;
  // Ceres holds a step against the length of theta, in which a large amplitude hides the exponents.
  solver.parameter_tolerance = options.refine ? 1e-13 : 0;
  solver.max_num_consecutive_invalid_steps = 20;
  solver.logging_type = ceres::SILENT;
  solver.num_threads = 1;
  ceres::Solver::Summary summary;
  ceres::Solve(solver, &problem, &summary);
  descent.iterations += static_cast<int>(summary.iterations.size());
  descent.converged = summary.termination_type == ceres::CONVERGENCE;
  switch (summary.termination_type) {
    case ceres::CONVERGENCE: descent.status = "converged"; break;
    case ceres::NO_CONVERGENCE:
      descent.status = fmt::format("not converged after {} iterations", options.max_iterations);
      break;
    default: descent.status = "failed: " + summary.message; break;
  }
}

ceres::Problem::Options Borrowing() {
  ceres::Problem::Options options;
  options.cost_function_ownership = ceres::DO_NOT_TAKE_OWNERSHIP;
  options.loss_function_ownership = ceres::DO_NOT_TAKE_OWNERSHIP;
  return options;
}

// Over the parameters that are not linear, the others solved for. Leaves theta where it was if that leads nowhere.
void DescendProjected(const Objective& objective, std::span<const double> multiplicity, const DescentOptions& options,
                      Descent& descent) {
  ProjectedResiduals residuals(objective, multiplicity, options.linear, descent.theta);
  std::vector<double> free, theta = descent.theta;
  for (const size_t j : residuals.free()) free.push_back(theta[j]);
  if (free.empty()) {
    if (residuals.Complete(nullptr, theta)) descent.theta = theta;
    return;
  }
  ceres::Problem problem(Borrowing());
  problem.AddResidualBlock(&residuals, nullptr, free.data());
  for (size_t at = 0; at < free.size(); ++at) {
    const LawParameter& parameter = objective.law().parameters()[residuals.free()[at]];
    if (std::isfinite(parameter.min)) problem.SetParameterLowerBound(free.data(), static_cast<int>(at), parameter.min);
    if (std::isfinite(parameter.max)) problem.SetParameterUpperBound(free.data(), static_cast<int>(at), parameter.max);
  }
  const double before = objective.Value(descent.theta, multiplicity);
  // Not to the last digits: the descent over all parameters does that, and counts.
  DescentOptions rough = options;
  rough.refine = false;
  Solve(problem, rough, descent);
  if (residuals.Complete(free.data(), theta) && objective.Value(theta, multiplicity) < before) descent.theta = theta;
}

void DescendSquares(const Objective& objective, std::span<const double> multiplicity, const DescentOptions& options,
                    Descent& descent) {
  const bool is_linear_there = objective.procedure().loss == FitProcedure::Loss::kSquares &&
                               objective.procedure().space == FitProcedure::Space::kResponse;
  if (!options.linear.empty() && is_linear_there) DescendProjected(objective, multiplicity, options, descent);
  AllResiduals residuals(objective, multiplicity);
  ceres::Problem problem(Borrowing());
  problem.AddResidualBlock(&residuals, nullptr, descent.theta.data());
  SetBounds(problem, objective.law(), descent.theta.data());
  Solve(problem, options, descent);
}

void DescendHuber(const Objective& objective, double delta, std::span<const double> multiplicity,
                  const DescentOptions& options, Descent& descent) {
  std::deque<OneResidual> costs;
  std::vector<std::unique_ptr<ceres::LossFunction>> losses;
  ceres::HuberLoss huber(delta);
  ceres::Problem problem(Borrowing());
  for (size_t i = 0; i < objective.rows().size(); ++i) {
    const double times = multiplicity.empty() ? 1 : multiplicity[i];
    if (times == 0) continue;
    costs.emplace_back(objective, i);
    losses.push_back(std::make_unique<ceres::ScaledLoss>(&huber, times, ceres::DO_NOT_TAKE_OWNERSHIP));
    problem.AddResidualBlock(&costs.back(), losses.back().get(), descent.theta.data());
  }
  SetBounds(problem, objective.law(), descent.theta.data());
  Solve(problem, options, descent);
}

// A Huber loss whose knee is far below the residuals is nearly their absolute value, on which a quadratic model is of
// no use: the knee comes down in steps from the size of the residuals, each solution starting the next.
void DescendHuberStepwise(const Objective& objective, double delta, std::span<const double> multiplicity,
                          const DescentOptions& options, Descent& descent) {
  double largest = 0;
  for (size_t i = 0; i < objective.rows().size(); ++i) {
    largest = std::max(largest, std::fabs(objective.Residual(descent.theta, i, {})));
  }
  for (double knee = largest / 10; knee > delta * 1.0001; knee /= 4) {
    DescentOptions rough = options;
    rough.max_iterations = std::min(options.max_iterations, 50);
    rough.refine = false;
    DescendHuber(objective, knee, multiplicity, rough, descent);
  }
  DescendHuber(objective, delta, multiplicity, options, descent);
}

}  // namespace

Descent Descend(const Objective& objective, std::span<const double> start, std::span<const double> multiplicity,
                const DescentOptions& options) {
  SilenceLog();
  Descent descent;
  descent.theta.assign(start.begin(), start.end());
  if (!std::isfinite(objective.Value(start, multiplicity))) {
    descent.value = std::numeric_limits<double>::infinity();
    descent.status = "failed: the law has no finite value there";
    return descent;
  }
  const FitProcedure& procedure = objective.procedure();
  switch (procedure.loss) {
    case FitProcedure::Loss::kSquares:
    case FitProcedure::Loss::kBinomial: DescendSquares(objective, multiplicity, options, descent); break;
    case FitProcedure::Loss::kHuber:
      DescendHuberStepwise(objective, procedure.delta, multiplicity, options, descent);
      break;
    case FitProcedure::Loss::kHuberLikelihood:
      // Given the scale s it is a Huber fit with its knee at delta s; given theta the scale has one best value.
      for (int round = 0; round < 50; ++round) {
        const double scale = objective.BestScale(descent.theta, multiplicity);
        if (!(scale > 0)) break;
        const std::vector<double> before = descent.theta;
        DescendHuberStepwise(objective, procedure.delta * scale, multiplicity, options, descent);
        double moved = 0;
        for (size_t j = 0; j < before.size(); ++j) {
          moved = std::max(moved, std::fabs(descent.theta[j] - before[j]) / (1e-12 + std::fabs(before[j])));
        }
        if (moved < 1e-9) break;
      }
      descent.scale = objective.BestScale(descent.theta, multiplicity);
      break;
  }
  descent.value = objective.Value(descent.theta, multiplicity);
  return descent;
}

}  // namespace bitlaw
