#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/data/fit_rows.h"
#include "fit/law/response_inverse.h"

namespace bitlaw {

/// "squares", "huber", "huber_likelihood", "binomial"; "response", "log".
BITLAW_EXPORT std::string Name(FitProcedure::Loss loss);
BITLAW_EXPORT std::string Name(FitProcedure::Space space);
/// What the residuals are of: "log response", "response", "counts".
BITLAW_EXPORT std::string SpaceName(const FitProcedure& procedure);

/// What a fit minimizes over theta: a law on rows under a procedure. See FitProcedure for the formulas.
///
/// `multiplicity` [n] counts how often a row stands in a resample (0 leaves it out); empty: once each.
/// The law, the rows and the inverse must outlive it. Const calls are safe from several threads.
class BITLAW_EXPORT Objective {
 public:
  /// `inverse` is needed by kBinomial only; that also needs rows with counts. Both missing are an InternalError.
  Objective(const Law& law, const FitRows& rows, FitProcedure procedure, const ResponseInverse* inverse = nullptr);

  const Law& law() const { return law_; }
  const FitRows& rows() const { return rows_; }
  const FitProcedure& procedure() const { return procedure_; }

  /// The residual of row i, times sqrt(weight); NaN where the law has no value. `gradient` (may be empty) gets its
  /// derivatives by theta.
  double Residual(std::span<const double> theta, size_t i, std::span<double> gradient) const;

  /// The sum over rows of r^2 (squares, binomial), or of the Huber loss with `delta` for the procedure's.
  double Value(std::span<const double> theta, std::span<const double> multiplicity = {}) const;
  double HuberValue(std::span<const double> theta, double delta, std::span<const double> multiplicity) const;

  /// kHuberLikelihood: the scale that is best for these residuals, and the negative log likelihood there.
  double BestScale(std::span<const double> theta, std::span<const double> multiplicity) const;
  double NegativeLogLikelihood(std::span<const double> theta, double scale,
                               std::span<const double> multiplicity) const;

  /// The probability of a correct answer in row i, and its derivatives by theta. kBinomial only.
  double Probability(std::span<const double> theta, size_t i, std::span<double> gradient) const;
  /// ln L of the counts, binomial coefficients included. kBinomial only.
  double BinomialLogLikelihood(std::span<const double> theta) const;
  /// The deviance of the best constant acc_adj. kBinomial only.
  double NullDeviance() const;

 private:
  double DevianceResidual(size_t i, double p, double* slope) const;
  const Law& law_;
  const FitRows& rows_;
  FitProcedure procedure_;
  const ResponseInverse* inverse_;
};

/// How a descent ended.
struct BITLAW_EXPORT Descent {
  std::vector<double> theta;
  double value = 0;  ///< Of Objective::Value(); for kHuberLikelihood the negative log likelihood.
  double scale = 0;  ///< kHuberLikelihood only.
  int iterations = 0;
  bool converged = false;
  std::string status;  ///< "converged", "not converged after 500 iterations", "failed: ..."
};

struct BITLAW_EXPORT DescentOptions {
  int max_iterations = 500;
  bool refine = true;  ///< To the last digits; resamples need six.
  /// Descend twice, damped by the slopes where it is and by the steepest so far (More 1978), and keep the better end:
  /// from far away neither is always the one that arrives. Squares and binomial only.
  bool is_far = false;
  bool is_near = false;  ///< The start solves nearly the same problem: a Huber's knee is led down a part of the way.
  /// Parameters in which the law is linear, given the others. Squares of the response are first minimized over the
  /// others alone, with these solved for at every step (variable projection, Kaufman 1975), then over all. Other
  /// procedures ignore it.
  std::vector<size_t> linear{};
};

/// Levenberg-Marquardt from `start` within the parameters' bounds (DescendInBox). Same inputs, same bytes.
BITLAW_EXPORT Descent Descend(const Objective& objective, std::span<const double> start,
                              std::span<const double> multiplicity = {}, const DescentOptions& options = {});

}  // namespace bitlaw
