#include "fit/examine/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "fit/data/row_units.h"
#include "fit/refit/parallel.h"
#include "fit/solve/fit_problem.h"

namespace bitlaw {

namespace {

struct Errors {
  double mae = kUnset, rmse = kUnset, r2 = kUnset;
};

Errors Summarize(const std::vector<double>& truth, const std::vector<double>& predicted) {
  Errors errors;
  if (truth.empty()) return errors;
  const auto n = static_cast<double>(truth.size());
  double mean = 0, absolute = 0, squares = 0, total = 0;
  for (const double y : truth) mean += y / n;
  for (size_t i = 0; i < truth.size(); ++i) {
    absolute += std::fabs(predicted[i] - truth[i]);
    squares += std::pow(predicted[i] - truth[i], 2);
    total += std::pow(truth[i] - mean, 2);
  }
  errors.mae = absolute / n;
  errors.rmse = std::sqrt(squares / n);
  if (total > 0) errors.r2 = 1 - squares / total;
  return errors;
}

// Of the mean of all values, by drawing whole units.
Interval MeanInterval(const std::vector<double>& values, const std::vector<size_t>& unit_of_value, size_t units,
                      double level, uint64_t seed) {
  if (units < 2) return {};
  std::vector<double> sum_of(units, 0), count_of(units, 0), means;
  for (size_t i = 0; i < values.size(); ++i) {
    sum_of[unit_of_value[i]] += values[i];
    ++count_of[unit_of_value[i]];
  }
  Rng rng = Rng(seed).Fork(UINT64_MAX - 1);
  for (int b = 0; b < 1000; ++b) {
    double sum = 0, count = 0;
    for (size_t i = 0; i < units; ++i) {
      const size_t unit = rng.Below(units);
      sum += sum_of[unit];
      count += count_of[unit];
    }
    means.push_back(sum / count);
  }
  std::sort(means.begin(), means.end());
  const Interval levels = ExpandedLevels(level, units);
  return {Quantile(means, levels.low), Quantile(means, levels.high)};
}

// Predictions beside what was measured, row by row.
class PredictedRows {
 public:
  explicit PredictedRows(ValidationResult& result) : result_(result) {}

  // `unit`: any number that the row shares with the others of its unit.
  void Add(size_t row, double value, double as_accuracy, double response, double accuracy, size_t unit) {
    if (!std::isfinite(value)) return;
    result_.rows.push_back(row);
    result_.predicted.push_back(value);
    result_.predicted_accuracy.push_back(as_accuracy);
    if (std::isfinite(response)) {
      response_.push_back(response);
      predicted_.push_back(value);
    }
    if (!std::isnan(as_accuracy) && !std::isnan(accuracy)) {
      accuracy_.push_back(accuracy);
      predicted_accuracy_.push_back(as_accuracy);
      absolute_.push_back(std::fabs(as_accuracy - accuracy));
      unit_of_error_.push_back(unit);
    }
  }

  void Finish(const std::string& unit, double level, uint64_t seed) {
    result_.validation_rows = result_.rows.size();
    const Errors of_response = Summarize(response_, predicted_);
    const Errors of_accuracy = Summarize(accuracy_, predicted_accuracy_);
    result_.mae = of_response.mae, result_.rmse = of_response.rmse, result_.r2 = of_response.r2;
    result_.accuracy_rows = accuracy_.size();
    result_.accuracy_mae = of_accuracy.mae, result_.accuracy_rmse = of_accuracy.rmse;
    result_.accuracy_r2 = of_accuracy.r2;
    std::map<size_t, size_t> place_of_unit;
    for (size_t& one : unit_of_error_) one = place_of_unit.emplace(one, place_of_unit.size()).first->second;
    result_.interval_unit = unit;
    result_.interval_units = place_of_unit.size();
    result_.accuracy_mae_interval = MeanInterval(absolute_, unit_of_error_, place_of_unit.size(), level, seed);
  }

 private:
  ValidationResult& result_;
  std::vector<double> response_, predicted_, accuracy_, predicted_accuracy_, absolute_;
  std::vector<size_t> unit_of_error_;
};

}  // namespace

ValidationResult Validate(const Refitter& refitter, std::string scheme, std::span<const int> fold_of_row, double level,
                          uint64_t seed, int threads, const RowUnits* units) {
  ValidationResult result;
  result.scheme = std::move(scheme);
  const size_t k = refitter.parameters();
  int folds = 0;
  for (const int fold : fold_of_row) folds = std::max(folds, fold + 1);
  if (folds == 0) {
    result.why_none = "no row is held out";
    return result;
  }
  std::vector<std::vector<size_t>> members(static_cast<size_t>(folds));
  for (const size_t row : refitter.cases()) {
    if (fold_of_row[row] >= 0) members[static_cast<size_t>(fold_of_row[row])].push_back(row);
  }
  std::vector<std::vector<double>> theta(members.size(), std::vector<double>(k));
  std::vector<char> good(members.size(), 0);
  std::vector<size_t> sizes(members.size(), 0);
  std::vector<std::string> why(members.size());
  ParallelFor(members.size(), threads, [&](size_t f) {
    std::vector<double> multiplicity(refitter.table_rows(), 1);
    for (size_t row = 0; row < multiplicity.size(); ++row) {
      if (fold_of_row[row] == static_cast<int>(f)) multiplicity[row] = 0;
    }
    for (const size_t row : refitter.rows()) sizes[f] += multiplicity[row] > 0;
    why[f] = fmt::format("{} left for {}", Counted(sizes[f], "row is", "rows are"), Counted(k, "parameter"));
    good[f] = sizes[f] > k && refitter.RefitToPredict(multiplicity, theta[f], why[f]);
  });
  PredictedRows predicted(result);
  std::vector<size_t> unit_of_row(refitter.table_rows());
  for (size_t place = 0; place < refitter.cases().size(); ++place)
    unit_of_row[refitter.cases()[place]] = units != nullptr ? units->unit_of_row[place] : place;
  for (size_t f = 0; f < members.size(); ++f) {
    if (members[f].empty()) continue;
    ++result.fits;
    if (!good[f]) {
      ++result.failed;
      result.failures.push_back(folds == 1 ? why[f] : fmt::format("fold {}: {}", f + 1, why[f]));
      continue;
    }
    result.fit_rows = result.fit_rows == 0 ? sizes[f] : std::min(result.fit_rows, sizes[f]);
    for (const size_t row : members[f]) {
      predicted.Add(row, refitter.Predict(theta[f], row), refitter.PredictAccuracy(theta[f], row),
                    refitter.Response(row), refitter.Accuracy(row), unit_of_row[row]);
    }
  }
  if (result.rows.empty()) {
    result.why_none = result.fits == 0             ? "no row is held out"
                      : result.failures.empty() ? "the law has no finite value for the rows held out"
                                                : result.failures[0];
    return result;
  }
  predicted.Finish(units != nullptr ? units->name : "trials", level, seed);
  return result;
}

ValidationResult ErrorsOn(const FitProblem& problem, const MethodFit& method, const Table& table,
                          std::span<const size_t> rows, std::string scheme, const FitSettings& settings) {
  ValidationResult result;
  result.scheme = std::move(scheme);
  result.fits = 1;
  result.fit_rows = method.rows;
  const Law& law = problem.law();
  const std::vector<double> theta = method.theta();
  const std::vector<double> response = table.Evaluate(Expression::Parse(law.response()));
  const TableColumn* accuracy = table.Find("acc_adj");
  const bool has_accuracy = accuracy != nullptr && !accuracy->is_text;
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : law.covariates()) columns.push_back(&table.Numbers(name));
  const RowUnits units = UnitsOf(table, settings.bootstrap_unit, rows, settings.roles);
  std::vector<double> x(columns.size());
  PredictedRows predicted(result);
  for (size_t place = 0; place < rows.size(); ++place) {
    const size_t row = rows[place];
    for (size_t j = 0; j < x.size(); ++j) x[j] = (*columns[j])[row];
    const double value = law.Predict(theta, x, {});
    predicted.Add(row, value, problem.inverse()(value), response[row], has_accuracy ? accuracy->numbers[row] : kUnset,
                  units.unit_of_row[place]);
  }
  if (result.rows.empty()) result.why_none = "the law has no finite value for any of the rows";
  predicted.Finish(units.name, settings.confidence, settings.seed);
  return result;
}

std::vector<int> RandomFolds(const Refitter& refitter, int folds, uint64_t seed, const RowUnits* units) {
  const bool is_clustered = units != nullptr && units->is_clustered();
  std::vector<size_t> order;
  for (size_t place = 0; place < (is_clustered ? units->size() : refitter.cases().size()); ++place)
    order.push_back(place);
  Rng rng = Rng(seed).Fork(UINT64_MAX - 2);
  rng.Shuffle(std::span<size_t>(order));
  std::vector<int> fold_of(order.size()), fold_of_row(refitter.table_rows(), -1);
  for (size_t i = 0; i < order.size(); ++i) fold_of[order[i]] = static_cast<int>(i % static_cast<size_t>(folds));
  for (size_t place = 0; place < refitter.cases().size(); ++place)
    fold_of_row[refitter.cases()[place]] = fold_of[is_clustered ? units->unit_of_row[place] : place];
  return fold_of_row;
}

std::string FoldsName(int folds, const RowUnits& units) {
  if (!units.is_clustered()) return fmt::format("{}-fold", folds);
  if (units.size() <= static_cast<size_t>(folds)) return fmt::format("leave one {} out", units.name);
  return fmt::format("{}-fold by {}", folds, units.name);
}

std::vector<int> OneByOne(const Refitter& refitter) {
  std::vector<int> fold_of_row(refitter.table_rows(), -1);
  int next = 0;
  for (const size_t row : refitter.cases()) fold_of_row[row] = next++;
  return fold_of_row;
}

std::vector<int> FoldsBy(const Refitter& refitter, const Table& table, const std::string& column) {
  const TableColumn& values = table.At(column, "leave out");
  std::map<std::string, int> seen;
  std::vector<int> fold_of_row(refitter.table_rows(), -1);
  for (const size_t row : refitter.cases()) {
    fold_of_row[row] = seen.emplace(table.CellText(values, row), static_cast<int>(seen.size())).first->second;
  }
  return fold_of_row;
}

std::vector<int> HoldOut(const Refitter& refitter, const Table& table, const std::string& condition) {
  std::vector<int> fold_of_row(refitter.table_rows(), -1);
  for (const size_t row : table.Where(Expression::Parse(condition))) fold_of_row[row] = 0;
  return fold_of_row;
}

std::vector<std::string> UsualHoldOuts(const Refitter& refitter, const Table& table, const FactorRoles& roles) {
  std::vector<std::string> conditions;
  const auto hold_out = [&](const std::vector<std::string>& names, bool is_largest) {
    for (const std::string& name : names) {
      std::set<double> values;
      for (const size_t row : refitter.cases()) values.insert(table.Numbers(name)[row]);
      if (values.size() < 3) continue;
      conditions.push_back(name + " == " + ShortestText(is_largest ? *values.rbegin() : *values.begin()));
    }
  };
  const Law& law = refitter.law();
  hold_out(roles.CovariatesOf(law, FactorRole::kScale), true);
  hold_out(roles.CovariatesOf(law, FactorRole::kPrecision), false);
  hold_out(roles.DeclaredOthers(law), true);
  return conditions;
}

}  // namespace bitlaw
