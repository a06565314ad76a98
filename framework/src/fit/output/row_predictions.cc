#include "fit/output/row_predictions.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"
#include "fit/data/controls.h"
#include "fit/options/quoted_text.h"
#include "fit/predict/law_predictor.h"
#include "fit/solve/fit_problem.h"

namespace bitlaw {

namespace {

struct PredictedRow {
  const LawFit* fit = nullptr;
  const MethodFit* method = nullptr;
  std::string set, name, model;
  std::vector<double> x;  // In the order of the law's covariates.
  const Law* law = nullptr;
  double error = kUnset;
  double line = kUnset, row = kUnset;
  double response = kUnset, predicted = kUnset, accuracy = kUnset, predicted_accuracy = kUnset;
  double low = kUnset, high = kUnset;
  double leverage = kUnset, studentized = kUnset;
};

// The slopes of what the method fits, times the root of the row's weight.
Eigen::MatrixXd WeightedSlopes(const FitProblem& problem, const MethodFit& method) {
  const Law& law = problem.law();
  const FitRows& rows = problem.rows();
  const size_t k = law.parameters().size(), c = law.covariates().size();
  const std::vector<double> theta = method.theta();
  std::vector<size_t> free;
  for (size_t j = 0; j < k; ++j) {
    if (method.parameters[j].note != "at its bound") free.push_back(j);
  }
  const bool of_log = method.of_log();
  Eigen::MatrixXd slopes(static_cast<Eigen::Index>(rows.size()), static_cast<Eigen::Index>(free.size()));
  std::vector<double> gradient(k);
  for (size_t i = 0; i < rows.size(); ++i) {
    const double value = law.Predict(theta, rows.row(i, c), gradient);
    double factor = std::sqrt(of_log ? rows.log_weight(i) : rows.weight(i)) / (of_log ? value : 1);
    if (method.of_counts()) {
      double slope = 0;
      const double chance = rows.chance[i], p = AccuracyOf(problem.inverse()(value, &slope), chance);
      factor = p > 0 && p < 1 ? (1 - chance) * slope * std::sqrt(rows.total[i] / (p * (1 - p))) : 0;
    }
    for (size_t j = 0; j < free.size(); ++j)
      slopes(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = factor * gradient[free[j]];
  }
  return slopes;
}

// Squared lengths of the rows of an orthonormal basis of the columns.
std::vector<double> Leverages(Eigen::MatrixXd slopes) {
  const Eigen::Index n = slopes.rows(), k = slopes.cols();
  std::vector<double> leverages(static_cast<size_t>(n), kUnset);
  if (n < k || k == 0 || !slopes.allFinite()) return leverages;
  for (Eigen::Index j = 0; j < k; ++j) {
    const double length = slopes.col(j).norm();
    if (length > 0) slopes.col(j) /= length;
  }
  const Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(slopes);
  const Eigen::MatrixXd basis = qr.householderQ() * Eigen::MatrixXd::Identity(n, qr.rank());
  for (Eigen::Index i = 0; i < n; ++i) leverages[static_cast<size_t>(i)] = basis.row(i).squaredNorm();
  return leverages;
}

void PredictRows(const FitProblem& problem, const Table& table, const LawFit& fit, const MethodFit& method,
                 const LawPredictor* predictor, std::vector<PredictedRow>& out) {
  const Law& law = problem.law();
  const LawRows& rows = problem.selected();
  const ResponseInverse& inverse = problem.inverse();
  const FitRows& fitted = problem.rows();
  const std::vector<size_t>& fitted_index = problem.index();
  const std::vector<double> leverages = Leverages(WeightedSlopes(problem, method));
  const std::set<size_t> in_fit(rows.fit_index.begin(), rows.fit_index.end());
  const std::set<size_t> held_out(rows.held_out_index.begin(), rows.held_out_index.end());
  std::map<size_t, size_t> place;  // In the fit.
  for (size_t i = 0; i < fitted_index.size(); ++i) place[fitted_index[i]] = i;
  std::set<size_t> all(rows.complete_index.begin(), rows.complete_index.end());
  all.insert(fitted_index.begin(), fitted_index.end());

  const std::vector<double> theta = method.theta();
  const std::vector<double> response = table.Evaluate(Expression::Parse(law.response()));
  const TableColumn *accuracy = table.Find("acc_adj"), *hold_out = table.Find("hold_out");
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : law.covariates()) columns.push_back(&table.Numbers(name));
  std::vector<double> x(columns.size());
  for (const size_t row : all) {
    PredictedRow one;
    one.fit = &fit, one.method = &method, one.law = &law;
    one.name = RowLabel(table, row), one.model = table.TextAt("model", row);
    one.error = table.NumberAt("standard_error", row);
    const bool is_held_out = IsHeldOut(hold_out, table, row);
    one.set = is_held_out ? "held out" : in_fit.contains(row) ? "fit" : place.contains(row) ? "counts only" : "not fitted";
    if (table.SourceLine(row) > 0) one.line = table.SourceLine(row);
    if (table.Find("tasks") == nullptr || one.line > 0) one.row = static_cast<double>(table.SourceRow(row) + 1);
    for (size_t j = 0; j < columns.size(); ++j) x[j] = (*columns[j])[row];
    one.predicted = law.Predict(theta, x, {});
    one.x = x;
    if (std::isfinite(response[row])) one.response = response[row];
    if (inverse.exists() && accuracy != nullptr && !accuracy->is_text) {
      one.accuracy = accuracy->numbers[row];
      one.predicted_accuracy = inverse(one.predicted);
    }
    if (predictor != nullptr && std::isfinite(one.predicted)) {
      const LawPrediction there = predictor->At(x);
      one.low = there.interval.low, one.high = there.interval.high;
    }
    if (const auto at = place.find(row); at != place.end()) {
      one.leverage = leverages[at->second];
      const bool of_log = method.of_log();
      const double residual = of_log ? std::log(one.response / one.predicted) : one.response - one.predicted;
      const double weight = method.of_counts() ? 1 : of_log ? fitted.log_weight(at->second) : fitted.weight(at->second);
      if (method.of_squares() && one.leverage < 1)
        one.studentized = residual * std::sqrt(weight / method.quality.residual_variance / (1 - one.leverage));
    }
    out.push_back(std::move(one));
  }
}

}  // namespace

Table RowPredictions(std::span<const std::unique_ptr<Law>> laws, const Table& table, const FitSettings& settings,
                     const FitReport& report) {
  const ControlledStudy study(laws, table, settings.controls);
  const StrataData data = SplitStrata(study.table(), settings.average_tasks);
  std::vector<PredictedRow> rows;
  size_t at = 0;
  for (const Law* law : study.laws()) {
    for (const StratumData& stratum : data.strata) {
      if (at == report.fits.size()) throw InternalError("RowPredictions: the fits are of other laws or another table");
      const LawFit& fit = report.fits[at++];
      if (fit.Methods().empty()) continue;
      const FitProblem problem(*law, stratum.table, settings, FitProcedure());
      for (const MethodFit* method : fit.Methods()) {
        const FitProblem own = problem.With(method->procedure);
        std::optional<LawPredictor> predictor;
        if (method == fit.Methods().front()) predictor.emplace(own, stratum.table, settings, *method);
        PredictRows(own, stratum.table, fit, *method, predictor ? &*predictor : nullptr, rows);
      }
    }
  }
  Table out("predictions");
  const auto texts = [&](const char* name, auto&& of) {
    std::vector<std::string> column;
    for (const PredictedRow& row : rows) column.push_back(of(row));
    out.AddTexts(name, std::move(column));
  };
  const auto numbers = [&](const char* name, auto&& of) {
    std::vector<double> column;
    for (const PredictedRow& row : rows) column.push_back(of(row));
    out.AddNumbers(name, std::move(column));
  };
  texts("law", [](const PredictedRow& row) { return row.fit->law; });
  texts("stratum", [](const PredictedRow& row) { return row.fit->stratum; });
  texts("method", [](const PredictedRow& row) { return row.method->method(); });
  texts("set", [](const PredictedRow& row) { return row.set; });
  numbers("line", [](const PredictedRow& row) { return row.line; });
  numbers("row", [](const PredictedRow& row) { return row.row; });
  texts("name", [](const PredictedRow& row) { return row.name; });
  texts("model", [](const PredictedRow& row) { return row.model; });
  numbers("response", [](const PredictedRow& row) { return row.response; });
  numbers("predicted", [](const PredictedRow& row) { return row.predicted; });
  numbers("residual", [](const PredictedRow& row) { return row.response - row.predicted; });
  numbers("acc_adj", [](const PredictedRow& row) { return row.accuracy; });
  numbers("standard_error", [](const PredictedRow& row) { return row.error; });
  numbers("predicted_acc_adj", [](const PredictedRow& row) { return row.predicted_accuracy; });
  numbers("residual_acc_adj", [](const PredictedRow& row) { return row.accuracy - row.predicted_accuracy; });
  numbers("low", [](const PredictedRow& row) { return row.low; });
  numbers("high", [](const PredictedRow& row) { return row.high; });
  numbers("leverage", [](const PredictedRow& row) { return row.leverage; });
  numbers("studentized", [](const PredictedRow& row) { return row.studentized; });
  // What the laws look at, where no column above has the name.
  for (const Law* law : study.laws()) {
    for (const std::string& name : law->covariates()) {
      if (out.Find(name) != nullptr || IsTextTest(name)) continue;
      numbers(name.c_str(), [&](const PredictedRow& row) {
        const auto covariates = row.law->covariates();
        const auto at = std::find(covariates.begin(), covariates.end(), name);
        return at == covariates.end() ? kUnset : row.x[static_cast<size_t>(at - covariates.begin())];
      });
    }
  }
  return out;
}

}  // namespace bitlaw
