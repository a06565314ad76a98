#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"

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

 private:
  double Base(size_t factor, double x) const;

  std::string name_, response_;
  std::vector<Factor> factors_;
  std::vector<LawParameter> parameters_;
  std::vector<std::string> columns_;
};

/// f(N), f(B) and f(N,B) for the response of `law`, without those that have factors which it lacks or that are the law
/// itself.
BITLAW_EXPORT std::vector<std::unique_ptr<NullLaw>> NullsOf(const Law& law);

}  // namespace bitlaw
