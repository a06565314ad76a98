#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/estimate/cluster_robust.h"
#include "fit/solve/least_squares.h"
#include "fit/solve/objective.h"
#include "fit/table/unset.h"

namespace bitlaw {

/// ParameterEstimate::note of an amplitude whose logarithm is a coefficient of OLS.
inline constexpr const char* kFromLogarithm = "from its logarithm";

struct BITLAW_EXPORT ParameterEstimate {
  std::string name, unit;
  double value = kUnset;
  double standard_error = kUnset;  ///< NaN: none, see note.
  double t = kUnset, p = kUnset;   ///< Of the hypothesis that the value is 0; NaN where ln(value) was fitted.
  std::string note;                ///< "at its bound", "not identified", "from its logarithm", or "".
  /// By CR2 over the units of the rows (MethodFit::robust), with degrees of freedom of its own, and p of the hypothesis
  /// that the value is 0. NaN where rows are their own units, or where the units do not suffice.
  double robust_error = kUnset, robust_df = kUnset, robust_p = kUnset;
};

/// Mean absolute and root mean square errors of predictions.
struct BITLAW_EXPORT PredictionErrors {
  size_t rows = 0;                                       ///< Rows with a response.
  double mae = kUnset, rmse = kUnset;                    ///< In units of the response.
  size_t accuracy_rows = 0;                              ///< LawRows::complete_index of the set.
  double accuracy_mae = kUnset, accuracy_rmse = kUnset;  ///< In units of acc_adj; NaN if the response has no inverse.
};

/// One way in which a law was fitted.
struct BITLAW_EXPORT MethodFit {
  bool is_ols = false;     ///< Solved as a linear system; false: by iteration.
  FitProcedure procedure;  ///< What was minimized.
  size_t rows = 0;     ///< Rows fitted: a binomial fit has those at or below chance too.
  std::vector<ParameterEstimate> parameters;
  FitQuality quality;           ///< In that space. For "binomial" and the Hubers see NonlinearResult.
  double scale = kUnset;        ///< Of a Huber likelihood.
  double objective = kUnset;    ///< What was minimized, at the solution.
  std::vector<double> covariance;  ///< [k, k] of the parameters, rows independent; NaN where there is none.
  std::string unit;                ///< RowUnits::name of the rows: what counts as independent.
  std::string unit_note;           ///< RowUnits::note
  /// Errors over those units. Null where every row is one of its own, and where `why_no_robust` says why.
  std::shared_ptr<const ClusterRobust> robust;
  std::string why_no_robust;
  double response_r2 = kUnset;  ///< 1 - SSR / TSS of the response itself, whichever space was fitted.
  PredictionErrors on_fit, on_held_out;
  bool of_counts() const { return procedure.loss == FitProcedure::Loss::kBinomial; }
  bool of_log() const { return !of_counts() && procedure.space == FitProcedure::Space::kLog; }
  bool of_squares() const { return procedure.loss == FitProcedure::Loss::kSquares; }
  std::vector<double> theta() const;
  /// How files name it: "ols", "least_squares", "binomial", "huber", "huber_likelihood".
  std::string method() const;
  std::string space() const { return SpaceName(procedure); }
  std::string title() const;  ///< How reports name it: "OLS, log", "least squares".
};

}  // namespace bitlaw
