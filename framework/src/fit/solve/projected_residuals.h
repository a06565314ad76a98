#pragma once

#include <Eigen/Dense>
#include <span>
#include <vector>

#include "fit/box/box_descent.h"
#include "fit/solve/objective.h"

namespace bitlaw {

/// Residuals as functions of the parameters that are not linear; the linear ones are solved for at each point.
///
///     f = g(a) + Phi(a) c,   c(a) minimizes sum w (f - y)^2 within its bounds
///
/// The derivative by a is that at fixed c, less its part in the columns of Phi whose c is not at a bound: Kaufman's
/// (1975), which leaves out a term that is small where residuals are.
///   The objective must outlive it.
class ProjectedResiduals final : public ResidualFunction {
 public:
  ProjectedResiduals(const Objective& objective, std::span<const double> multiplicity, std::span<const size_t> linear,
                     std::span<const double> start);
  /// Indices of the parameters that are not linear.
  const std::vector<size_t>& free() const { return free_; }
  /// All parameters at these values of the free ones. False if the law has no value there.
  bool Complete(std::span<const double> free, std::vector<double>& theta) const;
  size_t residuals() const override { return rows_.size(); }
  bool Evaluate(std::span<const double> free, double* residuals, double* jacobian) const override;

 private:
  // Fills the linear parameters of theta, the columns of those that are not held at a bound, and the residuals.
  bool SolveLinear(std::vector<double>& theta, Eigen::MatrixXd* columns_out, double* residuals) const;
  const Objective& objective_;
  std::vector<size_t> linear_, free_, rows_;
  std::vector<double> theta_, roots_;
};

}  // namespace bitlaw
