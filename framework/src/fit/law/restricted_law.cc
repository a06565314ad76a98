#include "fit/law/restricted_law.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "bitlaw/base/error.h"
#include "records/table.h"

namespace bitlaw {

RestrictedLaw::RestrictedLaw(const Law& law, std::vector<double> fixed, std::string name)
    : law_(law), fixed_(std::move(fixed)), name_(name.empty() ? law.name() : std::move(name)) {
  if (fixed_.size() != law.parameters().size() || fixed_.size() > kMaxParameters)
    throw InternalError("RestrictedLaw: one value a parameter is needed, of 64 at most");
  for (size_t j = 0; j < fixed_.size(); ++j) {
    if (std::isnan(fixed_[j])) parameters_.push_back(law.parameters()[j]);
  }
  whole_form_ = law.linear_form();
  if (!whole_form_ || parameters_.empty()) return;
  form_ = LinearForm{whole_form_->of_log, {}};
  for (LinearForm::Column column : whole_form_->columns) {
    if (!std::isnan(fixed_[column.parameter])) continue;
    size_t before = 0;
    for (size_t j = 0; j < column.parameter; ++j) before += std::isnan(fixed_[j]);
    column.parameter = before;
    form_->columns.push_back(std::move(column));
  }
}

RestrictedLaw::RestrictedLaw(std::unique_ptr<Law> law, std::vector<double> fixed)
    : RestrictedLaw(*law, std::move(fixed)) {
  owned_ = std::move(law);
}

std::string RestrictedLaw::formula_text() const {
  std::string text = law_.formula_text();
  const char* before = " with ";
  for (size_t j = 0; j < fixed_.size(); ++j) {
    if (std::isnan(fixed_[j])) continue;
    text += before + law_.parameters()[j].name + " = " + ShortestText(fixed_[j]);
    before = ", ";
  }
  return text;
}

long double RestrictedLaw::LinearFeaturesExtended(std::span<const double> x, std::span<long double> features) const {
  long double whole[kMaxParameters];
  long double offset = law_.LinearFeaturesExtended(x, {whole, whole_form_->columns.size()});
  size_t at = 0;
  for (size_t j = 0; j < whole_form_->columns.size(); ++j) {
    const auto& column = whole_form_->columns[j];
    const long double value = fixed_[column.parameter];
    if (std::isnan(value)) {
      features[at++] = whole[j];
    } else {
      offset += (column.is_log ? std::log(value) : value) * whole[j];
    }
  }
  return offset;
}

double RestrictedLaw::LinearFeatures(std::span<const double> x, std::span<double> features) const {
  double whole[kMaxParameters];
  double offset = law_.LinearFeatures(x, {whole, whole_form_->columns.size()});
  size_t at = 0;
  for (size_t j = 0; j < whole_form_->columns.size(); ++j) {
    const auto& column = whole_form_->columns[j];
    const double value = fixed_[column.parameter];
    if (std::isnan(value)) {
      features[at++] = whole[j];
    } else {
      offset += (column.is_log ? std::log(value) : value) * whole[j];
    }
  }
  return offset;
}

double RestrictedLaw::Predict(std::span<const double> theta, std::span<const double> x,
                              std::span<double> gradient) const {
  double whole[kMaxParameters], slopes[kMaxParameters];
  size_t at = 0;
  for (size_t j = 0; j < fixed_.size(); ++j) whole[j] = std::isnan(fixed_[j]) ? theta[at++] : fixed_[j];
  if (gradient.empty()) return law_.Predict({whole, fixed_.size()}, x, {});
  const double value = law_.Predict({whole, fixed_.size()}, x, {slopes, fixed_.size()});
  at = 0;
  for (size_t j = 0; j < fixed_.size(); ++j) {
    if (std::isnan(fixed_[j])) gradient[at++] = slopes[j];
  }
  return value;
}

std::vector<double> RestrictedLaw::Whole(std::span<const double> free) const {
  std::vector<double> whole;
  size_t at = 0;
  for (const double value : fixed_) whole.push_back(std::isnan(value) ? free[at++] : value);
  return whole;
}

std::vector<double> RestrictedLaw::Free(std::span<const double> whole) const {
  std::vector<double> free;
  for (size_t j = 0; j < fixed_.size(); ++j) {
    if (std::isnan(fixed_[j])) free.push_back(whole[j]);
  }
  return free;
}

namespace {

std::string Head(const HeldValue& one) { return (one.place.empty() ? "" : one.place + ": ") + "fix: "; }

}  // namespace

void CheckHeldNames(std::span<const std::unique_ptr<Law>> laws, std::span<const HeldValue> fix) {
  std::vector<std::string> names;
  for (const auto& law : laws) {
    for (const LawParameter& parameter : law->parameters()) {
      if (std::find(names.begin(), names.end(), parameter.name) == names.end()) names.push_back(parameter.name);
    }
  }
  for (const HeldValue& one : fix) {
    if (std::find(names.begin(), names.end(), one.name) != names.end()) continue;
    std::string known;
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
    throw Error(ErrorKind::kSpec, Head(one) + "no law has a parameter '" + one.name + "'." +
                                      DidYouMean(one.name, names) + " Parameters: " + known + ".");
  }
}

std::unique_ptr<Law> HoldIn(std::unique_ptr<Law> law, std::span<const HeldValue> fix) {
  std::vector<double> fixed;
  bool is_any = false, is_all = true;
  for (const LawParameter& parameter : law->parameters()) {
    const bool is_fixed_by_law = parameter.min == parameter.max;
    double value = is_fixed_by_law ? parameter.min : std::numeric_limits<double>::quiet_NaN();
    for (const HeldValue& one : fix) {
      if (one.name != parameter.name) continue;
      if (!is_fixed_by_law && (one.value < parameter.min || one.value > parameter.max)) {
        throw Error(ErrorKind::kSpec,
                    Head(one) + fmt::format("{} = {} is outside the bounds [{}, {}] of law '{}'. Give a value within them.",
                                            one.name, one.value, parameter.min, parameter.max, law->name()));
      }
      value = one.value;
    }
    fixed.push_back(value);
    is_any = is_any || !std::isnan(value);
    is_all = is_all && !std::isnan(value);
  }
  if (is_all && is_any) {
    throw Error(ErrorKind::kSpec, "law '" + law->name() +
                                      "': all of its parameters are fixed, so there is nothing to fit. Leave one free.");
  }
  if (!is_any) return law;
  return std::make_unique<RestrictedLaw>(std::move(law), std::move(fixed));
}

}  // namespace bitlaw
