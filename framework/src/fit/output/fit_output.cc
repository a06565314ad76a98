#include "fit/output/fit_output.h"

#include <cmath>

#include "fit/options/fit_options.h"
#include "fit/output/json_values.h"

namespace bitlaw {

Value Json(const Exclusion& exclusion) {
  return JsonObject({{"reason", exclusion.reason}, {"rows", exclusion.rows}, {"example", exclusion.example}});
}

Value Json(const FitQuality& quality) {
  return JsonObject({{"rows", quality.rows},
                     {"parameters", quality.parameters},
                     {"ssr", quality.ssr},
                     {"r2", quality.r2},
                     {"adjusted_r2", quality.adjusted_r2},
                     {"residual_variance", quality.residual_variance},
                     {"log_likelihood", quality.log_likelihood},
                     {"aic", quality.aic},
                     {"aicc", quality.aicc},
                     {"bic", quality.bic}});
}

Value Json(const OlsCoefficient& coefficient) {
  return JsonObject({{"column", coefficient.name},
                     {"value", coefficient.value},
                     {"standard_error", coefficient.standard_error},
                     {"t", coefficient.t},
                     {"p", coefficient.p},
                     {"vif", coefficient.vif}});
}

Value Json(const FitReport::Stratum& stratum) {
  return JsonObject({{"name", stratum.name},
                     {"tasks", stratum.tasks},
                     {"rows", stratum.incoming},
                     {"incomplete", stratum.incomplete}});
}

// Not in an unnamed namespace: the lists of json_values.h would not find them there.
static Value Json(const PredictionErrors& errors) {
  return JsonObject({{"rows", errors.rows},
                     {"mae", errors.mae},
                     {"rmse", errors.rmse},
                     {"accuracy_rows", errors.accuracy_rows},
                     {"accuracy_mae", errors.accuracy_mae},
                     {"accuracy_rmse", errors.accuracy_rmse}});
}

static Value Json(const MethodFit& fit) {
  Value json =
      JsonObject({{"method", fit.method()}, {"space", fit.space()}, {"rows", fit.rows}, {"objective", fit.objective}});
  if (!std::isnan(fit.scale)) json.Set("scale", Json(fit.scale));
  Value parameters;
  for (const ParameterEstimate& estimate : fit.parameters) {
    parameters.Set(estimate.name, JsonObject({{"value", estimate.value},
                                              {"standard_error", estimate.standard_error},
                                              {"t", estimate.t},
                                              {"p", estimate.p},
                                              {"robust_error", estimate.robust_error},
                                              {"robust_df", estimate.robust_df},
                                              {"robust_p", estimate.robust_p},
                                              {"unit", estimate.unit},
                                              {"note", estimate.note}}));
  }
  AddFields(json, {{"parameters", parameters},
                   {"independent_units", fit.unit},
                   {"units", fit.robust ? Json(fit.robust->units().size()) : Value()},
                   {"why_no_robust", fit.why_no_robust},
                   {"robust_covariance", fit.robust ? Json(fit.robust->cr2()) : Value()},
                   {"quality", fit.quality},
                   {"response_r2", fit.response_r2},
                   {"errors", fit.on_fit},
                   {"held_out_errors", fit.on_held_out}});
  return json;
}

static Value Json(const OlsResult& ols) {
  return JsonObject({{"f", ols.f},
                     {"f_p", ols.f_p},
                     {"df_model", ols.df_model},
                     {"df_residual", ols.df_residual},
                     {"has_constant", ols.has_constant},
                     {"condition_number", ols.condition_number},
                     {"coefficients", ols.coefficients},
                     {"covariance", ols.covariance}});
}

static Value Json(const StartStatus& start) {
  return JsonObject({{"origin", start.origin},
                     {"status", start.status},
                     {"iterations", start.iterations},
                     {"initial_objective", start.initial_objective},
                     {"final_objective", start.final_objective},
                     {"agrees", start.agrees},
                     {"start", start.start},
                     {"end", start.end}});
}

static Value Json(const NonlinearResult& fit) {
  std::vector<double> multipliers;
  for (const NonlinearParameter& parameter : fit.parameters) multipliers.push_back(parameter.multiplier);
  return JsonObject({{"best_start", fit.best},
                     {"agreeing_starts", fit.agreeing},
                     {"kkt", fit.kkt},
                     {"multipliers", multipliers},
                     {"covariance", fit.covariance},
                     {"starts", fit.starts}});
}

static Value Json(const Control& control) {
  return JsonObject({{"name", control.name}, {"expression", control.expression}, {"mean", control.mean}});
}

static Value Json(const FitSettings& settings) {
  Value json = Value::Map{};
  for (const FitOption& option : FitOptions()) {
    // Threads change nothing, and what is fixed stands with the laws.
    if (option.name != "threads" && option.name != "fix") json.Set(option.name, option.write(settings));
  }
  return json;
}

Value Json(const LawFit& fit) {
  Value json = JsonObject({{"law", fit.law},
                           {"stratum", fit.stratum},
                           {"formula", fit.formula},
                           {"response", fit.response},
                           {"citation", fit.citation},
                           {"rows", fit.incoming},
                           {"rows_used", fit.used},
                           {"excluded", fit.excluded},
                           {"held_out_rows", fit.held_out_incoming},
                           {"held_out_rows_used", fit.held_out_used},
                           {"held_out_excluded", fit.held_out_excluded},
                           {"warnings", fit.warnings},
                           {"inferred_parameters", fit.inferred_parameters},
                           {"ols", fit.ols}});
  Value quantizers{Value::Map{}};
  for (const auto& [name, rows] : fit.quantizers) quantizers.Set(name, Json(rows));
  json.Set("quantizers", quantizers);
  if (!fit.unusable.empty()) json.Set("unusable", fit.unusable);
  if (!fit.ols) json.Set("why_no_ols", fit.why_no_ols);
  if (fit.ols_detail) json.Set("ols_detail", Json(*fit.ols_detail));
  json.Set("least_squares", Json(fit.least_squares));
  if (!fit.least_squares) json.Set("why_no_least_squares", fit.why_no_least_squares);
  if (fit.least_squares_detail) json.Set("least_squares_detail", Json(*fit.least_squares_detail));
  AddFields(json, {{"rows_at_or_below_chance", fit.at_chance}, {"binomial", fit.binomial}});
  if (!fit.binomial) json.Set("why_no_binomial", fit.why_no_binomial);
  if (fit.binomial_detail) json.Set("binomial_detail", Json(*fit.binomial_detail));
  json.Set("own_procedure", Json(fit.own));
  if (fit.own_detail) json.Set("own_procedure_detail", Json(*fit.own_detail));
  if (!fit.why_no_own.empty()) json.Set("why_no_own_procedure", fit.why_no_own);
  json.Set("nulls", Json(fit.nulls));
  return json;
}

Value FitReportJson(const FitReport& report) {
  return JsonObject({{"format", 1},
                     {"settings", report.settings},
                     {"controls", report.controls},
                     {"strata", report.strata},
                     {"notes", report.notes},
                     {"fits", report.fits}});
}

namespace {

// The uncertainty of a parameter, which only the method has that the report builds on; null for others.
const Uncertainty* UncertaintyOf(const AnalysisReport& analysis, const LawFit& fit, const MethodFit& method,
                                 const std::string& parameter) {
  if (fit.is_null) return nullptr;
  for (const LawAnalysis& law : analysis.laws) {
    if (law.law != fit.law || law.stratum != fit.stratum || law.uncertainty.method != method.method()) continue;
    for (const Uncertainty& one : law.uncertainty.quantities) {
      if (one.name == parameter) return &one;
    }
  }
  return nullptr;
}

}  // namespace

Table FitReportTable(const FitReport& report, const AnalysisReport& analysis) {
  struct Row {
    const LawFit* law;
    const LawFit* fit;  // The law itself or one of its nulls.
    const MethodFit* method;
    const ParameterEstimate* parameter;
  };
  std::vector<Row> rows;
  const auto add = [&](const LawFit& law, const LawFit& fit) {
    for (const MethodFit* method : fit.Methods()) {
      for (const ParameterEstimate& parameter : method->parameters) rows.push_back({&law, &fit, method, &parameter});
    }
  };
  for (const LawFit& fit : report.fits) {
    add(fit, fit);
    for (const LawFit& null : fit.nulls) add(fit, null);
  }
  Table table("fits");
  const auto texts = [&](const char* name, auto&& of) {
    std::vector<std::string> column;
    for (const Row& row : rows) column.push_back(of(row));
    table.AddTexts(name, std::move(column));
  };
  const auto numbers = [&](const char* name, auto&& of) {
    std::vector<double> column;
    for (const Row& row : rows) column.push_back(static_cast<double>(of(row)));
    table.AddNumbers(name, std::move(column));
  };
  texts("law", [](const Row& row) { return row.law->law; });
  texts("fit", [](const Row& row) { return row.fit->law; });
  texts("stratum", [](const Row& row) { return row.law->stratum; });
  texts("method", [](const Row& row) { return row.method->method(); });
  texts("space", [](const Row& row) { return row.method->space(); });
  texts("formula", [](const Row& row) { return row.fit->formula; });
  texts("parameter", [](const Row& row) { return row.parameter->name; });
  texts("unit", [](const Row& row) { return row.parameter->unit; });
  numbers("value", [](const Row& row) { return row.parameter->value; });
  numbers("standard_error", [](const Row& row) { return row.parameter->standard_error; });
  numbers("t", [](const Row& row) { return row.parameter->t; });
  numbers("p", [](const Row& row) { return row.parameter->p; });
  texts("independent_units", [](const Row& row) { return row.method->unit; });
  numbers("robust_error", [](const Row& row) { return row.parameter->robust_error; });
  numbers("robust_df", [](const Row& row) { return row.parameter->robust_df; });
  numbers("robust_p", [](const Row& row) { return row.parameter->robust_p; });
  texts("note", [](const Row& row) { return row.parameter->note; });
  const auto bound = [&](const char* name, Interval Uncertainty::*interval, double Interval::*end) {
    numbers(name, [&](const Row& row) {
      const Uncertainty* one = UncertaintyOf(analysis, *row.fit, *row.method, row.parameter->name);
      return one == nullptr ? kUnset : (one->*interval).*end;
    });
  };
  bound("interval_low", &Uncertainty::delta, &Interval::low);
  bound("interval_high", &Uncertainty::delta, &Interval::high);
  bound("bootstrap_low", &Uncertainty::percentile, &Interval::low);
  bound("bootstrap_high", &Uncertainty::percentile, &Interval::high);
  bound("bca_low", &Uncertainty::bca, &Interval::low);
  bound("bca_high", &Uncertainty::bca, &Interval::high);
  bound("profile_low", &Uncertainty::profile, &Interval::low);
  bound("profile_high", &Uncertainty::profile, &Interval::high);
  numbers("rows", [](const Row& row) { return row.method->rows; });
  numbers("rows_excluded", [](const Row& row) { return row.fit->incoming - row.method->rows; });
  numbers("r2", [](const Row& row) { return row.method->quality.r2; });
  numbers("adjusted_r2", [](const Row& row) { return row.method->quality.adjusted_r2; });
  numbers("response_r2", [](const Row& row) { return row.method->response_r2; });
  numbers("aic", [](const Row& row) { return row.method->quality.aic; });
  numbers("aicc", [](const Row& row) { return row.method->quality.aicc; });
  numbers("bic", [](const Row& row) { return row.method->quality.bic; });
  numbers("response_mae", [](const Row& row) { return row.method->on_fit.mae; });
  numbers("response_rmse", [](const Row& row) { return row.method->on_fit.rmse; });
  numbers("accuracy_mae", [](const Row& row) { return row.method->on_fit.accuracy_mae; });
  numbers("accuracy_rmse", [](const Row& row) { return row.method->on_fit.accuracy_rmse; });
  numbers("held_out_rows", [](const Row& row) { return row.method->on_held_out.accuracy_rows; });
  numbers("held_out_accuracy_mae", [](const Row& row) { return row.method->on_held_out.accuracy_mae; });
  numbers("held_out_accuracy_rmse", [](const Row& row) { return row.method->on_held_out.accuracy_rmse; });
  return table;
}

}  // namespace bitlaw
