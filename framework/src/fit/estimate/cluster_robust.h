#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/data/row_units.h"
#include "fit/solve/fit_problem.h"
#include "fit/table/unset.h"

namespace bitlaw {

struct MethodFit;

/// A value of t with its degrees of freedom.
struct BITLAW_EXPORT RobustError {
  double error = kUnset;               ///< NaN: none, because the units do not outnumber what varies between them.
  double degrees_of_freedom = kUnset;  ///< Of Student's t.
};

/// Covariance of estimates whose rows are independent between units (models, say) and not within them.
///
/// With J [n, k] the derivatives of the weighted residuals r [n] by the parameters, M = (J^T J)^-1, H_u = J_u M J_u^T:
///
///     CR1   c M (sum_u J_u^T r_u r_u^T J_u) M,    c = U / (U - 1) (n - 1) / (n - k)
///     CR2   M (sum_u J_u^T A_u r_u r_u^T A_u J_u) M,    A_u = (I - H_u)^(-1/2)
///
/// CR1 is what statsmodels (`cov_type="cluster"`) and Stata print. CR2 (Bell and McCaffrey 2002) has no bias where rows
/// are in truth independent with equal variances, and its t has Satterthwaite's degrees of freedom under that working
/// model, of each contrast by itself; tests of several contrasts are Hotelling's T^2 with degrees of freedom found
/// the same way (Pustejovsky and Tipton 2018, "HTZ"). Directions that one unit alone determines have no error.
/// Cost O(n k^2); A_u is never formed. Const calls are safe from several threads.
class BITLAW_EXPORT ClusterRobust {
 public:
  /// `free` [parameters]: those that take part; the others are held and have no error.
  ClusterRobust(std::span<const double> jacobian, std::span<const double> residuals, RowUnits units,
                const std::vector<bool>& free);

  const RowUnits& units() const { return units_; }
  size_t parameters() const { return parameters_; }
  /// [parameters, parameters], NaN for parameters that are not free.
  const std::vector<double>& cr1() const { return cr1_; }
  const std::vector<double>& cr2() const { return cr2_; }

  /// Of contrast^T theta by CR2.   contrast [parameters]
  RobustError Error(std::span<const double> contrast) const;
  RobustError Error(size_t parameter) const;

  /// Whether several contrasts are 0: F on (count, df2).   contrasts [count, parameters]; values [count] of them.
  struct Test {
    double f = kUnset, df1 = kUnset, df2 = kUnset, p = kUnset;
    std::string why_none;  ///< Empty exactly when there is a test.
  };
  Test AreZero(std::span<const double> contrasts, std::span<const double> values) const;

  /// Of theta_j of `a` minus theta_j of `b`, two fits to other responses of the same units (matched by their names).
  static RobustError Difference(const ClusterRobust& a, const ClusterRobust& b, size_t parameter);

 private:
  struct Parts;  // What a contrast is made of, unit by unit.
  Parts Of(std::span<const double> contrast) const;
  bool IsFree(std::span<const double> contrast) const;

  RowUnits units_;
  size_t parameters_ = 0;
  std::vector<size_t> free_;
  double residual_variance_ = kUnset;
  bool is_corrected_ = true;          // False where there are so many units that A_u is the identity.
  std::vector<double> root_;          // [k, k]: M = root root^T.
  std::vector<double> influence_;     // [units, k]: root^-1 times what a unit adds to theta.
  std::vector<double> own_, shared_;  // [units, k, k]: W P W and W P in the basis of root; see the .cc.
  std::vector<double> cr1_, cr2_;
};

/// The rows of a fit near its solution: their score is jacobian^T residual. For counts these are Pearson's residuals;
/// for a Huber loss, residuals drawn in to the knee, over the share of rows within it.
struct BITLAW_EXPORT ScoreRows {
  std::vector<double> jacobian, residuals;  // [n, k], [n]
  std::string why_none;                     ///< Why there is no expansion; empty exactly when there is one.
};
BITLAW_EXPORT ScoreRows ScoresOf(const FitProblem& problem, const MethodFit& method);

/// ClusterRobust of a fit of the problem. Null, with `why`, where there is none.
BITLAW_EXPORT std::shared_ptr<const ClusterRobust> RobustOf(const FitProblem& problem, RowUnits units,
                                                            const MethodFit& method, std::string& why);

}  // namespace bitlaw
