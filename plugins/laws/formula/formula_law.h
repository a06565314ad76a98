#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/sdk/expression/expression.h"

namespace bitlaw {

/// A law whose formula is a text: what the parameters list does not name is a covariate, a column of the table.
///
/// The linear form, where the formula has one, is found from its structure (sdk/expression.h, FindLinearForm).
/// Errors of the options are Error(kSpec) at the place in the law file.
/// Threads: const calls are safe from several threads and allocate nothing.
class FormulaLaw final : public Law {
 public:
  static OptionSchema Schema();
  FormulaLaw(std::string name, const Options& options);

  const std::string& name() const override { return name_; }
  std::span<const LawParameter> parameters() const override { return parameters_; }
  bool infers_parameters() const override { return infers_parameters_; }
  std::span<const std::string> covariates() const override { return columns_; }
  const std::string& response() const override { return response_; }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override {
    return compiled_.Number(theta, x, gradient);
  }
  std::optional<LinearForm> linear_form() const override { return linear_form_; }
  double LinearFeatures(std::span<const double> x, std::span<double> features) const override;
  long double LinearFeaturesExtended(std::span<const double> x, std::span<long double> features) const override;
  FitProcedure procedure() const override { return procedure_; }
  std::string formula_text() const override { return formula_text_; }
  std::string citation() const override { return citation_; }

 private:
  void FindCovariates(const Options& options, const Expression& formula);
  void FindParameters(const Options& options, const Expression& formula);
  void InferParameters(const Options& options, const Expression& formula);

  std::string name_, response_, formula_text_, citation_;
  FitProcedure procedure_;
  std::vector<LawParameter> parameters_;
  bool infers_parameters_ = false;
  std::vector<std::string> symbols_;  // Covariates as the formula names them,
  std::vector<std::string> columns_;  // and the columns that they are.
  CompiledExpression compiled_;
  std::optional<LinearForm> linear_form_;
  std::vector<CompiledExpression> features_;
  std::optional<CompiledExpression> offset_;
};

}  // namespace bitlaw
