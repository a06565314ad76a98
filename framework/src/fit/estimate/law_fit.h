#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "fit/data/controls.h"
#include "fit/data/dataset.h"
#include "fit/estimate/cluster_robust.h"
#include "fit/law/held_value.h"
#include "fit/solve/least_squares.h"
#include "fit/solve/nonlinear.h"
#include "records/table.h"

namespace bitlaw {

/// How laws are fitted: the `fit:` of a study.
struct BITLAW_EXPORT FitSettings {
  ChanceRule chance_rule = ChanceRule::kLikelihood;
  std::string weights;  ///< RowOptions::weights
  int random_starts = 16;
  uint64_t seed = 0;
  int threads = 0;    ///< 0: one a core. Results are the same for any number.
  bool nulls = true;  ///< Fit f(N), f(B), f(N,B) and the law of the loss against 16 bits beside every law.

  double confidence = 0.9;  ///< Level of all intervals.
  int bootstrap = 500;      ///< Replicates; 0: none.
  /// What counts as independent in every section, and what the bootstrap draws: UnitsOf().
  std::string bootstrap_unit = "auto";
  bool profile = false;                   ///< Profile intervals of the parameters.
  std::vector<std::string> derived;       ///< "doubling = 2^alpha"
  int k_fold = 5;                         ///< 0: none.
  bool leave_one_out = false;
  std::vector<std::string> leave_out;  ///< Columns: "model".
  std::vector<std::string> hold_outs;  ///< Conditions, beside UsualHoldOuts().
  bool compare = true;                 ///< Laws of one response against each other, ablations.
  std::string groups;                  ///< Column of a Chow test; "" : `family` if it varies.
  int permutations = 1000;             ///< Of the tasks over the strata; 0: none.
  std::vector<std::string> zones;      ///< Conditions; empty: the values of B.
  bool average_tasks = true;           ///< A row is a trial; false: a trial and task.
  std::vector<std::string> controls;   ///< ParseControl()
  std::vector<std::string> groupings;  ///< ParseGrouping(): strata beside the table's own.
  std::vector<HeldValue> fix;          ///< For whoever opens the laws: FitLaws() takes them as they are.
};
BITLAW_EXPORT OptionSchema FitSchema();
/// Error(kSpec) by the schema. Null: defaults.
BITLAW_EXPORT FitSettings ReadFitSettings(const Value& given);

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
  std::string method;  ///< "ols", "least_squares", "binomial", "huber", "huber_likelihood"
  std::string space;   ///< Of the residuals: "log response", "response" or "counts".
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
  std::vector<double> theta() const;
};

/// How reports name a method: "OLS, log", "least squares".
BITLAW_EXPORT std::string MethodTitle(const std::string& method, const std::string& space);

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

/// Whether a fit of the law takes the logarithm of the response: its linear form is of the logarithm, or its own
/// procedure is. No fit then has rows whose response is not positive (RowOptions::take_log).
BITLAW_EXPORT bool TakesLog(const Law& law);

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

/// Every law on every stratum.
struct BITLAW_EXPORT FitReport {
  struct Stratum {
    std::string name;
    std::vector<std::string> tasks;
    size_t incoming = 0;
    std::vector<Exclusion> incomplete;
  };
  FitSettings settings;
  std::vector<Control> controls;  ///< What every law is cleared of.
  std::vector<Stratum> strata;
  std::vector<LawFit> fits;  ///< Law by law, strata in order.
  std::vector<std::string> notes;
};
/// With settings.controls each law, and each null beside it, is fitted as a ControlledLaw.
BITLAW_EXPORT FitReport FitLaws(std::span<const std::unique_ptr<Law>> laws, const Table& table,
                                const FitSettings& settings);

/// Everything, for programs: every number of the structs above; what is not known is null.
BITLAW_EXPORT Value FitReportJson(const FitReport& report);

struct AnalysisReport;
/// One row a law, stratum, method and parameter, with the bounds of the intervals of the method that has them.
BITLAW_EXPORT Table FitReportTable(const FitReport& report, const AnalysisReport& analysis);

}  // namespace bitlaw
