#include "fit/nonlinear.h"

#include <ceres/ceres.h>
#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "fit/starts.h"

namespace bitlaw {

namespace {

/// All residuals of a fit as one Ceres cost: r_i = f(x_i; theta) - y_i.
class LawResiduals final : public ceres::CostFunction {
 public:
  LawResiduals(const Law& law, const FitRows& rows) : law_(law), rows_(rows) {
    set_num_residuals(static_cast<int>(rows.size()));
    mutable_parameter_block_sizes()->push_back(static_cast<int>(law.parameters().size()));
  }

  // False, which makes the solver shorten its step, where the law has no value.
  bool Evaluate(double const* const* parameters, double* residuals, double** jacobians) const override {
    const size_t k = law_.parameters().size(), c = law_.covariates().size();
    const std::span<const double> theta(parameters[0], k);
    for (size_t i = 0; i < rows_.size(); ++i) {
      std::span<double> gradient;
      if (jacobians != nullptr && jacobians[0] != nullptr) gradient = {jacobians[0] + i * k, k};
      residuals[i] = law_.Predict(theta, rows_.row(i, c), gradient) - rows_.y[i];
      if (!std::isfinite(residuals[i])) return false;
      for (const double slope : gradient) {
        if (!std::isfinite(slope)) return false;
      }
    }
    return true;
  }

 private:
  const Law& law_;
  const FitRows& rows_;
};

void Descend(const Law& law, const FitRows& rows, int max_iterations, StartStatus& status) {
  status.initial_ssr = SumOfSquares(law, rows, status.start);
  status.end = status.start;
  if (!std::isfinite(status.initial_ssr)) {
    status.status = "failed: the law has no finite value there";
    return;
  }
  LawResiduals residuals(law, rows);
  ceres::Problem::Options problem_options;
  problem_options.cost_function_ownership = ceres::DO_NOT_TAKE_OWNERSHIP;
  ceres::Problem problem(problem_options);
  problem.AddResidualBlock(&residuals, nullptr, status.end.data());
  for (size_t j = 0; j < law.parameters().size(); ++j) {
    const LawParameter& parameter = law.parameters()[j];
    if (std::isfinite(parameter.min))
      problem.SetParameterLowerBound(status.end.data(), static_cast<int>(j), parameter.min);
    if (std::isfinite(parameter.max))
      problem.SetParameterUpperBound(status.end.data(), static_cast<int>(j), parameter.max);
  }
  ceres::Solver::Options options;
  options.linear_solver_type = ceres::DENSE_QR;
  options.max_num_iterations = max_iterations;
  options.function_tolerance = 1e-15;
  options.gradient_tolerance = 1e-14;
  options.parameter_tolerance = 1e-13;
  options.max_num_consecutive_invalid_steps = 20;
  options.logging_type = ceres::SILENT;
  options.num_threads = 1;
  ceres::Solver::Summary summary;
  ceres::Solve(options, &problem, &summary);
  status.iterations = static_cast<int>(summary.iterations.size());
  status.final_ssr = SumOfSquares(law, rows, status.end);
  switch (summary.termination_type) {
    case ceres::CONVERGENCE:
      status.converged = true;
      status.status = "converged";
      break;
    case ceres::NO_CONVERGENCE: status.status = fmt::format("not converged after {} iterations", max_iterations); break;
    default: status.status = "failed: " + summary.message; break;
  }
}

bool AtBound(const LawParameter& parameter, double value) {
  const auto near = [&](double bound) {
    return std::isfinite(bound) && std::fabs(value - bound) <= 1e-9 * (1 + std::fabs(bound));
  };
  return near(parameter.min) || near(parameter.max);
}

void FillInference(const Law& law, const FitRows& rows, NonlinearResult& result) {
  const size_t n = rows.size(), k = law.parameters().size(), c = law.covariates().size();
  const std::vector<double>& theta = result.starts[result.best].end;
  std::vector<size_t> free;
  for (size_t j = 0; j < k; ++j) {
    NonlinearParameter parameter;
    parameter.value = theta[j];
    parameter.at_bound = AtBound(law.parameters()[j], theta[j]);
    if (!parameter.at_bound) free.push_back(j);
    result.parameters.push_back(parameter);
  }
  double mean = 0;
  for (const double y : rows.y) mean += y / static_cast<double>(n);
  double ssr = 0, tss = 0;
  std::vector<double> gradient(k), jacobian;
  for (size_t i = 0; i < n; ++i) {
    result.fitted.push_back(law.Predict(theta, rows.row(i, c), gradient));
    for (const size_t j : free) jacobian.push_back(gradient[j]);
    ssr += (rows.y[i] - result.fitted[i]) * (rows.y[i] - result.fitted[i]);
    tss += (rows.y[i] - mean) * (rows.y[i] - mean);
  }
  result.quality = QualityOf(n, k, ssr, tss);
  result.covariance.assign(k * k, kUnset);
  if (free.empty()) return;
  const Covariance covariance = CovarianceOf(jacobian, free.size(), result.quality.residual_variance);
  for (size_t a = 0; a < free.size(); ++a) {
    result.parameters[free[a]].is_identified = covariance.is_identified[a];
    result.parameters[free[a]].standard_error = std::sqrt(covariance.values[a * free.size() + a]);
    for (size_t b = 0; b < free.size(); ++b) {
      result.covariance[free[a] * k + free[b]] = covariance.values[a * free.size() + b];
    }
  }
}

}  // namespace

NonlinearResult FitNonlinear(const Law& law, const FitRows& rows, const NonlinearOptions& options) {
  const size_t k = law.parameters().size();
  if (rows.x.size() != rows.size() * law.covariates().size())
    throw InternalError("FitNonlinear: x and y do not fit together");
  if (rows.size() <= k) {
    throw Error(ErrorKind::kNumerical, fmt::format("law '{}': {} rows for {} parameters: at least {} are needed.",
                                                   law.name(), rows.size(), k, k + 1));
  }
  NonlinearResult result;
  for (const auto& [origin, start] : options.given_starts) {
    if (start.size() != k) throw InternalError("FitNonlinear: a given start has the wrong size");
    StartStatus status;
    status.origin = origin;
    status.start = ClampToBounds(law, start);
    result.starts.push_back(std::move(status));
  }
  const StartSampler sampler(law, rows, options.seed);
  for (int i = 0; i < options.random_starts; ++i) {
    StartStatus status;
    status.origin = "random " + std::to_string(i + 1);
    status.start = sampler.Draw(static_cast<uint64_t>(i));
    result.starts.push_back(std::move(status));
  }
  double best = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < result.starts.size(); ++i) {
    StartStatus& status = result.starts[i];
    Descend(law, rows, options.max_iterations, status);
    // A start that ended a rounding error lower but without converging is not preferred.
    const double score = status.final_ssr * (status.converged ? 1 : 1 + 1e-9);
    if (std::isfinite(status.final_ssr) && score < best) {
      best = score;
      result.best = i;
    }
  }
  if (!std::isfinite(best)) {
    std::string said;
    for (const StartStatus& status : result.starts) {
      if (said.find(status.status) == std::string::npos) said += (said.empty() ? "" : "; ") + status.status;
    }
    throw Error(ErrorKind::kNumerical,
                fmt::format("law '{}': none of {} starts gave a finite sum of squares ({}). Give start "
                            "values or bounds for its parameters.",
                            law.name(), result.starts.size(), said));
  }
  FillInference(law, rows, result);
  // Where the law fits exactly, what is left of SSR is rounding; so TSS sets the scale too.
  const double best_ssr = result.starts[result.best].final_ssr;
  double mean = 0, tss = 0;
  for (const double y : rows.y) mean += y / static_cast<double>(rows.size());
  for (const double y : rows.y) tss += (y - mean) * (y - mean);
  for (const StartStatus& status : result.starts) {
    if (status.final_ssr <= best_ssr * (1 + 1e-6) + 1e-14 * tss) ++result.agreeing;
  }
  return result;
}

}  // namespace bitlaw
