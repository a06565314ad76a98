#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/data/fit_rows.h"
#include "fit/solve/least_squares.h"
#include "fit/solve/objective.h"

namespace bitlaw {

struct BITLAW_EXPORT NonlinearOptions {
  FitProcedure procedure;
  const ResponseInverse* inverse = nullptr;  ///< For a binomial likelihood.
  int random_starts = 16;
  /// Random starts end as soon as so many of them agree with the best and none was better than a given one; 0: never.
  int enough_agreeing = 0;
  uint64_t seed = 0;
  int max_iterations = 500;
  bool project = true;  ///< Random starts descend by variable projection: DescentOptions::linear.
  /// Tried before the random ones, e.g. the solution of the linearized form. [k] each.
  std::vector<std::pair<std::string, std::vector<double>>> given_starts;
};

/// How one start ended.
struct BITLAW_EXPORT StartStatus {
  std::string origin;  ///< "OLS", "law file", "random 3"
  std::vector<double> start, end;
  double initial_objective = kUnset, final_objective = kUnset;  ///< For squares: the sum of squared residuals.
  int iterations = 0;
  std::string status;  ///< "converged", "not converged after 500 iterations", "failed: ..."
  bool converged = false;
  bool agrees = false;  ///< With the best: within 1e-6 (relative) or 1e-14 TSS of its objective.
};

struct BITLAW_EXPORT NonlinearParameter {
  double value = kUnset;
  double standard_error = kUnset;  ///< NaN at a bound and where the data do not identify the parameter.
  bool at_bound = false;
  /// What the objective would gain a unit of the parameter if its bound gave way, all else fixed; NaN where it is free.
  double multiplier = kUnset;
  bool is_identified = true;
};

/// A fit by iteration, within the parameters' bounds.
///
/// Covariance, parameters at a bound held fixed:
///   squares   s^2 (J^T J)^-1, s^2 = SSR / (n - k).
///   binomial  phi F^-1, F the Fisher information, phi = max(1, X^2 / (n - k)) with Pearson's X^2: scatter beyond the
///             binomial's widens the errors.
///   huber     kappa^2 (J^T J)^-1, kappa^2 = (sum psi^2 / (n - k)) / (share of rows within the knee)^2 (Huber 1981);
///   NaN
///             if that share is below a quarter: then bootstrap.
/// quality: squares as FitQuality says, with TSS about the (weighted) mean of the response or its logarithm.
///   binomial: ln L of the counts; R^2 = 1 - deviance / deviance of a constant accuracy; residual_variance = phi before
///   the max. huber: SSR and R^2 of its residuals; ln L for the likelihood, NaN otherwise.
struct BITLAW_EXPORT NonlinearResult {
  FitQuality quality;
  std::vector<NonlinearParameter> parameters;
  std::vector<double> covariance;  ///< [k, k]; NaN where there is no standard error.
  std::vector<double> fitted;      ///< [n], in units of the response.
  double objective = kUnset;       ///< Objective::Value() at the solution.
  double scale = kUnset;           ///< Of a Huber likelihood.
  std::vector<StartStatus> starts;
  size_t best = 0;      ///< Index of the start that gave the solution.
  size_t agreeing = 0;  ///< Starts that agree with the best.
  /// How far the solution is from the conditions of Karush, Kuhn and Tucker: the greatest |slope| of the objective along
  /// a parameter that is free to move so, over the root of twice the objective and of its curvature there: the cosine
  /// between residuals and the parameter's column. 0 at a minimum within the bounds.
  double kkt = kUnset;
  std::vector<double> theta() const;
};

/// Fits `law` from every start and keeps the best. Random starts are drawn with `seed`: each is the best of 64 draws,
/// and parameters that are linear given the others are solved for rather than drawn. Of more than 50,000 rows, all starts
/// descend on 10,000 of them, and the best of their ends on all. Same inputs, same bytes.
/// Error(kNumerical) if n <= k or if no start gives a finite objective, with what the starts said.
BITLAW_EXPORT NonlinearResult FitNonlinear(const Law& law, const FitRows& rows, const NonlinearOptions& options);

}  // namespace bitlaw
