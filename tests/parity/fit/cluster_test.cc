#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "fit/estimate/cluster_robust.h"
#include "fit/solve/least_squares.h"

namespace bitlaw {
namespace {

using Json = nlohmann::json;

struct Problem {
  std::vector<double> jacobian, residuals;
  RowUnits units;
  size_t k = 0;
  OlsResult ols;
};

Problem Fitted(const Json& golden) {
  Problem problem;
  problem.k = golden["x"][0].size();
  const std::vector<double> y = golden["y"], weights = golden["weights"];
  std::vector<double> design;
  std::vector<std::string> names;
  for (size_t j = 0; j < problem.k; ++j) names.push_back("x" + std::to_string(j));
  for (const Json& row : golden["x"]) {
    for (const Json& value : row) design.push_back(value);
  }
  problem.ols = FitOls(design, y, names, weights);
  problem.jacobian = design;
  problem.units.name = "model";
  for (size_t i = 0; i < y.size(); ++i) {
    const double root = weights.empty() ? 1 : std::sqrt(weights[i]);
    problem.residuals.push_back((problem.ols.fitted[i] - y[i]) * root);
    for (size_t j = 0; j < problem.k; ++j) problem.jacobian[i * problem.k + j] *= root;
    const auto unit = golden["units"][i].get<size_t>();
    while (problem.units.labels.size() <= unit) problem.units.labels.push_back(std::to_string(unit));
    problem.units.unit_of_row.push_back(unit);
  }
  return problem;
}

class ClusterRobustParity : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(std::string(BITLAW_FIT_GOLDENS) + "/cluster.json");
    ASSERT_TRUE(file.good());
    golden = Json::parse(file);
    ASSERT_EQ(golden["problems"].size(), 6u);
  }
  static ClusterRobust Robust(const Problem& problem) {
    return {problem.jacobian, problem.residuals, problem.units, std::vector<bool>(problem.k, true)};
  }
  static void ExpectClose(double ours, double theirs, const std::string& what) {
    EXPECT_NEAR(ours, theirs, 1e-8 * std::fabs(theirs)) << what;
  }
  Json golden;
};

TEST_F(ClusterRobustParity, Cr1AgreesWithStatsmodels) {
  for (const Json& one : golden["problems"]) {
    const std::string name = one["name"];
    const Problem problem = Fitted(one);
    const ClusterRobust robust = Robust(problem);
    const std::vector<double> theirs = one["cr1"];
    // What one unit alone determines (own intercepts) has no residual of its own: both print rounding there.
    for (size_t a = 0; a < problem.k; ++a) {
      for (size_t b = 0; b < problem.k; ++b) {
        if (one["df"][a].is_null() || one["df"][b].is_null()) continue;
        const double scale = std::sqrt(theirs[a * problem.k + a] * theirs[b * problem.k + b]);
        EXPECT_NEAR(robust.cr1()[a * problem.k + b], theirs[a * problem.k + b], 1e-8 * scale) << name << a << b;
      }
    }
  }
}

TEST_F(ClusterRobustParity, Cr2AndItsDegreesOfFreedomAgreeWithTheFormulas) {
  for (const Json& one : golden["problems"]) {
    const std::string name = one["name"];
    const Problem problem = Fitted(one);
    const ClusterRobust robust = Robust(problem);
    for (size_t j = 0; j < problem.k; ++j) {
      const std::string at = name + " x" + std::to_string(j);
      ExpectClose(problem.ols.coefficients[j].value, one["coefficients"][j], at);
      const RobustError error = robust.Error(j);
      if (one["df"][j].is_null()) {
        EXPECT_TRUE(std::isnan(error.error) && std::isnan(error.degrees_of_freedom)) << at;
        continue;
      }
      ExpectClose(error.error, one["cr2_errors"][j], at + " error");
      ExpectClose(error.degrees_of_freedom, one["df"][j], at + " degrees of freedom");
      ExpectClose(std::sqrt(robust.cr2()[j * problem.k + j]), one["cr2_errors"][j], at + " covariance");
    }
  }
}

TEST_F(ClusterRobustParity, TestsOfSeveralParametersAgreeWithTheFormulas) {
  for (const Json& one : golden["problems"]) {
    const std::string name = one["name"];
    const Problem problem = Fitted(one);
    const ClusterRobust robust = Robust(problem);
    for (const Json& theirs : one["tests"]) {
      const std::vector<size_t> columns = theirs["columns"];
      std::vector<double> contrasts(columns.size() * problem.k, 0), values;
      for (size_t s = 0; s < columns.size(); ++s) {
        contrasts[s * problem.k + columns[s]] = 1;
        values.push_back(problem.ols.coefficients[columns[s]].value);
      }
      const ClusterRobust::Test ours = robust.AreZero(contrasts, values);
      ASSERT_EQ(ours.why_none, "") << name;
      ExpectClose(ours.f, theirs["f"], name + " F");
      ExpectClose(ours.df2, theirs["df2"], name + " df2");
      EXPECT_NEAR(ours.p, theirs["p"].get<double>(), 1e-6 * theirs["p"].get<double>()) << name;
    }
  }
}

// With one hypothesis the F is the square of t, with its degrees of freedom.
TEST_F(ClusterRobustParity, OneHypothesisIsTheSquareOfT) {
  const Problem problem = Fitted(golden["problems"][1]);
  const ClusterRobust robust = Robust(problem);
  const double value = problem.ols.coefficients[1].value;
  const ClusterRobust::Test test = robust.AreZero(std::vector<double>{0, 1, 0, 0}, std::vector<double>{value});
  const RobustError error = robust.Error(1);
  EXPECT_NEAR(test.f, value * value / error.error / error.error, 1e-9 * test.f);
  EXPECT_NEAR(test.df2, error.degrees_of_freedom, 1e-9);
  EXPECT_NEAR(test.p, StudentP(value / error.error, error.degrees_of_freedom), 1e-12);
}

// The difference of a fit from itself is 0 without error; from one to twice the responses, the error of the fit.
TEST_F(ClusterRobustParity, WhatTwoFitsShareCancelsInTheirDifference) {
  const Problem problem = Fitted(golden["problems"][0]);
  Problem twice = problem;
  for (double& r : twice.residuals) r *= 2;
  const ClusterRobust one = Robust(problem), two = Robust(twice);
  EXPECT_NEAR(ClusterRobust::Difference(one, one, 2).error, 0, 1e-15);
  EXPECT_NEAR(ClusterRobust::Difference(one, one, 2).degrees_of_freedom, 7, 1e-9);
  EXPECT_NEAR(ClusterRobust::Difference(two, one, 2).error, one.Error(2).error, 1e-12);
  // Units with other names are other models: variances add up, 1 + 4, over twice as many units.
  for (std::string& label : twice.units.labels) label += " of another family";
  const RobustError apart = ClusterRobust::Difference(one, Robust(twice), 2);
  EXPECT_NEAR(apart.error, std::sqrt(5.0) * one.Error(2).error, 1e-12);
  EXPECT_NEAR(apart.degrees_of_freedom, 7 * 25.0 / 17, 1e-9);  // Welch: (1 + 4)^2 / (1 / 7 + 16 / 7)
}

TEST_F(ClusterRobustParity, TooFewUnitsForATestSaySo) {
  const Problem problem = Fitted(golden["problems"][5]);
  const ClusterRobust::Test test = Robust(problem).AreZero(
      std::vector<double>{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, std::vector<double>{1, 1, 1, 1});
  EXPECT_EQ(test.why_none, "the 4 units are too few to test 4 parameters at once");
  EXPECT_TRUE(std::isnan(test.p));
}

}  // namespace
}  // namespace bitlaw
