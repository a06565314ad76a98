#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/options/factor_roles.h"

namespace bitlaw {

/// A product of powers of some of the usual covariates, to be fitted to the rows of a law beside it: how much does a
/// law explain that model size alone, bits alone or both do not?
class BITLAW_EXPORT NullLaw final : public Law {
 public:
  struct Factor {
    std::string column;     ///< "N"
    std::string parameter;  ///< "alpha"
    bool of_log2 = false;   ///< log2(B)^beta rather than B^beta.
  };
  NullLaw(std::string name, std::string response, std::vector<Factor> factors);

  const std::string& name() const override { return name_; }
  std::span<const LawParameter> parameters() const override { return parameters_; }
  std::span<const std::string> covariates() const override { return columns_; }
  const std::string& response() const override { return response_; }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override;
  std::optional<LinearForm> linear_form() const override;
  double LinearFeatures(std::span<const double> x, std::span<double> features) const override;
  std::string formula_text() const override;
  /// Whether it may be fitted to the logarithm of the response (it may, unless told otherwise): without, it has no
  /// linear form, and responses that are not positive keep their rows.
  void TakeLog(bool take_log) { takes_log_ = take_log; }

 private:
  double Base(size_t factor, double x) const;

  std::string name_, response_;
  bool takes_log_ = true;
  std::vector<Factor> factors_;
  std::vector<LawParameter> parameters_;
  std::vector<std::string> columns_;
};

/// f(N), f(B) and f(N,B) for the response of `law`: each of its factors of scale as a power, each of precision as a power
/// of its log2, and all of them together. Without those that are the law itself.
BITLAW_EXPORT std::vector<std::unique_ptr<NullLaw>> NullsOf(const Law& law, const FactorRoles& roles);

/// The same formula for the loss against the unquantized model, -log(acc_adj / baseline_acc_adj): it has no part of the
/// response that quantization did not cause. Only for laws of -log(acc_adj). It is fitted without its linear form,
/// since the loss of a single trial can be negative.
///   The law must outlive it.
class BITLAW_EXPORT AnchoredLaw final : public Law {
 public:
  explicit AnchoredLaw(const Law& law);
  /// Whether the law predicts -log(acc_adj).
  static bool Fits(const Law& law);
  const std::string& name() const override { return name_; }
  std::span<const LawParameter> parameters() const override { return parameters_; }
  std::span<const std::string> covariates() const override { return law_.covariates(); }
  const std::string& response() const override { return response_; }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override {
    return law_.Predict(theta, x, gradient);
  }
  std::string formula_text() const override { return law_.formula_text(); }

 private:
  const Law& law_;
  std::string name_, response_;
  std::vector<LawParameter> parameters_;  // Without start values: another response has another scale.
};

}  // namespace bitlaw
