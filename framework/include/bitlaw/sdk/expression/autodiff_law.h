#pragma once

#include <ceres/jet.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

/// A law written once, as a template, with derivatives by automatic differentiation (Ceres Jets):
///
///     struct Power {
///       template <typename T>
///       T operator()(const T* theta, const double* x) const {
///         using std::pow;  // std for double, ceres for Jets
///         return theta[0] * pow(T(x[0]), theta[1]);
///       }
///     };
///     AutoDiffLaw<Power, 2> law("power", parameters, {"N"}, "-log(acc_adj)", "A * N^alpha");
///
/// Needs the headers of Ceres and Eigen; a plugin links Eigen3::Eigen.
///   k parameters; x has one value a covariate, in their order.
/// Threads: as Functor's operator(), which must be const and allocate nothing.
template <typename Functor, int k>
class AutoDiffLaw : public Law {
 public:
  /// InternalError if `parameters` are not k.
  AutoDiffLaw(std::string name, std::vector<LawParameter> parameters, std::vector<std::string> covariates,
              std::string response, std::string formula_text, std::string citation = "", Functor functor = Functor())
      : name_(std::move(name)),
        response_(std::move(response)),
        formula_text_(std::move(formula_text)),
        citation_(std::move(citation)),
        parameters_(std::move(parameters)),
        covariates_(std::move(covariates)),
        functor_(std::move(functor)) {
    if (parameters_.size() != static_cast<size_t>(k))
      throw InternalError("law '" + name_ + "' has another number of parameters than its functor");
  }

  const std::string& name() const override { return name_; }
  std::span<const LawParameter> parameters() const override { return parameters_; }
  std::span<const std::string> covariates() const override { return covariates_; }
  const std::string& response() const override { return response_; }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override {
    if (gradient.empty()) return functor_(theta.data(), x.data());
    std::array<ceres::Jet<double, k>, static_cast<size_t>(k)> jets;
    for (int j = 0; j < k; ++j) jets[static_cast<size_t>(j)] = ceres::Jet<double, k>(theta[static_cast<size_t>(j)], j);
    const ceres::Jet<double, k> value = functor_(jets.data(), x.data());
    for (int j = 0; j < k; ++j) gradient[static_cast<size_t>(j)] = value.v[j];
    return value.a;
  }
  std::string formula_text() const override { return formula_text_; }
  std::string citation() const override { return citation_; }

 private:
  std::string name_, response_, formula_text_, citation_;
  std::vector<LawParameter> parameters_;
  std::vector<std::string> covariates_;
  Functor functor_;
};

}  // namespace bitlaw
