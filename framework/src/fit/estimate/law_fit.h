#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/estimate/method_fit.h"
#include "fit/options/fit_settings.h"
#include "fit/solve/fit_problem.h"
#include "fit/solve/nonlinear.h"
#include "fit/table/strata_data.h"
#include "records/table.h"

namespace bitlaw {

/// The fit of one law to one stratum, or why there is none. A method is empty exactly when its `why` is not, but for
/// `own`: that is empty too where the law's own procedure is one of the others.
struct BITLAW_EXPORT LawFit {
  std::string law, formula, response, citation;
  std::string stratum;
  std::vector<std::string> inferred_parameters;  ///< Law::infers_parameters(): their names.
  bool is_null = false;
  size_t incoming = 0, used = 0;
  size_t held_out_incoming = 0, held_out_used = 0;
  std::vector<Exclusion> excluded, held_out_excluded;
  std::vector<std::string> warnings;  ///< What a reader must know before believing the fit.
  size_t at_chance = 0;  ///< Rows with acc_adj <= 0; in `excluded` too, but the binomial fit has them.
  /// Of the fitted rows, each quantizer in the column `quantizer` and how many rows it has, unquantized ones apart.
  std::vector<std::pair<std::string, size_t>> quantizers;
  std::optional<MethodFit> ols, least_squares, binomial, own;
  std::string why_no_ols, why_no_least_squares, why_no_binomial, why_no_own;
  std::string unusable;  ///< Why the table cannot be used by this law at all (a column it lacks); else "".
  std::optional<OlsResult> ols_detail;
  std::optional<NonlinearResult> least_squares_detail, binomial_detail, own_detail;
  /// Of a method: how its starts ended; null for OLS.
  const NonlinearResult* DetailOf(const MethodFit& method) const;
  /// Those that there are: own, binomial, ols, least_squares. The first is what the report builds on.
  std::vector<const MethodFit*> Methods() const;
  std::vector<LawFit> nulls;  ///< Fitted to exactly the rows of the law.
};

/// Whether a cell of the column `quantizer` names one: not where it is empty or says "none" (unquantized).
BITLAW_EXPORT bool IsQuantizer(const std::string& name);

/// Fits `law` to the rows of `table` that are not held out. `rows` (indices into the table), if given, are the only
/// ones used.
BITLAW_EXPORT LawFit FitLaw(const Law& law, const Table& table, const FitSettings& settings,
                            std::span<const size_t> rows = {});

/// One law on one table by one procedure; by OLS where that is the same (squares of the logarithm of a law whose
/// logarithm is linear, squares of a linear one). Empty, with `why`, if it cannot be fitted.
BITLAW_EXPORT std::optional<MethodFit> FitMethod(const Law& law, const Table& table, const FitSettings& settings,
                                                 const FitProcedure& procedure, std::string& why);
/// The same; `table` and `settings` are those that the problem was made of.
BITLAW_EXPORT std::optional<MethodFit> FitMethod(const FitProblem& problem, const Table& table,
                                                 const FitSettings& settings, std::string& why);

}  // namespace bitlaw
