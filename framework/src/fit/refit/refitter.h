#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/rng.h"
#include "fit/estimate/method_fit.h"
#include "fit/refit/kernels/lane_kernels.h"
#include "fit/solve/fit_problem.h"
#include "records/table.h"

namespace bitlaw {

/// Fits one law by one method again and again to resamples of a table's rows: what bootstrap, validation, comparison
/// and the tests of strata are made of.
///
/// OLS is refitted by k x k normal equations in an orthonormal basis of the whole design, which keeps its digits at
/// the cost of a few thousand operations, and by QR where a resample leaves them badly conditioned; iterative methods
/// start at the solution on all rows.
///   The law must outlive it. Const calls are safe from several threads.
class BITLAW_EXPORT Refitter {
 public:
  /// `method` is a fit of the problem, which `table` was made into; it says where to start.
  Refitter(const FitProblem& problem, const Table& table, const MethodFit& method);
  /// The problem made anew: what `method` minimized, of `law` on `table` with `settings`.
  Refitter(const Law& law, const Table& table, const FitSettings& settings, const MethodFit& method);
  ~Refitter();
  Refitter(Refitter&&) noexcept;

  const Law& law() const;
  size_t parameters() const;
  size_t table_rows() const;
  std::span<const double> theta() const;  ///< On all rows.
  /// Rows of the table that the method fits, rising.
  std::span<const size_t> rows() const;
  /// Rows of the table, not held out, whose covariates are known: those that can be predicted.
  std::span<const size_t> cases() const;

  /// Fits to each row as often as `multiplicity` [table_rows()] says (empty: once). False, with theta NaN, where the
  /// resample does not determine the parameters or the iteration fails.
  bool Refit(std::span<const double> multiplicity, std::span<double> theta) const;

  /// kLanes such fits at once, for as many resamples: many times as fast where the law is linear, as it stands or after
  /// a logarithm. A fit comes out the same, to the last bit, whichever lane it is in and whatever is beside it.
  ///   multiplicity [rows().size()], in the order of rows(), lane l for resample l; theta [kLanes, parameters()] row by
  ///   row. Returns which lanes hold a fit.
  std::array<bool, kLanes> RefitLanes(std::span<const Lanes> multiplicity, std::span<double> theta) const;

  /// Refit() for the sake of predictions, which may be settled where parameters are not: along a valley of equal
  /// objectives. An iteration that is not done goes on for up to ten times as many steps, until it is, or until no
  /// prediction of a case moves by more than 1e-3 of itself in as many steps as Refit() takes. False, with `why`, if
  /// neither happens or the rows do not determine the parameters.
  bool RefitToPredict(std::span<const double> multiplicity, std::span<double> theta, std::string& why) const;

  /// The same with other values of the response [rows().size()], in the order of rows(); NaN leaves a row out. Not for
  /// a binomial fit.
  bool RefitResponses(std::span<const double> responses, std::span<const double> multiplicity,
                      std::span<double> theta) const;

  /// Fits with other accuracies (acc_adj, [table_rows()]) in place of the table's: responses follow from them, counts
  /// keep their totals. An accuracy that has no response leaves its row out. An anchored law (IsAnchored()) gets the
  /// accuracies of the unquantized models from `accuracy` too, as far as the table has their rows.
  bool RefitAccuracies(std::span<const double> accuracy, std::span<double> theta) const;

  /// Fits to a draw of what another set of as many items would have given each row by itself: counts from the binomial
  /// (a mean over several tasks: acc_adj from a normal with its standard error). False also if the table has neither
  /// counts nor errors.
  bool RefitNewItems(Rng& rng, std::span<double> theta) const;
  /// Of an anchored law, which rows RefitAccuracies() and RefitNewItems() leave with the accuracy of their unquantized
  /// model as it is; empty: none.
  std::string ExplainFixedAnchor() const;
  /// Why RefitNewItems() cannot be used; empty if it can.
  std::string ExplainNoItems() const;

  /// f(x; theta) of a case, and acc_adj where the response can be inverted (NaN if not).
  double Predict(std::span<const double> theta, size_t row) const;
  double PredictAccuracy(std::span<const double> theta, size_t row) const;
  /// The response of a row, NaN if it has none; its acc_adj, NaN if the table has none.
  double Response(size_t row) const;
  double Accuracy(size_t row) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitlaw
