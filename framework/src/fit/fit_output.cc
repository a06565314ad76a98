#include <cmath>

#include "fit/json_values.h"
#include "fit/law_fit.h"

namespace bitlaw {

namespace {

using json_values::Count;
using json_values::Json;
using json_values::ListOf;
using json_values::Number;
using json_values::Numbers;
using json_values::Texts;

Value Json(const PredictionErrors& errors) {
  Value json;
  json.Set("rows", Count(errors.rows));
  json.Set("mae", Number(errors.mae));
  json.Set("rmse", Number(errors.rmse));
  json.Set("accuracy_rows", Count(errors.accuracy_rows));
  json.Set("accuracy_mae", Number(errors.accuracy_mae));
  json.Set("accuracy_rmse", Number(errors.accuracy_rmse));
  return json;
}

Value Json(const MethodFit& fit) {
  Value json;
  json.Set("method", fit.method);
  json.Set("space", fit.space);
  json.Set("rows", Count(fit.rows));
  json.Set("objective", Number(fit.objective));
  if (!std::isnan(fit.scale)) json.Set("scale", Number(fit.scale));
  Value parameters;
  for (const ParameterEstimate& estimate : fit.parameters) {
    Value one;
    one.Set("value", Number(estimate.value));
    one.Set("standard_error", Number(estimate.standard_error));
    one.Set("t", Number(estimate.t));
    one.Set("p", Number(estimate.p));
    one.Set("unit", estimate.unit);
    one.Set("note", estimate.note);
    parameters.Set(estimate.name, std::move(one));
  }
  json.Set("parameters", std::move(parameters));
  json.Set("quality", Json(fit.quality));
  json.Set("response_r2", Number(fit.response_r2));
  json.Set("errors", Json(fit.on_fit));
  json.Set("held_out_errors", Json(fit.on_held_out));
  return json;
}

Value Json(const OlsResult& ols) {
  Value json;
  json.Set("f", Number(ols.f));
  json.Set("f_p", Number(ols.f_p));
  json.Set("df_model", Count(ols.df_model));
  json.Set("df_residual", Count(ols.df_residual));
  json.Set("has_constant", ols.has_constant);
  json.Set("condition_number", Number(ols.condition_number));
  json.Set("coefficients", ListOf(ols.coefficients, [](const OlsCoefficient& coefficient) {
             Value one;
             one.Set("column", coefficient.name);
             one.Set("value", Number(coefficient.value));
             one.Set("standard_error", Number(coefficient.standard_error));
             one.Set("t", Number(coefficient.t));
             one.Set("p", Number(coefficient.p));
             one.Set("vif", Number(coefficient.vif));
             return one;
           }));
  json.Set("covariance", Numbers(ols.covariance));
  return json;
}

Value Json(const NonlinearResult& fit) {
  Value json;
  json.Set("best_start", Count(fit.best));
  json.Set("agreeing_starts", Count(fit.agreeing));
  json.Set("covariance", Numbers(fit.covariance));
  json.Set("starts", ListOf(fit.starts, [](const StartStatus& start) {
             Value one;
             one.Set("origin", start.origin);
             one.Set("status", start.status);
             one.Set("iterations", start.iterations);
             one.Set("initial_objective", Number(start.initial_objective));
             one.Set("final_objective", Number(start.final_objective));
             one.Set("start", Numbers(start.start));
             one.Set("end", Numbers(start.end));
             return one;
           }));
  return json;
}

Value FitJson(const LawFit& fit) {
  Value json;
  json.Set("law", fit.law);
  json.Set("stratum", fit.stratum);
  json.Set("formula", fit.formula);
  json.Set("response", fit.response);
  json.Set("citation", fit.citation);
  json.Set("rows", Count(fit.incoming));
  json.Set("rows_used", Count(fit.used));
  json.Set("excluded", Json(fit.excluded));
  json.Set("held_out_rows", Count(fit.held_out_incoming));
  json.Set("held_out_rows_used", Count(fit.held_out_used));
  json.Set("held_out_excluded", Json(fit.held_out_excluded));
  json.Set("ols", fit.ols ? Json(*fit.ols) : Value());
  if (!fit.ols) json.Set("why_no_ols", fit.why_no_ols);
  if (fit.ols_detail) json.Set("ols_detail", Json(*fit.ols_detail));
  json.Set("least_squares", fit.least_squares ? Json(*fit.least_squares) : Value());
  if (!fit.least_squares) json.Set("why_no_least_squares", fit.why_no_least_squares);
  if (fit.least_squares_detail) json.Set("least_squares_detail", Json(*fit.least_squares_detail));
  json.Set("rows_at_or_below_chance", Count(fit.at_chance));
  json.Set("binomial", fit.binomial ? Json(*fit.binomial) : Value());
  if (!fit.binomial) json.Set("why_no_binomial", fit.why_no_binomial);
  json.Set("own_procedure", fit.own ? Json(*fit.own) : Value());
  if (!fit.why_no_own.empty()) json.Set("why_no_own_procedure", fit.why_no_own);
  json.Set("nulls", ListOf(fit.nulls, [](const LawFit& null) { return FitJson(null); }));
  return json;
}

}  // namespace

Value json_values::Json(const LawFit& fit) { return FitJson(fit); }

Value FitReportJson(const FitReport& report) {
  Value json;
  json.Set("format", 1);
  const FitSettings& given = report.settings;
  Value settings;
  settings.Set("chance_rule", Name(given.chance_rule));
  settings.Set("weights", given.weights);
  settings.Set("random_starts", given.random_starts);
  settings.Set("seed", static_cast<int64_t>(given.seed));
  settings.Set("nulls", given.nulls);
  settings.Set("confidence", given.confidence);
  settings.Set("bootstrap", given.bootstrap);
  settings.Set("bootstrap_unit", given.bootstrap_unit);
  settings.Set("profile", given.profile);
  settings.Set("derived", Texts(given.derived));
  settings.Set("k_fold", given.k_fold);
  settings.Set("leave_one_out", given.leave_one_out);
  settings.Set("leave_out", Texts(given.leave_out));
  settings.Set("hold_outs", Texts(given.hold_outs));
  settings.Set("compare", given.compare);
  settings.Set("groups", given.groups);
  settings.Set("permutations", given.permutations);
  settings.Set("zones", Texts(given.zones));
  settings.Set("average_tasks", given.average_tasks);
  settings.Set("controls", Texts(given.controls));
  settings.Set("groupings", Texts(given.groupings));
  json.Set("settings", std::move(settings));
  json.Set("controls", ListOf(report.controls, [](const Control& control) {
             Value one;
             one.Set("name", control.name);
             one.Set("expression", control.expression);
             one.Set("mean", Number(control.mean));
             return one;
           }));
  json.Set("strata", ListOf(report.strata, [](const auto& stratum) { return Json(stratum); }));
  json.Set("notes", Texts(report.notes));
  json.Set("fits", ListOf(report.fits, [](const LawFit& fit) { return Json(fit); }));
  return json;
}

Table FitReportTable(const FitReport& report) {
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
  texts("method", [](const Row& row) { return row.method->method; });
  texts("space", [](const Row& row) { return row.method->space; });
  texts("formula", [](const Row& row) { return row.fit->formula; });
  texts("parameter", [](const Row& row) { return row.parameter->name; });
  texts("unit", [](const Row& row) { return row.parameter->unit; });
  numbers("value", [](const Row& row) { return row.parameter->value; });
  numbers("standard_error", [](const Row& row) { return row.parameter->standard_error; });
  numbers("t", [](const Row& row) { return row.parameter->t; });
  numbers("p", [](const Row& row) { return row.parameter->p; });
  texts("note", [](const Row& row) { return row.parameter->note; });
  numbers("rows", [](const Row& row) { return row.method->rows; });
  numbers("rows_excluded", [](const Row& row) { return row.law->incoming - row.law->used; });
  numbers("r2", [](const Row& row) { return row.method->quality.r2; });
  numbers("adjusted_r2", [](const Row& row) { return row.method->quality.adjusted_r2; });
  numbers("response_r2", [](const Row& row) { return row.method->response_r2; });
  numbers("aic", [](const Row& row) { return row.method->quality.aic; });
  numbers("aicc", [](const Row& row) { return row.method->quality.aicc; });
  numbers("bic", [](const Row& row) { return row.method->quality.bic; });
  numbers("accuracy_mae", [](const Row& row) { return row.method->on_fit.accuracy_mae; });
  numbers("accuracy_rmse", [](const Row& row) { return row.method->on_fit.accuracy_rmse; });
  numbers("held_out_rows", [](const Row& row) { return row.method->on_held_out.accuracy_rows; });
  numbers("held_out_accuracy_mae", [](const Row& row) { return row.method->on_held_out.accuracy_mae; });
  numbers("held_out_accuracy_rmse", [](const Row& row) { return row.method->on_held_out.accuracy_rmse; });
  return table;
}

}  // namespace bitlaw
