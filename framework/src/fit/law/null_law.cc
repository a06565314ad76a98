#include "fit/law/null_law.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bitlaw/sdk/expression/expression.h"

namespace bitlaw {

NullLaw::NullLaw(std::string name, std::string response, std::vector<Factor> factors)
    : name_(std::move(name)), response_(std::move(response)), factors_(std::move(factors)) {
  LawParameter amplitude;
  amplitude.name = "A";
  amplitude.min = 0;
  parameters_.push_back(amplitude);
  for (const Factor& factor : factors_) {
    LawParameter exponent;
    exponent.name = factor.parameter;
    parameters_.push_back(exponent);
    columns_.push_back(factor.column);
  }
}

double NullLaw::Base(size_t factor, double x) const { return factors_[factor].of_log2 ? std::log2(x) : x; }

double NullLaw::Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const {
  double product = 1;
  for (size_t j = 0; j < factors_.size(); ++j) product *= std::pow(Base(j, x[j]), theta[j + 1]);
  if (!gradient.empty()) {
    gradient[0] = product;
    for (size_t j = 0; j < factors_.size(); ++j) gradient[j + 1] = theta[0] * product * std::log(Base(j, x[j]));
  }
  return theta[0] * product;
}

std::optional<LinearForm> NullLaw::linear_form() const {
  if (!takes_log_) return std::nullopt;
  LinearForm form;
  form.of_log = true;
  form.columns.push_back({"1", 0, true});
  for (size_t j = 0; j < factors_.size(); ++j) {
    const std::string base = factors_[j].of_log2 ? "log2(" + factors_[j].column + ")" : factors_[j].column;
    form.columns.push_back({"log(" + base + ")", j + 1, false});
  }
  return form;
}

double NullLaw::LinearFeatures(std::span<const double> x, std::span<double> features) const {
  features[0] = 1;
  for (size_t j = 0; j < factors_.size(); ++j) features[j + 1] = std::log(Base(j, x[j]));
  return 0;
}

std::string NullLaw::formula_text() const {
  std::string text = "A";
  for (const Factor& factor : factors_) {
    text += " * " + (factor.of_log2 ? "log2(" + factor.column + ")" : factor.column) + "^" + factor.parameter;
  }
  return text;
}

std::vector<std::unique_ptr<NullLaw>> NullsOf(const Law& law, const FactorRoles& roles) {
  std::vector<NullLaw::Factor> all;
  for (const auto& [role, exponent] : {std::pair(FactorRole::kScale, "alpha"), std::pair(FactorRole::kPrecision, "beta")}) {
    bool is_first = true;
    for (const std::string& column : roles.CovariatesOf(law, role)) {
      all.push_back({column, is_first ? exponent : std::string(exponent) + "_" + column, role == FactorRole::kPrecision});
      is_first = false;
    }
  }
  std::vector<std::vector<NullLaw::Factor>> candidates;
  for (const NullLaw::Factor& factor : all) candidates.push_back({factor});
  if (all.size() > 1) candidates.push_back(all);
  std::vector<std::unique_ptr<NullLaw>> nulls;
  for (std::vector<NullLaw::Factor>& factors : candidates) {
    std::string columns;
    for (const NullLaw::Factor& factor : factors) columns += (columns.empty() ? "" : ",") + factor.column;
    auto null = std::make_unique<NullLaw>("f(" + columns + ")", law.response(), std::move(factors));
    if (null->formula_text() != law.formula_text()) nulls.push_back(std::move(null));
  }
  return nulls;
}

AnchoredLaw::AnchoredLaw(const Law& law)
    : law_(law), name_("loss against 16 bits"), response_("-log(acc_adj / baseline_acc_adj)") {
  for (LawParameter parameter : law.parameters()) {
    parameter.start = parameter.published = std::numeric_limits<double>::quiet_NaN();
    parameters_.push_back(std::move(parameter));
  }
}

bool AnchoredLaw::Fits(const Law& law) { return Expression::Parse(law.response()).Text() == "-log(acc_adj)"; }

}  // namespace bitlaw
