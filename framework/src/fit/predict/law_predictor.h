#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/estimate/method_fit.h"
#include "fit/options/fit_settings.h"
#include "fit/predict/error_scale.h"
#include "fit/refit/replicates.h"
#include "fit/solve/fit_problem.h"
#include "records/table.h"

namespace bitlaw {

/// What a fitted law says of one point, and how well.
struct BITLAW_EXPORT LawPrediction {
  double response = kUnset;   ///< f(x; theta): the law alone.
  double law_value = kUnset;  ///< The same as acc_adj; the response again where no accuracy follows from it.
  /// law_value moved by how far the law is off for this model (and these bits of it) where they were measured: the same
  /// for a model that was not.
  double value = kUnset;
  Interval interval;  ///< Of what would be measured, at the level that was asked for.
  double standard_error = kUnset, degrees_of_freedom = kUnset;  ///< On the scale of errors; see LawPredictor.
  bool is_known_unit = false;   ///< Whether rows of the unit (the model) are in the fit.
  std::string why_no_interval;  ///< Empty exactly when there is one.
};

/// Predicts what would be measured at points that were not, from one fit of a law, with prediction intervals.
///
/// On the scale z of ErrorScale, a row of unit u (a model) and cell c (a setting of the law's factors of precision in
/// u) is taken for
///
///     z_i = z(f(x_i; theta)) + unit_u + cell_c + e_i
///
/// with the variances of NestedVariance. The prediction is the law's plus what the other rows of the unit and the cell
/// say of their two terms (simple kriging of the residuals; Goldberger 1962, JASA 57:369). With r [n] the errors of the
/// rows, S their covariance, c_0 [n] theirs with the new point, J [n, k] the slopes of z by the parameters (those off
/// their bounds), A = (J^T W J)^-1 J^T W what an error does to the estimates (W the weights of the fit) and j_0 the
/// slopes at the point:
///
///     z_0 = z(f(x_0; theta)) + u^T r,   u = S^-1 c_0,   lambda = A^T (j_0 - J^T u) + u
///     variance = s_u + s_c + w_0 s_e - 2 lambda^T c_0 + lambda^T S lambda
///
/// so that the law's misfit, its uncertain parameters (with rows of a model off together) and the scatter of single
/// configurations are all in one number. Of a model that is in no row, c_0 = 0. The interval is z_0 -+ t
/// sqrt(variance); degrees of freedom after Satterthwaite (1946, Biometrics Bulletin 2:110) from those of the three
/// variances.
///
/// What is predicted is what these tasks would measure on these items: items are the same for all rows, so errors of
/// their choice are in no interval.
///   The law and the problem's table must outlive it. Const calls are safe from several threads.
class BITLAW_EXPORT LawPredictor {
 public:
  /// Of `method`, a fit of the problem that `table` was made into.
  LawPredictor(const FitProblem& problem, const Table& table, const FitSettings& settings, const MethodFit& method);
  /// Of other estimates `theta`, from the rows `kept` of the problem's (places in problem.index(), rising): for fits
  /// without some rows.
  LawPredictor(const FitProblem& problem, const Table& table, const FitSettings& settings, const MethodFit& method,
               std::span<const double> theta, std::span<const size_t> kept);

  ~LawPredictor();
  LawPredictor(LawPredictor&&) noexcept;

  const ErrorScale& scale() const;
  const std::string& unit_name() const;  ///< RowUnits::name, "model" or "trials".
  size_t units() const;
  /// Of each row that was given: which setting of precision of which model it is (NestedGroups::cell_of_row).
  const std::vector<size_t>& cell_of_row() const;
  /// Standard deviations on the scale: between models, between settings of precision of one, between rows of one such.
  struct Scatter {
    double unit = kUnset, cell = kUnset, row = kUnset;
  };
  Scatter scatter() const;

  /// x [covariates]; `unit`: the name of the model ("": one that is not in the fit).
  LawPrediction At(std::span<const double> x, const std::string& unit = "") const;
  /// How far x lies from the middle of the fitted rows, over the farthest of these: leverage over the largest leverage,
  /// each of the unweighted slopes. Above 1 the law extrapolates, be it within the range of each factor by itself.
  double Distance(std::span<const double> x) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitlaw
