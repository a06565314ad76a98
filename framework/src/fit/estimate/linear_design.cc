#include "fit/estimate/linear_design.h"

#include <algorithm>
#include <cmath>

#include "fit/solve/fit_problem.h"

namespace bitlaw {

LinearRows LinearRowsOf(const Law& law, const LinearForm& form, const FitRows& rows) {
  LinearRows linear;
  const size_t k = form.columns.size(), c = law.covariates().size();
  linear.design.resize(rows.size() * k);
  for (size_t i = 0; i < rows.size(); ++i) {
    const long double y = rows.y[i];
    const long double offset = law.LinearFeaturesExtended(rows.row(i, c), {linear.design.data() + i * k, k});
    linear.target.push_back((form.of_log ? std::log(y) : y) - offset);
    if (!rows.weights.empty()) linear.weights.push_back(form.of_log ? rows.log_weight(i) : rows.weight(i));
  }
  return linear;
}

LinearDesign::LinearDesign(const Law& law, const Table& table, const FitSettings& settings) : form_(law.linear_form()) {
  if (!form_) {
    why_none_ = "the formula is not linear in its parameters, nor is its logarithm";
    return;
  }
  const FitProblem problem(law, table, settings, FitProcedure());
  const LawRows& rows = problem.selected();
  if (rows.fit.size() == 0) {
    why_none_ = "no row has a response";
    return;
  }
  row_index_ = rows.fit_index;
  complete_index_ = rows.complete_index;
  const size_t k = form_->columns.size(), c = law.covariates().size();
  for (const auto& column : form_->columns) names_.push_back(column.name);
  LinearRows linear = LinearRowsOf(law, *form_, rows.fit);
  design_ = std::move(linear.design);
  target_ = std::move(linear.target);
  weights_ = std::move(linear.weights);
  // A column depends on a covariate if another value of that makes another value of the column in some row.
  covariates_of_.resize(k);
  std::vector<double> x, here(k), there(k);
  for (size_t j = 0; j < c; ++j) {
    std::vector<bool> depends(k, false);
    for (size_t i = 0; i < rows.fit.size(); ++i) {
      const auto row = rows.fit.row(i, c);
      law.LinearFeatures(row, here);
      x.assign(row.begin(), row.end());
      x[j] = rows.fit.row(rows.fit.size() - 1 - i, c)[j] * 1.37 + 0.11;
      law.LinearFeatures(x, there);
      for (size_t column = 0; column < k; ++column) depends[column] = depends[column] || here[column] != there[column];
    }
    for (size_t column = 0; column < k; ++column) {
      if (depends[column]) covariates_of_[column].push_back(law.covariates()[j]);
    }
  }
}

LinearDesign::Part LinearDesign::Select(const std::vector<size_t>& columns, const std::vector<size_t>* group_of_row,
                                        size_t group) const {
  Part part;
  for (const size_t column : columns) part.names.push_back(names_[column]);
  for (size_t i = 0; i < row_index_.size(); ++i) {
    if (group_of_row != nullptr && (*group_of_row)[i] != group) continue;
    for (const size_t column : columns) part.design.push_back(design_[i * names_.size() + column]);
    part.target.push_back(target_[i]);
    if (!weights_.empty()) part.weights.push_back(weights_[i]);
  }
  return part;
}

std::string LinearDesign::ExplainColumns(const std::vector<size_t>& columns, const std::vector<size_t>* group_of_row,
                                         size_t group) const {
  const Part part = Select(columns, group_of_row, group);
  return ExplainDegenerate(std::span<const long double>(part.design), part.names);
}

OlsResult LinearDesign::Fit(const std::vector<size_t>& columns, const std::vector<size_t>* group_of_row,
                            size_t group) const {
  const Part part = Select(columns, group_of_row, group);
  return FitOls(std::span<const long double>(part.design), part.target, part.names, part.weights);
}

namespace {

// Over the units of the rows: J and residuals of a fit by (weighted) least squares.
ClusterRobust RobustOfFit(std::span<const long double> design, std::span<const long double> target,
                          std::span<const double> weights, const OlsResult& fit, RowUnits units) {
  const size_t n = target.size(), k = design.size() / n;
  std::vector<double> jacobian(design.size()), residuals(n);
  for (size_t i = 0; i < n; ++i) {
    const double root = weights.empty() ? 1 : std::sqrt(weights[i]);
    residuals[i] = root * (fit.fitted[i] - static_cast<double>(target[i]));
    for (size_t j = 0; j < k; ++j) jacobian[i * k + j] = root * static_cast<double>(design[i * k + j]);
  }
  return {jacobian, residuals, std::move(units), std::vector<bool>(k, true)};
}

// The units of some of the rows.
RowUnits Restricted(const RowUnits& units, const std::vector<size_t>* group_of_row, size_t group) {
  if (group_of_row == nullptr) return units;
  RowUnits some;
  some.name = units.name;
  std::vector<size_t> place(units.size(), units.size());
  for (size_t i = 0; i < units.unit_of_row.size(); ++i) {
    if ((*group_of_row)[i] != group) continue;
    size_t& at = place[units.unit_of_row[i]];
    if (at == units.size()) {
      at = some.labels.size();
      some.labels.push_back(units.labels[units.unit_of_row[i]]);
    }
    some.unit_of_row.push_back(at);
  }
  return some;
}

}  // namespace

ClusterRobust LinearDesign::Robust(const std::vector<size_t>& columns, const OlsResult& fit, const RowUnits& units,
                                   const std::vector<size_t>* group_of_row, size_t group) const {
  const Part part = Select(columns, group_of_row, group);
  return RobustOfFit(part.design, part.target, part.weights, fit, Restricted(units, group_of_row, group));
}

ClusterRobust::Test LinearDesign::GroupsAreEqual(const std::vector<size_t>& own, const std::vector<size_t>& common,
                                                 const std::vector<size_t>& tested,
                                                 const std::vector<size_t>& group_of_row, size_t groups,
                                                 const RowUnits& units) const {
  const size_t n = row_index_.size(), width = names_.size(), k = common.size() + own.size() * groups;
  std::vector<long double> design(n * k, 0);
  std::vector<std::string> names(k, "column");
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < common.size(); ++j) design[i * k + j] = design_[i * width + common[j]];
    const size_t first = common.size() + group_of_row[i] * own.size();
    for (size_t j = 0; j < own.size(); ++j) design[i * k + first + j] = design_[i * width + own[j]];
  }
  ClusterRobust::Test test;
  if (!ExplainDegenerate(std::span<const long double>(design), names).empty()) {
    test.why_none = "the rows do not determine all groups";
    return test;
  }
  const OlsResult fit = FitOls(std::span<const long double>(design), target_, names, weights_);
  const ClusterRobust robust = RobustOfFit(design, target_, weights_, fit, units);
  std::vector<double> contrasts, values;
  for (size_t g = 1; g < groups; ++g) {
    for (size_t j = 0; j < own.size(); ++j) {
      if (std::find(tested.begin(), tested.end(), own[j]) == tested.end()) continue;
      const size_t here = common.size() + g * own.size() + j, first = common.size() + j;
      std::vector<double> contrast(k, 0);
      contrast[here] = 1, contrast[first] = -1;
      contrasts.insert(contrasts.end(), contrast.begin(), contrast.end());
      values.push_back(fit.coefficients[here].value - fit.coefficients[first].value);
    }
  }
  return robust.AreZero(contrasts, values);
}

std::optional<OlsResult> LinearDesign::FitWithIntercepts(const std::vector<size_t>& group_of_row,
                                                         const std::vector<std::string>& groups,
                                                         const RowUnits& units, std::vector<std::string>& dropped,
                                                         std::vector<RobustError>& errors, std::string& why) const {
  const auto with = [&](const std::vector<size_t>& columns) {
    const Part part = Select(columns, nullptr, 0);
    Part whole;
    whole.target = part.target;
    whole.weights = part.weights;
    whole.names = part.names;
    for (const std::string& group : groups) whole.names.push_back("1 [" + group + "]");
    for (size_t i = 0; i < row_index_.size(); ++i) {
      for (size_t j = 0; j < columns.size(); ++j) whole.design.push_back(part.design[i * columns.size() + j]);
      for (size_t g = 0; g < groups.size(); ++g) whole.design.push_back(group_of_row[i] == g ? 1 : 0);
    }
    return whole;
  };
  std::vector<size_t> columns;
  Part part = with({});
  why = ExplainDegenerate(std::span<const long double>(part.design), part.names);
  if (!why.empty()) return std::nullopt;
  for (size_t j = 0; j < names_.size(); ++j) {
    if (covariates_of_[j].empty()) continue;
    columns.push_back(j);
    Part more = with(columns);
    const std::string collinear = ExplainDegenerate(std::span<const long double>(more.design), more.names);
    if (collinear.empty()) {
      part = std::move(more);
      continue;
    }
    columns.pop_back();
    dropped.push_back(names_[j]);
    why = collinear;
  }
  if (columns.empty()) return std::nullopt;
  why.clear();
  OlsResult fit = FitOls(std::span<const long double>(part.design), part.target, part.names, part.weights);
  if (units.is_clustered()) {
    const ClusterRobust robust = RobustOfFit(part.design, part.target, part.weights, fit, units);
    for (size_t j = 0; j < columns.size(); ++j) errors.push_back(robust.Error(j));
  }
  return fit;
}

std::vector<size_t> LinearDesign::VaryingColumns(const std::vector<size_t>& group_of_row, size_t group) const {
  std::vector<size_t> varying;
  for (size_t j = 0; j < names_.size(); ++j) {
    bool varies = covariates_of_[j].empty(), has_first = false;
    long double first = 0;
    for (size_t i = 0; i < row_index_.size() && !varies; ++i) {
      if (group_of_row[i] != group) continue;
      const long double value = design_[i * names_.size() + j];
      varies = has_first && value != first;
      first = has_first ? first : value;
      has_first = true;
    }
    if (varies) varying.push_back(j);
  }
  return varying;
}

}  // namespace bitlaw
