#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/least_squares.h"

namespace bitlaw {

/// Rows for a fit: covariates [n, c] row by row, in the order of the law's covariates(), and the response [n].
struct BITLAW_EXPORT FitRows {
  std::vector<double> x;
  std::vector<double> y;
  size_t size() const { return y.size(); }
  std::span<const double> row(size_t i, size_t covariates) const { return {x.data() + i * covariates, covariates}; }
};

struct BITLAW_EXPORT NonlinearOptions {
  int random_starts = 16;
  uint64_t seed = 0;
  int max_iterations = 500;
  /// Tried before the random ones, e.g. the solution of the linearized form. [k] each.
  std::vector<std::pair<std::string, std::vector<double>>> given_starts;
};

/// How one start ended.
struct BITLAW_EXPORT StartStatus {
  std::string origin;  ///< "ols", "given", "random 3"
  std::vector<double> start, end;
  double initial_ssr = kUnset, final_ssr = kUnset;
  int iterations = 0;
  std::string status;  ///< "converged", "not converged after 500 iterations", "failed: ..."
  bool converged = false;
};

struct BITLAW_EXPORT NonlinearParameter {
  double value = kUnset;
  double standard_error = kUnset;  ///< NaN at a bound and where the data do not identify the parameter.
  bool at_bound = false;
  bool is_identified = true;
};

/// Least squares in the space of the response, by Levenberg-Marquardt within the parameters' bounds.
///
/// Covariance: s^2 (J^T J)^-1 at the solution, s^2 = SSR / (n - k), parameters at a bound held fixed. TSS is taken
/// about the mean of the response.
struct BITLAW_EXPORT NonlinearResult {
  FitQuality quality;
  std::vector<NonlinearParameter> parameters;
  std::vector<double> covariance;  ///< [k, k]; NaN where there is no standard error.
  std::vector<double> fitted;      ///< [n]
  std::vector<StartStatus> starts;
  size_t best = 0;      ///< Index of the start that gave the solution.
  size_t agreeing = 0;  ///< Starts that ended within 1e-6 (relative) or 1e-14 TSS of the best SSR.
};

/// Fits `law` from every start and keeps the best. Random starts are drawn with `seed`: each is the best of 64 draws,
/// and parameters that are linear given the others are solved for rather than drawn. Same inputs, same bytes.
/// Error(kNumerical) if n <= k or if no start gives a finite sum of squares, with what the starts said.
BITLAW_EXPORT NonlinearResult FitNonlinear(const Law& law, const FitRows& rows, const NonlinearOptions& options);

}  // namespace bitlaw
