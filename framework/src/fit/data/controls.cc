#include "fit/data/controls.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/options/quoted_text.h"
#include "fit/table/regroup.h"
#include "fit/table/strata_data.h"

namespace bitlaw {

namespace {

// The values of a control, one a row.
std::vector<double> ValuesOf(const Control& control, const Table& table) {
  const std::string where = "control '" + control.name + "'";
  if (control.of_task.empty()) {
    try {
      return table.Evaluate(Expression::Parse(control.expression));
    } catch (const Error& error) {
      throw Error(ErrorKind::kSpec, where + ": " + error.what());
    }
  }
  const TableColumn& task = table.At("task", where);
  std::vector<double> values;
  for (size_t row = 0; row < table.rows(); ++row) {
    const std::string name = table.CellText(task, row);
    const auto found = std::find_if(control.of_task.begin(), control.of_task.end(),
                                    [&](const auto& given) { return given.first == name; });
    values.push_back(found == control.of_task.end() ? std::nan("") : found->second);
  }
  CheckTaskNames(control.of_task, table, where);
  return values;
}

}  // namespace

ControlledLaw::ControlledLaw(const Law& law, std::vector<Control> controls)
    : law_(law), controls_(std::move(controls)) {
  const auto form = law_.linear_form();
  is_additive_ = form && !form->of_log;
  parameters_.assign(law_.parameters().begin(), law_.parameters().end());
  covariates_.assign(law_.covariates().begin(), law_.covariates().end());
  for (const Control& control : controls_) {
    if (std::find(covariates_.begin(), covariates_.end(), control.name) != covariates_.end()) {
      throw Error(ErrorKind::kSpec,
                  fmt::format("control '{}': law '{}' has it already, as a factor or another control.", control.name,
                              law_.name()));
    }
    LawParameter parameter;
    parameter.name = "c_" + control.name;
    parameter.start = 0;
    const auto same = [&](const LawParameter& other) { return other.name == parameter.name; };
    if (std::any_of(parameters_.begin(), parameters_.end(), same)) {
      throw Error(ErrorKind::kSpec, fmt::format("control '{}': law '{}' has a parameter '{}'. Give the control another "
                                                "name.",
                                                control.name, law_.name(), parameter.name));
    }
    parameters_.push_back(std::move(parameter));
    covariates_.push_back(control.name);
  }
}

double ControlledLaw::Predict(std::span<const double> theta, std::span<const double> x,
                              std::span<double> gradient) const {
  const size_t k = law_.parameters().size(), c = law_.covariates().size(), m = controls_.size();
  double sum = 0;
  for (size_t j = 0; j < m; ++j) sum += theta[k + j] * (x[c + j] - controls_[j].mean);
  const std::span<double> slopes = gradient.empty() ? gradient : gradient.first(k);
  const double base = law_.Predict(theta.first(k), x.first(c), slopes);
  const double factor = is_additive_ ? 1 : std::exp(sum);
  const double value = is_additive_ ? base + sum : base * factor;
  if (gradient.empty()) return value;
  for (double& slope : slopes) slope *= factor;
  for (size_t j = 0; j < m; ++j) gradient[k + j] = (is_additive_ ? 1 : value) * (x[c + j] - controls_[j].mean);
  return value;
}

std::optional<LinearForm> ControlledLaw::linear_form() const {
  auto form = law_.linear_form();
  if (!form) return form;
  const size_t k = law_.parameters().size();
  for (size_t j = 0; j < controls_.size(); ++j) form->columns.push_back({controls_[j].name, k + j, false});
  return form;
}

double ControlledLaw::LinearFeatures(std::span<const double> x, std::span<double> features) const {
  const size_t k = law_.parameters().size(), c = law_.covariates().size();
  for (size_t j = 0; j < controls_.size(); ++j) features[k + j] = x[c + j] - controls_[j].mean;
  return law_.LinearFeatures(x.first(c), features.first(k));
}

long double ControlledLaw::LinearFeaturesExtended(std::span<const double> x, std::span<long double> features) const {
  const size_t k = law_.parameters().size(), c = law_.covariates().size();
  for (size_t j = 0; j < controls_.size(); ++j) {
    features[k + j] = static_cast<long double>(x[c + j]) - controls_[j].mean;
  }
  return law_.LinearFeaturesExtended(x.first(c), features.first(k));
}

std::string ControlledLaw::formula_text() const {
  std::string sum;
  for (const Control& control : controls_) {
    sum += fmt::format("{}{} * ({} - {:.6g})", sum.empty() ? "" : " + ", QuotedName("c_" + control.name),
                       QuotedName(control.name), control.mean);
  }
  return is_additive_ ? law_.formula_text() + " + " + sum : "(" + law_.formula_text() + ") * exp(" + sum + ")";
}

ControlledStudy::ControlledStudy(std::span<const std::unique_ptr<Law>> laws, const Table& table,
                                 const std::vector<Control>& controls)
    : table_(table) {
  for (const auto& law : laws) {
    laws_.push_back(law.get());
    for (const std::string& name : law->covariates()) {
      if (plain_table().Find(name) != nullptr || !IsTextTest(name)) continue;
      try {
        std::vector<double> values = table.Evaluate(Expression::Parse(name));
        if (!has_tests_) tested_table_ = table;
        has_tests_ = true;
        tested_table_.AddNumbers(name, std::move(values));
      } catch (const Error&) {
        // The law cannot be fitted to this table: SelectRows() says why, for this law alone.
      }
    }
  }
  if (controls.empty()) return;
  controlled_table_ = plain_table();
  const TableColumn* hold_out = table.Find("hold_out");
  for (Control control : controls) {
    std::vector<double> values = ValuesOf(control, table);
    double sum = 0, count = 0;
    for (size_t row = 0; row < values.size(); ++row) {
      const bool is_held_out = IsHeldOut(hold_out, table, row);
      if (std::isnan(values[row]) || is_held_out) continue;
      sum += values[row];
      ++count;
    }
    if (count > 0) control.mean = sum / count;
    const bool is_column = control.of_task.empty() && control.expression == QuotedName(control.name);
    if (!is_column) {
      if (table.Find(control.name) != nullptr) {
        throw Error(
            ErrorKind::kSpec,
            fmt::format("control '{}': the table has a column of that name. Give the control another.", control.name));
      }
      controlled_table_.AddNumbers(control.name, std::move(values));
    }
    controls_.push_back(std::move(control));
  }
  for (const Law*& law : laws_) {
    controlled_.push_back(std::make_unique<ControlledLaw>(*law, controls_));
    law = controlled_.back().get();
  }
}

}  // namespace bitlaw
