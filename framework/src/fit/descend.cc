#include <ceres/ceres.h>
#include <fmt/format.h>
#include <glog/logging.h>

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

void DescendSquares(const Objective& objective, std::span<const double> multiplicity, const DescentOptions& options,
                    Descent& descent) {
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
