#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Residuals of a fit as functions of its free parameters.
class ResidualFunction {
 public:
  virtual ~ResidualFunction() = default;
  virtual size_t residuals() const = 0;
  /// residuals [n], jacobian [n, k] row by row. False where a value or slope is not finite.
  virtual bool Evaluate(std::span<const double> x, double* residuals, double* jacobian) const = 0;
};

struct BoxProblem {
  const ResidualFunction& function;
  std::span<const double> times;  ///< [n] How often each residual counts; empty: once each.
  std::span<const double> low, high;  ///< [k]
  double knee = std::numeric_limits<double>::infinity();  ///< Of the Huber loss; infinite: squares.
  bool has_exact_slopes = true;  ///< False: the Jacobian is an approximation, of which no differences are taken.
};

struct BoxOptions {
  int max_iterations = 500;
  double tolerance = 1e-15;  ///< What a step may still gain, as a share of the objective.
  double damping_floor = 1e-6;  ///< D is at least this share of its greatest value so far; 1: More's (1978) scaling.
};

struct BoxOutcome {
  double value = std::numeric_limits<double>::infinity();  ///< sum times h(r); for squares h(r) = r^2 / 2.
  int iterations = 0;
  bool converged = false;
  std::string status;  ///< "converged", "not converged after 500 iterations", "failed: ..."
};

/// Minimizes sum_i times_i h(r_i(x)) from `x`, which is within the bounds and stays there.
///
/// Each step minimizes, within the bounds,
///
///     sum_i times_i h(r_i + g_i^T s) + s^T (C + lambda D) s / 2
///
/// with h as it is (Levenberg and Marquardt's step for squares; for a knee a few Newton steps on what is then piecewise
/// quadratic), D the diagonal of sum times (psi(r) / r) g g^T, in which no |r| counts as less than their median, and C,
/// near the solution, the curvature sum times psi(r) r'' by differences of the slopes: without it a fit whose residuals
/// are large converges slowly, and one that takes small steps for convergence stops early. With a knee, C is kept over
/// steps that gain what was predicted to a fiftieth; of squares that would cost last digits. A step that leaves the
/// knees of rows which it was to keep within them is corrected by what the residuals bent on the way (Fletcher 1982,
/// second order corrections). A bound is active exactly where the step leaves it so.
BITLAW_EXPORT BoxOutcome DescendInBox(const BoxProblem& problem, const BoxOptions& options, std::span<double> x);

}  // namespace bitlaw
