#include "fit/estimate/fit_methods.h"

#include <fmt/format.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "fit/estimate/linear_design.h"
#include "fit/table/strata_data.h"

namespace bitlaw {

namespace {

// Sums of errors, to be divided by their number.
struct ErrorSums {
  double absolute = 0, squared = 0;
  size_t count = 0;
  void Add(double error) {
    absolute += std::fabs(error);
    squared += error * error;
    ++count;
  }
  double mae() const { return count > 0 ? absolute / static_cast<double>(count) : kUnset; }
  double rmse() const { return count > 0 ? std::sqrt(squared / static_cast<double>(count)) : kUnset; }
};

// "A and C cannot be told apart ..." where two parameters have the same column, "" if none have.
std::string ExplainSameColumns(const Law& law, const LinearForm& form) {
  for (size_t i = 0; i < form.columns.size(); ++i) {
    for (size_t j = i + 1; j < form.columns.size(); ++j) {
      const auto &one = form.columns[i], &other = form.columns[j];
      if (one.name != other.name || one.is_log != other.is_log) continue;
      return fmt::format("parameters {} and {} cannot be told apart: only their {} is determined. Leave one out",
                         law.parameters()[one.parameter].name, law.parameters()[other.parameter].name,
                         one.is_log ? "product" : "sum");
    }
  }
  return "";
}

}  // namespace

PredictionErrors FitMethods::ErrorsOf(const std::vector<double>& theta, const FitRows& rows, bool held_out) const {
  const Law& law = problem_.law();
  const size_t c = law.covariates().size();
  PredictionErrors errors;
  ErrorSums of_response, of_accuracy;
  for (size_t i = 0; i < rows.size(); ++i) of_response.Add(law.Predict(theta, rows.row(i, c), {}) - rows.y[i]);
  errors.rows = of_response.count;
  errors.mae = of_response.mae();
  errors.rmse = of_response.rmse();
  const TableColumn* accuracy = table_.Find("acc_adj");
  if (!problem_.inverse().exists() || accuracy == nullptr || accuracy->is_text) return errors;
  // In accuracy units a row at or below chance is as good as any: only the logarithm could not take it.
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : law.covariates()) columns.push_back(&table_.Numbers(name));
  const TableColumn* hold_out = table_.Find("hold_out");
  std::vector<double> x(c);
  for (const size_t row : problem_.selected().complete_index) {
    if (IsHeldOut(hold_out, table_, row) != held_out || std::isnan(accuracy->numbers[row])) continue;
    for (size_t j = 0; j < c; ++j) x[j] = (*columns[j])[row];
    const double predicted = problem_.inverse()(law.Predict(theta, x, {}));
    if (!std::isnan(predicted)) of_accuracy.Add(predicted - accuracy->numbers[row]);
  }
  errors.accuracy_rows = of_accuracy.count;
  errors.accuracy_mae = of_accuracy.mae();
  errors.accuracy_rmse = of_accuracy.rmse();
  return errors;
}

double FitMethods::ResponseR2(const std::vector<double>& theta) const {
  const FitRows& rows = problem_.selected().fit;
  const Law& law = problem_.law();
  double mean = 0, ssr = 0, tss = 0;
  for (const double y : rows.y) mean += y / static_cast<double>(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const double fitted = law.Predict(theta, rows.row(i, law.covariates().size()), {});
    ssr += (rows.y[i] - fitted) * (rows.y[i] - fitted);
    tss += (rows.y[i] - mean) * (rows.y[i] - mean);
  }
  return tss > 0 ? 1 - ssr / tss : kUnset;
}

const RowUnits& FitMethods::UnitsOfRows(bool of_counts) const {
  std::optional<RowUnits>& found = of_counts ? units_of_counted_ : units_of_fit_;
  const LawRows& rows = problem_.selected();
  if (!found) found = UnitsOf(table_, settings_.bootstrap_unit, of_counts ? rows.counted_index : rows.fit_index,
                              settings_.roles);
  return *found;
}

// Errors over the units of the rows, where a unit has several.
void FitMethods::AddRobustErrors(MethodFit& fit) const {
  const RowUnits& units = UnitsOfRows(fit.of_counts());
  fit.unit = units.name;
  fit.unit_note = units.note;
  if (!units.is_clustered()) return;
  fit.robust = RobustOf(problem_.With(fit.procedure), units, fit, fit.why_no_robust);
  if (fit.robust == nullptr) return;
  for (size_t j = 0; j < fit.parameters.size(); ++j) {
    ParameterEstimate& estimate = fit.parameters[j];
    const RobustError robust = fit.robust->Error(j);
    estimate.robust_error = robust.error;
    estimate.robust_df = robust.degrees_of_freedom;
    if (estimate.note != kFromLogarithm)
      estimate.robust_p = StudentP(estimate.value / robust.error, robust.degrees_of_freedom);
  }
}

void FitMethods::Finish(MethodFit& fit) const {
  const std::vector<double> theta = fit.theta();
  fit.response_r2 = ResponseR2(theta);
  fit.on_fit = ErrorsOf(theta, problem_.selected().fit, false);
  fit.on_held_out = ErrorsOf(theta, problem_.selected().held_out, true);
  AddRobustErrors(fit);
}

DetailedFit<OlsResult> FitMethods::Linear(const LinearForm& form) const {
  DetailedFit<OlsResult> out;
  const Law& law = problem_.law();
  const FitRows& rows = problem_.selected().fit;
  const size_t k = form.columns.size();
  const LinearRows linear = LinearRowsOf(law, form, rows);
  const std::span<const long double> design = linear.design;
  std::vector<std::string> names;
  for (const auto& column : form.columns) names.push_back(column.name);
  out.why_none = ExplainSameColumns(law, form);
  if (out.why_none.empty()) out.why_none = ExplainDegenerate(design, names);
  if (!out.why_none.empty()) return out;
  const OlsResult& ols = out.detail.emplace(FitOls(design, linear.target, names, linear.weights));

  MethodFit& fit = out.fit.emplace();
  fit.is_ols = true;
  if (form.of_log) fit.procedure.space = FitProcedure::Space::kLog;
  fit.rows = rows.size();
  fit.quality = ols.quality;
  fit.objective = fit.quality.ssr;
  fit.parameters.resize(k);
  fit.covariance.resize(k * k);
  for (size_t j = 0; j < k; ++j) {
    const OlsCoefficient& coefficient = ols.coefficients[j];
    const LawParameter& parameter = law.parameters()[form.columns[j].parameter];
    ParameterEstimate& estimate = fit.parameters[form.columns[j].parameter];
    estimate.name = parameter.name;
    estimate.unit = parameter.unit;
    if (form.columns[j].is_log) {
      // The delta method: sd(exp c) = exp(c) sd(c).
      estimate.value = std::exp(coefficient.value);
      estimate.standard_error = estimate.value * coefficient.standard_error;
      estimate.note = kFromLogarithm;
    } else {
      estimate.value = coefficient.value;
      estimate.standard_error = coefficient.standard_error;
      estimate.t = coefficient.t;
      estimate.p = coefficient.p;
    }
    if (estimate.value < parameter.min || estimate.value > parameter.max) {
      estimate.note = fmt::format("outside its bounds [{}, {}], which OLS cannot keep", parameter.min, parameter.max);
    }
  }
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = 0; j < k; ++j) {
      const size_t a = form.columns[i].parameter, b = form.columns[j].parameter;
      const double scale = (form.columns[i].is_log ? fit.parameters[a].value : 1) *
                           (form.columns[j].is_log ? fit.parameters[b].value : 1);
      fit.covariance[a * k + b] = ols.covariance[i * k + j] * scale;
    }
  }
  Finish(fit);
  return out;
}

DetailedFit<NonlinearResult> FitMethods::Iterate(const FitProcedure& procedure, const NonlinearOptions& options) const {
  DetailedFit<NonlinearResult> out;
  if (options.random_starts == 0 && options.given_starts.empty()) {
    out.why_none = "there is no start: give start values for every parameter, or allow random starts";
    return out;
  }
  const FitProblem problem = problem_.With(procedure);
  NonlinearResult result;
  try {
    NonlinearOptions chosen = options;
    chosen.procedure = procedure;
    chosen.inverse = &problem.inverse();
    result = FitNonlinear(problem.law(), problem.rows(), chosen);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNumerical) throw;
    out.why_none = error.what();
    return out;
  }
  const StartStatus& best = result.starts[result.best];
  if (!best.converged) {
    out.why_none = "the best of " + std::to_string(result.starts.size()) + " starts has " + best.status;
    return out;
  }
  MethodFit& fit = out.fit.emplace();
  fit.procedure = procedure;
  fit.rows = problem.rows().size();
  fit.quality = result.quality;
  fit.objective = result.objective;
  fit.covariance = result.covariance;
  if (procedure.loss == FitProcedure::Loss::kHuberLikelihood) fit.scale = result.scale;
  for (size_t j = 0; j < result.parameters.size(); ++j) {
    const LawParameter& parameter = problem.law().parameters()[j];
    ParameterEstimate estimate;
    estimate.name = parameter.name;
    estimate.unit = parameter.unit;
    estimate.value = result.parameters[j].value;
    estimate.standard_error = result.parameters[j].standard_error;
    estimate.t = estimate.value / estimate.standard_error;
    estimate.p = StudentP(estimate.t, static_cast<double>(fit.quality.rows - fit.quality.parameters));
    if (!result.parameters[j].is_identified) estimate.note = "not identified by these rows";
    if (result.parameters[j].at_bound) estimate.note = "at its bound";
    fit.parameters.push_back(std::move(estimate));
  }
  Finish(fit);
  out.detail = std::move(result);
  return out;
}

}  // namespace bitlaw
