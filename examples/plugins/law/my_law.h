#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/sdk/expression/autodiff_law.h"

/// response = A * N^-alpha + K * exp(-b * B)
///
/// What the unquantized model loses, and beside it what rounding adds, whatever the size of the model.
///
/// Covariates  N parameters, B bits a weight.
/// Parameters  A, K in nats, >= 0; alpha; b a bit, >= 0.
struct MyLawFormula {
  template <typename T>  // double, or a number with its derivatives by theta
  T operator()(const T* theta, const double* x) const {
    using std::exp;
    const T &A = theta[0], &alpha = theta[1], &K = theta[2], &b = theta[3];
    const double N = x[0], B = x[1];
    return A * exp(-alpha * std::log(N)) + K * exp(-b * B);
  }
};

inline bitlaw::OptionSchema MyLawOptions() {
  bitlaw::OptionSchema schema;
  schema.String("response").Default("-log(acc_adj)").Doc("What the law predicts, an expression over table columns.");
  return schema;
}

inline std::unique_ptr<bitlaw::Law> MakeMyLaw(const std::string& name, const bitlaw::Options& options) {
  std::vector<bitlaw::LawParameter> parameters(4);
  parameters[0].name = "A", parameters[0].min = 0;
  parameters[1].name = "alpha";
  parameters[2].name = "K", parameters[2].min = 0;
  parameters[3].name = "b", parameters[3].min = 0;
  return std::make_unique<bitlaw::AutoDiffLaw<MyLawFormula, 4>>(name, parameters, std::vector<std::string>{"N", "B"},
                                                                options.String("response"),
                                                                "A * N^-alpha + K * exp(-b * B)");
}
