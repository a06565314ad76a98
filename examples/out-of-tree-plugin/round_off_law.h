#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/api/option_schema.h"

/// The expected largest |w| among `group_size` standard normal weights:
///
///   m(G) = integral over x >= 0 of  1 - erf(x / sqrt 2)^G
///
/// m(1) = sqrt(2 / pi), m(2) = 2 / sqrt(pi). NaN for group_size < 1.
double ExpectedMaximum(double group_size);

/// Mean squared error of rounding standard normal weights, in groups of G, to 2^B levels between -m(G) and m(G):
///
///   D(B, G) = s^2 / 12,  s = 2 m(G) / (2^B - 1)
///
/// NaN outside B > 0, G >= 1.
double RoundOffNoise(double bits, double group_size);

/// A law in which bits and group size act through one quantity, the noise that rounding adds to a weight:
///
///   response = A * N^alpha * D(B, G)^beta
///
/// It has one exponent fewer than separate powers of B and G. D holds an integral and so cannot be written as a formula
/// in YAML: that is what a law plugin is for.
///
/// Covariates  N parameters, B bits, G weights a group: columns named by the options.
/// Threads     const calls are safe from several threads and allocate nothing.
class RoundOffLaw final : public bitlaw::Law {
 public:
  static bitlaw::OptionSchema Schema();
  RoundOffLaw(std::string name, const bitlaw::Options& options);

  const std::string& name() const override { return name_; }
  std::span<const bitlaw::LawParameter> parameters() const override { return parameters_; }
  std::span<const std::string> covariates() const override { return covariates_; }
  const std::string& response() const override { return response_; }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override;
  std::optional<bitlaw::LinearForm> linear_form() const override;
  double LinearFeatures(std::span<const double> x, std::span<double> features) const override;
  std::string formula_text() const override { return "A * N^alpha * D(B, G)^beta"; }

 private:
  std::string name_, response_;
  std::array<std::string, 3> covariates_;
  std::vector<bitlaw::LawParameter> parameters_;
};
