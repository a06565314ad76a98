#pragma once

#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/examine/nested_tests.h"
#include "fit/examine/validation.h"
#include "fit/options/fit_settings.h"
#include "records/table.h"

namespace bitlaw {

/// One law in a comparison.
struct BITLAW_EXPORT ComparedLaw {
  std::string law, response;
  std::string method;  ///< MethodFit::title()
  std::string why_none;
  size_t parameters = 0;
  double adjusted_r2 = kUnset, aicc = kUnset, delta_aicc = kUnset, weight = kUnset, bic = kUnset;
  double log_likelihood = kUnset, dispersion = kUnset;  ///< Counts: Pearson's X^2 / (n - k).
  /// 2 K n / (n - K - 1) - 2 ln L / LawComparison::dispersion, K = k + 1; NaN without overdispersion.
  double qaicc = kUnset;
  ValidationResult in_sample;  ///< On the rows that are fitted.
  ValidationResult folds;      ///< No scheme: there are none.
  std::vector<ValidationResult> hold_outs;
  ValidationResult declared;  ///< On the rows of the column `hold_out`; no scheme: there are none.
  /// What laws of several responses are ordered by: the RMSE of acc_adj over the folds; in sample, where there are
  /// none.
  const ValidationResult& judged_in_accuracy() const { return folds.scheme.empty() ? in_sample : folds; }
};

/// Laws on the same rows: those that every one can use, of the column `hold_out` too.
struct BITLAW_EXPORT LawComparison {
  std::string stratum;
  std::string response;    ///< Of all of the laws; "" where they have several.
  bool has_several_responses = false;
  FitProcedure procedure;  ///< By which all are fitted. Of several responses each has a method of its own.
  size_t rows = 0, left_out = 0;  ///< left_out: rows that only some of the laws can use.
  size_t declared_rows = 0;       ///< Of the column `hold_out`, which none is fitted to.
  std::string unit;               ///< RowUnits::name of these rows
  size_t units = 0;
  bool is_clustered = false;      ///< Whether a unit has several rows: AICc, BIC and weights then count rows that are not
                                  ///< independent.
  /// Counts: that of the law with most parameters, at least 1. Above 1, QAICc is what laws are ordered and weighted by.
  double dispersion = kUnset;
  /// "QAICc" or "AICc"; not of several responses.
  std::string criterion() const { return dispersion > 1 ? "QAICc" : "AICc"; }
  /// Best AICc (QAICc) first; of several responses, which have no likelihood in common, the lowest RMSE of acc_adj over
  /// the folds (in sample, where there are no folds). Those without a fit last.
  std::vector<ComparedLaw> laws;
  std::vector<NestedTest> nested;  ///< Of all pairs whose linear forms contain each other.
};

/// Laws of one response, by the same method: the likelihood of the counts if all rows have them and the rule says so,
/// otherwise squares of the logarithm of the response (of the response itself where it is not positive).
BITLAW_EXPORT LawComparison CompareLaws(std::span<const Law* const> laws, const Table& table,
                                        const FitSettings& settings);

/// Laws of any responses, by how well they predict acc_adj: each is fitted by its own ComparisonProcedure(), and its
/// predictions are mapped back by the inverse of its response. Rows at or below chance count. A law from whose response
/// no accuracy follows is there with why_none.
BITLAW_EXPORT LawComparison CompareInAccuracy(std::span<const Law* const> laws, const Table& table,
                                              const FitSettings& settings);

}  // namespace bitlaw
