#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/options/control.h"
#include "records/table.h"

namespace bitlaw {

/// A law with controls z beside its factors:
///
///     response = f(x; theta) exp(sum_j c_j (z_j - mean_j))     so that each is linear in ln response and in OLS, or
///     response = f(x; theta) + sum_j c_j (z_j - mean_j)        where the law is linear in its parameters as it stands.
///
/// Its parameters are the law's, then c_<name> of each control; its name is the law's. The law must outlive it.
/// Error(kSpec) for a control that is a factor of the law, or whose parameter has a name of the law's.
class BITLAW_EXPORT ControlledLaw final : public Law {
 public:
  ControlledLaw(const Law& law, std::vector<Control> controls);

  const std::string& name() const override { return law_.name(); }
  std::span<const LawParameter> parameters() const override { return parameters_; }
  bool infers_parameters() const override { return law_.infers_parameters(); }
  std::span<const std::string> covariates() const override { return covariates_; }
  const std::string& response() const override { return law_.response(); }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override;
  std::optional<LinearForm> linear_form() const override;
  double LinearFeatures(std::span<const double> x, std::span<double> features) const override;
  long double LinearFeaturesExtended(std::span<const double> x, std::span<long double> features) const override;
  FitProcedure procedure() const override { return law_.procedure(); }
  std::string formula_text() const override;
  std::string citation() const override { return law_.citation(); }

 private:
  const Law& law_;
  std::vector<Control> controls_;
  bool is_additive_ = false;
  std::vector<LawParameter> parameters_;
  std::vector<std::string> covariates_;
};

/// Laws and the table as they are fitted: with controls, each law in a ControlledLaw, and their columns in the table.
/// The table also has a column of 1 and 0 for each comparison with a text that a law has as a covariate, where it has
/// what that compares. Laws and table must outlive it.
class BITLAW_EXPORT ControlledStudy {
 public:
  ControlledStudy(std::span<const std::unique_ptr<Law>> laws, const Table& table,
                  const std::vector<Control>& controls);

  const std::vector<const Law*>& laws() const { return laws_; }
  const Table& table() const { return is_controlled() ? controlled_table_ : plain_table(); }
  /// Without the columns of controls.
  const Table& plain_table() const { return has_tests_ ? tested_table_ : table_; }
  const std::vector<Control>& controls() const { return controls_; }
  bool is_controlled() const { return !controls_.empty(); }

 private:
  const Table& table_;
  std::vector<Control> controls_;
  bool has_tests_ = false;
  Table tested_table_, controlled_table_;
  std::vector<std::unique_ptr<ControlledLaw>> controlled_;
  std::vector<const Law*> laws_;
};

}  // namespace bitlaw
