#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/options/held_value.h"

namespace bitlaw {

/// A law with some parameters held at a value: the rest are its parameters.
///   The law must outlive it.
class BITLAW_EXPORT RestrictedLaw final : public Law {
 public:
  /// fixed [k]: a value, or NaN for a parameter that stays free.
  RestrictedLaw(const Law& law, std::vector<double> fixed, std::string name = "");
  /// The same, with a law of its own.
  RestrictedLaw(std::unique_ptr<Law> law, std::vector<double> fixed);
  const Law& law() const { return law_; }
  const std::vector<double>& fixed() const { return fixed_; }
  const std::string& name() const override { return name_; }
  std::span<const LawParameter> parameters() const override { return parameters_; }
  std::span<const std::string> covariates() const override { return law_.covariates(); }
  const std::string& response() const override { return law_.response(); }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override;
  FitProcedure procedure() const override { return law_.procedure(); }
  std::string citation() const override { return law_.citation(); }
  /// "A * N^alpha with alpha = 0.34"
  std::string formula_text() const override;
  /// Where the law has one: without the columns of fixed parameters, which go into the offset.
  std::optional<LinearForm> linear_form() const override { return form_; }
  double LinearFeatures(std::span<const double> x, std::span<double> features) const override;
  long double LinearFeaturesExtended(std::span<const double> x, std::span<long double> features) const override;

  /// All parameters of the law, from the free ones.
  std::vector<double> Whole(std::span<const double> free) const;
  std::vector<double> Free(std::span<const double> whole) const;

 private:
  static constexpr size_t kMaxParameters = 64;
  std::unique_ptr<Law> owned_;
  const Law& law_;
  std::vector<double> fixed_;
  std::string name_;
  std::vector<LawParameter> parameters_;
  std::optional<LinearForm> form_, whole_form_;
};

/// Error(kSpec) for the first name that none of the laws has, with the parameters that there are.
BITLAW_EXPORT void CheckHeldNames(std::span<const std::unique_ptr<Law>> laws, std::span<const HeldValue> fix);

/// The law with parameters held: those whose min is their max, and those that `fix` names; the last of a name counts, and
/// names that the law has not are passed over. Error(kSpec) for a value beyond the parameter's bounds, or where no
/// parameter is left.
BITLAW_EXPORT std::unique_ptr<Law> HoldIn(std::unique_ptr<Law> law, std::span<const HeldValue> fix);

}  // namespace bitlaw
