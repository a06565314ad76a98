#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "bitlaw/base/error.h"
#include "laws_for_tests.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;

std::string FaultOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(FormulaLaw, TakesEveryOtherNameForACovariate) {
  const auto law = FourFactorLaw();
  EXPECT_THAT(std::vector<std::string>(law->covariates().begin(), law->covariates().end()),
              ElementsAre("N", "B", "Cb", "G"));
  ASSERT_TRUE(law->linear_form().has_value());
  EXPECT_TRUE(law->linear_form()->of_log);
  std::vector<double> features(5);
  const std::vector<double> x = {std::exp(2.0), 16, 4, std::exp(1.0)};
  EXPECT_EQ(law->LinearFeatures(x, features), 0);
  EXPECT_DOUBLE_EQ(features[0], 1);
  EXPECT_DOUBLE_EQ(features[1], 2);
  EXPECT_DOUBLE_EQ(features[2], std::log(4.0));
  EXPECT_DOUBLE_EQ(features[3], std::log(2.0));
  EXPECT_DOUBLE_EQ(features[4], 1);
}

TEST(FormulaLaw, PredictsTheFourFactorLawByHand) {
  const auto law = FourFactorLaw();
  // 3 * 100^-0.5 * log2(4)^-1 * log2(16)^0.5 * 9^0.5 = 3 * 0.1 * 0.5 * 2 * 3
  const std::vector<double> theta = {3, -0.5, -1, 0.5, 0.5}, x = {100, 4, 16, 9};
  std::vector<double> gradient(5);
  EXPECT_DOUBLE_EQ(law->Predict(theta, x, gradient), 0.9);
  EXPECT_DOUBLE_EQ(gradient[0], 0.3);
  EXPECT_DOUBLE_EQ(gradient[1], 0.9 * std::log(100.0));
}

// The published general exponents, from secondary sources (the amplitude is published nowhere): what they say about
// ratios, which need no amplitude. A from one model with acc_adj 0.6 at N = 4e9, B = 4, Cb = 128, G = 128.
TEST(FormulaLaw, PublishedExponentsPredictThePublishedDirections) {
  const auto law = FourFactorLaw();
  std::vector<double> theta = {1, -0.359, -1.067, -0.032, 0.073};
  const std::vector<double> anchor = {4e9, 4, 128, 128};
  theta[0] = -std::log(0.6) / law->Predict(theta, anchor, {});
  const auto accuracy = [&](double n, double b, double cb, double g) {
    return std::exp(-law->Predict(theta, std::vector<double>{n, b, cb, g}, {}));
  };
  EXPECT_NEAR(accuracy(4e9, 4, 128, 128), 0.6, 1e-12);
  // (log2(3) / 2)^-1.067 = 1.2817 (4 to 3 bits): 0.6^1.2817 = 0.5196
  EXPECT_NEAR(accuracy(4e9, 3, 128, 128), std::pow(0.6, std::pow(std::log2(3.0) / 2, -1.067)), 1e-12);
  EXPECT_NEAR(accuracy(4e9, 3, 128, 128), 0.51957, 1e-4);
  // From 8 to 1024 samples the response falls by (10/3)^-0.032 = 0.96221, from G 32 to 1024 it rises by 32^0.073
  // = 1.2879.
  EXPECT_NEAR(std::log(accuracy(4e9, 4, 1024, 128)) / std::log(accuracy(4e9, 4, 8, 128)), 0.96221, 1e-5);
  EXPECT_NEAR(std::log(accuracy(4e9, 4, 128, 1024)) / std::log(accuracy(4e9, 4, 128, 32)), 1.28788, 1e-5);
  // Eight times the parameters: 8^-0.359 = 0.47401.
  EXPECT_NEAR(std::log(accuracy(32e9, 4, 128, 128)) / std::log(accuracy(4e9, 4, 128, 128)), 0.47401, 1e-5);
}

TEST(FormulaLaw, RenamesCovariatesToColumns) {
  Value given, parameters, covariates, n;
  parameters.Set("A", Value::Map{});
  parameters.Set("a", Value::Map{});
  n.Set("column", "params_b");
  covariates.Set("N", n);
  given.Set("formula", "A * N^a");
  given.Set("parameters", parameters);
  given.Set("covariates", covariates);
  const FormulaLaw law("x", FormulaLaw::Schema().Resolve(given, "law 'formula'"));
  EXPECT_THAT(std::vector<std::string>(law.covariates().begin(), law.covariates().end()), ElementsAre("params_b"));
}

TEST(FormulaLaw, RefusesParametersThatTheFormulaLacks) {
  EXPECT_EQ(FaultOf([] {
              MakeFormula("A * N^alpha", {{"A", {0, 0}}, {"alhpa", {0, 0}}});
            }),
            "parameter 'alhpa' is not in the formula 'A * N^alpha'. Did you mean 'alpha'?");
  EXPECT_EQ(FaultOf([] {
              MakeFormula("A * N", {{"A", {2, 1}}});
            }),
            "parameter 'A' has min 2.0 and max 1.0. min must be smaller.");
  EXPECT_EQ(FaultOf([] { MakeFormula("A * (N", {{"A", {0, 0}}}); }), "'(' at character 5 of 'A * (N' is not closed.");
}

}  // namespace
}  // namespace bitlaw
