#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// A law with some parameters held at a value: the rest are its parameters.
///   The law must outlive it.
class BITLAW_EXPORT RestrictedLaw final : public Law {
 public:
  /// fixed [k]: a value, or NaN for a parameter that stays free.
  RestrictedLaw(const Law& law, std::vector<double> fixed, std::string name = "");
  const std::string& name() const override { return name_; }
  std::span<const LawParameter> parameters() const override { return parameters_; }
  std::span<const std::string> covariates() const override { return law_.covariates(); }
  const std::string& response() const override { return law_.response(); }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override;
  std::string formula_text() const override { return law_.formula_text(); }
  /// Where the law has one: without the columns of fixed parameters, which go into the offset.
  std::optional<LinearForm> linear_form() const override { return form_; }
  double LinearFeatures(std::span<const double> x, std::span<double> features) const override;

  /// All parameters of the law, from the free ones.
  std::vector<double> Whole(std::span<const double> free) const;
  std::vector<double> Free(std::span<const double> whole) const;

 private:
  static constexpr size_t kMaxParameters = 64;
  const Law& law_;
  std::vector<double> fixed_;
  std::string name_;
  std::vector<LawParameter> parameters_;
  std::optional<LinearForm> form_, whole_form_;
};

}  // namespace bitlaw
