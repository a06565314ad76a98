#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/error.h"
#include "fit/least_squares.h"
#include "fit/nonlinear.h"
#include "formula_law.h"

namespace bitlaw {
namespace {

using Json = nlohmann::json;

Json Golden(const std::string& name) {
  std::ifstream file(std::string(BITLAW_FIT_GOLDENS) + "/" + name);
  EXPECT_TRUE(file.good()) << name;
  return Json::parse(file);
}

void ExpectClose(double ours, const Json& theirs, double relative, const std::string& what) {
  if (theirs.is_null()) {
    EXPECT_TRUE(std::isnan(ours)) << what << " = " << ours;
    return;
  }
  const double value = theirs.get<double>();
  EXPECT_NEAR(ours, value, relative * std::max(std::fabs(value), 1e-300)) << what;
}

std::vector<std::string> ColumnNames(size_t count) {
  std::vector<std::string> names;
  for (size_t j = 0; j < count; ++j) names.push_back("x" + std::to_string(j));
  return names;
}

TEST(OlsParity, AgreesWithStatsmodels) {
  const Json golden = Golden("ols.json");
  ASSERT_EQ(golden["problems"].size(), 8u);
  for (const Json& problem : golden["problems"]) {
    const std::string name = problem["name"];
    std::vector<double> design;
    for (const Json& row : problem["x"]) {
      for (const Json& value : row) design.push_back(value);
    }
    const std::vector<double> y = problem["y"];
    const size_t k = problem["x"][0].size();
    const OlsResult fit = FitOls(design, y, ColumnNames(k));
    EXPECT_EQ(fit.has_constant, problem["has_constant"].get<bool>()) << name;
    for (size_t j = 0; j < k; ++j) {
      const std::string at = name + " x" + std::to_string(j);
      ExpectClose(fit.coefficients[j].value, problem["coefficients"][j], 1e-8, at);
      ExpectClose(fit.coefficients[j].standard_error, problem["standard_errors"][j], 1e-8, at + " se");
      ExpectClose(fit.coefficients[j].t, problem["t"][j], 1e-8, at + " t");
      ExpectClose(fit.coefficients[j].p, problem["p"][j], 1e-8, at + " p");
    }
    for (size_t i = 0; i < k * k; ++i)
      ExpectClose(fit.covariance[i], problem["covariance"][i], 1e-8, name + " covariance");
    if (fit.df_model > 0) {
      ExpectClose(fit.f, problem["f"], 1e-8, name + " F");
      ExpectClose(fit.f_p, problem["f_p"], 1e-8, name + " p(F)");
    }
    ExpectClose(fit.quality.ssr, problem["ssr"], 1e-8, name + " SSR");
    if (k > 1 || !fit.has_constant) {
      ExpectClose(fit.quality.r2, problem["r2"], 1e-8, name + " R2");
      ExpectClose(fit.quality.adjusted_r2, problem["adjusted_r2"], 1e-8, name + " adj. R2");
    }
    ExpectClose(fit.quality.log_likelihood, problem["log_likelihood"], 1e-8, name + " log L");
    ExpectClose(fit.quality.aic, problem["aic"], 1e-8, name + " AIC");
    ExpectClose(fit.quality.bic, problem["bic"], 1e-8, name + " BIC");
  }
}

std::unique_ptr<FormulaLaw> MakeLaw(const std::string& formula, const std::vector<std::string>& parameters,
                                    const Json& bounds) {
  Value given, map;
  for (size_t j = 0; j < parameters.size(); ++j) {
    Value one = Value::Map{};
    if (!bounds.is_null()) {
      one.Set("min", bounds[j][0].get<double>());
      one.Set("max", bounds[j][1].get<double>());
    }
    map.Set(parameters[j], std::move(one));
  }
  given.Set("formula", formula);
  given.Set("response", "y");
  given.Set("parameters", std::move(map));
  return std::make_unique<FormulaLaw>("golden", FormulaLaw::Schema().Resolve(given, "law 'formula'"));
}

TEST(NonlinearParity, AgreesWithScipyFromRandomStartsAlone) {
  const Json golden = Golden("nonlinear.json");
  ASSERT_EQ(golden["problems"].size(), 3u);
  for (const Json& problem : golden["problems"]) {
    const std::string name = problem["name"];
    const auto law = MakeLaw(problem["formula"], problem["parameters"], problem["bounds"]);
    ASSERT_EQ(std::vector<std::string>(law->covariates().begin(), law->covariates().end()),
              problem["columns"].get<std::vector<std::string>>());
    FitRows rows;
    for (const Json& row : problem["x"]) {
      for (const Json& value : row) rows.x.push_back(value);
    }
    rows.y = problem["y"].get<std::vector<double>>();
    const NonlinearResult fit = FitNonlinear(*law, rows, NonlinearOptions());
    ExpectClose(fit.quality.ssr, problem["ssr"], 1e-9, name + " SSR");
    ExpectClose(fit.quality.r2, problem["r2"], 1e-9, name + " R2");
    for (size_t j = 0; j < fit.parameters.size(); ++j) {
      const std::string at = name + " " + problem["parameters"][j].get<std::string>();
      ExpectClose(fit.parameters[j].value, problem["estimate"][j], 1e-6, at);
      ExpectClose(fit.parameters[j].standard_error, problem["standard_errors"][j], 1e-6, at + " se");
    }
    EXPECT_GE(fit.agreeing, 4u) << name;
  }
}

TEST(NistStrd, LinearProblemsReachTheirCertifiedValues) {
  const Json golden = Golden("nist.json");
  const std::map<std::string, double> tolerance = {
      {"Norris", 1e-12}, {"Longley", 1e-10}, {"Filip", 1e-6}, {"Wampler4", 1e-10}};
  ASSERT_EQ(golden["linear"].size(), tolerance.size());
  for (const Json& problem : golden["linear"]) {
    const std::string name = problem["name"];
    const int degree = problem["polynomial_degree"];
    const size_t k = problem["estimate"].size();
    std::vector<double> design;
    for (const Json& row : problem["x"]) {
      design.push_back(1);
      if (degree > 0) {
        // The powers are rounded once.
        long double power = 1;
        for (int j = 1; j <= degree; ++j) {
          power *= row[0].get<double>();
          design.push_back(static_cast<double>(power));
        }
      } else {
        for (const Json& value : row) design.push_back(value);
      }
    }
    const std::vector<double> y = problem["y"];
    const OlsResult fit = FitOls(design, y, ColumnNames(k));
    double worst = 0;
    for (size_t j = 0; j < k; ++j) {
      const double certified = problem["estimate"][j], deviation = problem["standard_deviation"][j];
      worst = std::max({worst, std::fabs(fit.coefficients[j].value / certified - 1),
                        std::fabs(fit.coefficients[j].standard_error / deviation - 1)});
    }
    EXPECT_LT(worst, tolerance.at(name)) << name;
    RecordProperty(name + "_digits", std::to_string(-std::log10(worst)));
    if (problem.contains("r2")) ExpectClose(fit.quality.r2, problem["r2"], 1e-13, name + " R2");
    if (problem.contains("residual_sd")) {
      ExpectClose(std::sqrt(fit.quality.residual_variance), problem["residual_sd"], 1e-12,
                  name + " residual deviation");
    }
    if (problem.contains("f")) ExpectClose(fit.f, problem["f"], 1e-12, name + " F");
  }
}

TEST(NistStrd, NonlinearProblemsReachTheirCertifiedValuesFromBothStarts) {
  const Json golden = Golden("nist.json");
  ASSERT_EQ(golden["nonlinear"].size(), 3u);
  for (const Json& problem : golden["nonlinear"]) {
    const std::string name = problem["name"];
    std::vector<std::string> parameters;
    for (size_t j = 0; j < problem["estimate"].size(); ++j) parameters.push_back("b" + std::to_string(j + 1));
    const auto law = MakeLaw(problem["formula"], parameters, Json());
    FitRows rows;
    rows.x = problem["x"].get<std::vector<double>>();
    rows.y = problem["y"].get<std::vector<double>>();
    for (size_t start = 0; start < 2; ++start) {
      NonlinearOptions options;
      options.random_starts = 0;
      options.given_starts = {{"NIST", problem["starts"][start].get<std::vector<double>>()}};
      const NonlinearResult fit = FitNonlinear(*law, rows, options);
      ExpectClose(fit.quality.ssr, problem["residual_sum_of_squares"], 1e-9, name);
      for (size_t j = 0; j < parameters.size(); ++j) {
        const std::string at = name + " start " + std::to_string(start + 1) + " " + parameters[j];
        ExpectClose(fit.parameters[j].value, problem["estimate"][j], 1e-7, at);
        ExpectClose(fit.parameters[j].standard_error, problem["standard_deviation"][j], 1e-7, at + " deviation");
      }
    }
  }
}

}  // namespace
}  // namespace bitlaw
