#include "fit/restricted_law.h"

#include <cmath>

#include "bitlaw/base/error.h"

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

}  // namespace bitlaw
