#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/examine/uncertainty.h"
#include "fit/refit/refitter.h"

namespace bitlaw {

/// Errors on rows that the fit did not see. Rows at or below chance count in accuracy units: they can be predicted, if
/// not fitted.
struct BITLAW_EXPORT ValidationResult {
  std::string scheme;    ///< "5-fold", "leave one out", "leave out model", "hold out B == 2"
  std::string why_none;  ///< Empty exactly when there are errors.
  size_t fits = 0, failed = 0;
  std::vector<std::string> failures;  ///< Why, "fold 2: ..."; one each of those that failed.
  size_t fit_rows = 0;                              ///< Of the smallest fit.
  size_t validation_rows = 0;                       ///< Predicted over all fits; no row is in the fit that predicts it.
  double mae = kUnset, rmse = kUnset, r2 = kUnset;  ///< In units of the response; R^2 about the mean of these rows.
  size_t accuracy_rows = 0;
  double accuracy_mae = kUnset, accuracy_rmse = kUnset, accuracy_r2 = kUnset;  ///< In units of acc_adj.
  /// Percentile bootstrap (ExpandedLevels()) over `interval_units` units of the predicted rows; none of one unit.
  Interval accuracy_mae_interval;
  std::string interval_unit;
  size_t interval_units = 0;
  std::vector<size_t> rows;        ///< Of the table, in the order of the next.
  std::vector<double> predicted, predicted_accuracy;
};

/// fold_of_row [table rows]: fold f is predicted by a fit without it; a row with -1 is in every fit and never
/// predicted. `units`: of the refitter's cases; null: every row is one.
BITLAW_EXPORT ValidationResult Validate(const Refitter& refitter, std::string scheme, std::span<const int> fold_of_row,
                                        double level, uint64_t seed, int threads, const RowUnits* units = nullptr);

/// Errors of one fit of the problem on rows of a table, be they those that are fitted or others: its predictions there,
/// over the units of these rows that `settings` ask for.
BITLAW_EXPORT ValidationResult ErrorsOn(const FitProblem& problem, const MethodFit& method, const Table& table,
                                        std::span<const size_t> rows, std::string scheme, const FitSettings& settings);

/// `folds` random parts of nearly equal size, over the refitter's cases; with units of several rows, parts of whole
/// units, and no more parts than there are units.
BITLAW_EXPORT std::vector<int> RandomFolds(const Refitter& refitter, int folds, uint64_t seed,
                                           const RowUnits* units = nullptr);
/// What these parts are called: "5-fold", "5-fold by model", "leave one model out".
BITLAW_EXPORT std::string FoldsName(int folds, const RowUnits& units);
/// One fold a row.
BITLAW_EXPORT std::vector<int> OneByOne(const Refitter& refitter);
/// One fold a value of the column. Error(kSpec) if there is none.
BITLAW_EXPORT std::vector<int> FoldsBy(const Refitter& refitter, const Table& table, const std::string& column);
/// The rows for which a condition over the columns holds are fold 0, the others in every fit. Error(kSpec).
BITLAW_EXPORT std::vector<int> HoldOut(const Refitter& refitter, const Table& table, const std::string& condition);

/// Hold-outs that a law is owed, for those of its covariates that have three values or more: the largest of each factor of
/// scale ("N == 7e9"), the smallest of each of precision ("B == 2"), and the largest of any other that was declared.
BITLAW_EXPORT std::vector<std::string> UsualHoldOuts(const Refitter& refitter, const Table& table,
                                                     const FactorRoles& roles);

}  // namespace bitlaw
