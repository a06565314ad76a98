#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/estimate/cluster_robust.h"
#include "fit/options/fit_settings.h"
#include "fit/solve/least_squares.h"
#include "records/table.h"

namespace bitlaw {

/// A test of a law within a larger one.
struct BITLAW_EXPORT NestedTest {
  std::string small, large;
  std::string statistic;  ///< "F" or "chi2"
  double value = kUnset, df1 = kUnset, df2 = kUnset, p = kUnset;  ///< df2 NaN for chi2.
  double small_adjusted_r2 = kUnset, large_adjusted_r2 = kUnset;
  /// The same hypothesis over the units of the rows (ClusterRobust::AreZero of the large fit), where these have several
  /// rows: value, df2 and p above take every row for independent.
  std::string unit;  ///< "" : rows are their own units.
  ClusterRobust::Test over_units;
  double small_objective = kUnset, large_objective = kUnset;  ///< What was minimized, at both solutions.
};

/// F = ((SSR0 - SSR1) / (k1 - k0)) / (SSR1 / (n - k1)).
BITLAW_EXPORT NestedTest NestedF(const FitQuality& small, const FitQuality& large);
/// Squares: n ln(SSR0 / SSR1). Binomial (`dispersion` not NaN): the rise of the deviance over max(1, dispersion).
BITLAW_EXPORT NestedTest LikelihoodRatio(const FitQuality& small, const FitQuality& large, double dispersion = kUnset);

/// How laws are compared on a table: counts where all rows have them, else squares of the logarithm of the response, or
/// of the response where that is not positive everywhere. `rows` gets the rows of the table that are fitted.
BITLAW_EXPORT FitProcedure ComparisonProcedure(const Law& law, const Table& table, const FitSettings& settings,
                                               std::vector<size_t>& rows);

/// Whether parameters may take these values: the law with them held there against the law, by the likelihood ratio of
/// its own procedure where that is a Huber likelihood, otherwise of what ComparisonProcedure() says.
///   fixed [k]: NaN where free; all may be held. Error(kNumerical) if one of the two cannot be fitted.
BITLAW_EXPORT NestedTest TestParameters(const Law& law, const Table& table, const FitSettings& settings,
                                        const std::vector<double>& fixed);

/// A law with the factors of its linear form added one covariate after the other, by role: scale and precision (N, B), then
/// granularity (G), calibration (Cb) and the others.
struct BITLAW_EXPORT Ablation {
  std::string factors;  ///< "N, B", "N, B, G"
  FitQuality quality;
  NestedTest added;  ///< Against the line before; empty names in the first.
};
BITLAW_EXPORT std::vector<Ablation> Ablations(const Law& law, const Table& table, const FitSettings& settings);

/// One law on groups of rows: one for all, shared exponents with an amplitude of their own (where its form is linear, or
/// its logarithm), or all parameters of their own. Chow's test is pooled against separate.
///
/// Where a group does not determine the law by itself (one model has one N), there is no separate fit, but own
/// amplitudes may still be fitted: columns that they take up, such as log N with an amplitude a model, are left out.
/// A law without linear form is fitted as CompareLaws() does it: F of squares, or deviance over dispersion.
struct BITLAW_EXPORT ChowTest {
  std::string groups;    ///< The column
  std::string why_none;  ///< Empty exactly when there is a test.
  std::string why_no_shared, why_no_separate;  ///< Empty exactly when there is that fit.
  std::vector<std::string> dropped;            ///< Columns that the own amplitudes take up.
  std::vector<std::string> names;
  std::vector<size_t> sizes;
  FitQuality pooled, shared, separate;
  NestedTest chow, amplitudes, exponents;  ///< pooled/separate, pooled/shared, shared/separate.
  std::vector<OlsCoefficient> shared_coefficients;  ///< Exponents first, then one intercept a group.
  std::vector<RobustError> shared_errors;  ///< Of the exponents among them, over `shared_unit`; empty: rows are independent.
  std::string shared_unit;
};
BITLAW_EXPORT ChowTest Chow(const Law& law, const Table& table, const FitSettings& settings, const std::string& groups);

/// Every pair of laws of one response whose linear forms of the logarithm contain each other, where the rows determine
/// both.
BITLAW_EXPORT std::vector<NestedTest> NestedPairs(std::span<const Law* const> laws, const Table& table,
                                                  const FitSettings& settings);

}  // namespace bitlaw
