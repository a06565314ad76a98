#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/error.h"
#include "fit/estimate/law_fit.h"
#include "fit/examine/uncertainty.h"
#include "fit/solve/least_squares.h"
#include "fit/solve/nonlinear.h"
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
  Json problems = Golden("nonlinear.json")["problems"];
  const Json anchored = Golden("anchored.json");
  for (const Json& problem : anchored["problems"]) problems.push_back(problem);
  ASSERT_EQ(problems.size(), 5u);
  for (const Json& problem : problems) {
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

FitRows RowsOf(const Json& problem) {
  FitRows rows;
  for (const Json& row : problem["x"]) {
    for (const Json& value : row) rows.x.push_back(value);
  }
  rows.y.assign(problem["x"].size(), kUnset);
  if (problem.contains("y")) rows.y = problem["y"].get<std::vector<double>>();
  return rows;
}

TEST(WeightedLeastSquares, AgreesWithStatsmodels) {
  const Json problem = Golden("methods.json")["wls"];
  const FitRows rows = RowsOf(problem);
  const std::vector<double> weights = problem["weights"];
  const OlsResult fit = FitOls(rows.x, rows.y, ColumnNames(4), weights);
  for (size_t j = 0; j < 4; ++j) {
    ExpectClose(fit.coefficients[j].value, problem["coefficients"][j], 1e-8, "x" + std::to_string(j));
    ExpectClose(fit.coefficients[j].standard_error, problem["standard_errors"][j], 1e-8, "se" + std::to_string(j));
  }
  ExpectClose(fit.quality.r2, problem["r2"], 1e-8, "R2");
  ExpectClose(fit.quality.adjusted_r2, problem["adjusted_r2"], 1e-8, "adj. R2");
  ExpectClose(fit.f, problem["f"], 1e-8, "F");
  ExpectClose(fit.quality.log_likelihood, problem["log_likelihood"], 1e-8, "log L");
  ExpectClose(fit.quality.aic, problem["aic"], 1e-8, "AIC");
  ExpectClose(fit.quality.bic, problem["bic"], 1e-8, "BIC");
}

TEST(BinomialLikelihood, AgreesWithStatsmodels) {
  const Json problem = Golden("methods.json")["binomial"];
  const auto law = MakeLaw(problem["formula"], problem["parameters"], Json());
  FitRows rows = RowsOf(problem);
  rows.correct = problem["correct"].get<std::vector<double>>();
  rows.total = problem["total"].get<std::vector<double>>();
  rows.chance.assign(rows.size(), 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows.correct[i] > 0) rows.y[i] = -std::log(rows.correct[i] / rows.total[i]);
  }
  const ResponseInverse inverse("-log(acc_adj)");
  NonlinearOptions options;
  options.procedure.loss = FitProcedure::Loss::kBinomial;
  options.inverse = &inverse;
  const NonlinearResult fit = FitNonlinear(*law, rows, options);
  // GLM has ln A.
  ExpectClose(std::log(fit.parameters[0].value), problem["coefficients"][0], 1e-6, "ln A");
  ExpectClose(fit.parameters[0].standard_error / fit.parameters[0].value, problem["standard_errors"][0], 1e-6, "se");
  for (size_t j = 1; j < 5; ++j) {
    ExpectClose(fit.parameters[j].value, problem["coefficients"][j], 1e-6, "x" + std::to_string(j));
    ExpectClose(fit.parameters[j].standard_error, problem["standard_errors"][j], 1e-6, "se" + std::to_string(j));
  }
  ExpectClose(fit.quality.residual_variance, problem["dispersion"], 1e-8, "dispersion");
  ExpectClose(fit.objective, problem["deviance"], 1e-9, "deviance");
  ExpectClose(1 - fit.quality.r2, problem["deviance"].get<double>() / problem["null_deviance"].get<double>(), 1e-7,
              "R2");
  ExpectClose(fit.quality.log_likelihood, problem["log_likelihood"], 1e-9, "log L");
}

TEST(HuberLoss, AgreesWithScipy) {
  const Json problem = Golden("methods.json")["huber"];
  const auto law = MakeLaw(problem["formula"], problem["parameters"], problem["bounds"]);
  const FitRows rows = RowsOf(problem);
  for (const Json& golden : problem["fits"]) {
    NonlinearOptions options;
    options.procedure = {FitProcedure::Loss::kHuber, FitProcedure::Space::kLog, golden["delta"].get<double>()};
    const NonlinearResult fit = FitNonlinear(*law, rows, options);
    ExpectClose(fit.objective, golden["objective"], 1e-9, "objective");
    for (size_t j = 0; j < 5; ++j) {
      ExpectClose(fit.parameters[j].value, golden["estimate"][j], 1e-5, problem["parameters"][j]);
    }
  }
}

Table TableOf(const Json& problem) {
  Table table(problem["name"].get<std::string>());
  const std::vector<std::string> columns = problem["columns"];
  for (size_t j = 0; j < columns.size(); ++j) {
    std::vector<double> numbers;
    for (const Json& row : problem["x"]) numbers.push_back(row[j]);
    table.AddNumbers(columns[j], std::move(numbers));
  }
  table.AddNumbers("y", problem["y"].get<std::vector<double>>());
  return table;
}

TEST(ProfileIntervals, AgreeWithLmfit) {
  Json problem = Golden("methods.json")["profile"];
  problem["name"] = "profile";
  const auto law = MakeLaw(problem["formula"], problem["parameters"], Json());
  const Table table = TableOf(problem);
  const LawFit fit = FitLaw(*law, table, FitSettings());
  ASSERT_TRUE(fit.least_squares.has_value()) << fit.why_no_least_squares;
  for (const auto& [level, golden] : problem["intervals"].items()) {
    const FitProblem rows(*law, table, FitSettings(), FitProcedure());
    const auto intervals = ProfileIntervals(rows, *fit.least_squares, std::stod(level), 0);
    for (size_t j = 0; j < 3; ++j) {
      const std::string name = problem["parameters"][j];
      ExpectClose(fit.least_squares->parameters[j].standard_error, problem["standard_errors"][j], 1e-4, name);
      const double low = golden[name][0], high = golden[name][1];
      EXPECT_NEAR(intervals[j].low, low, 2e-3 * (high - low)) << name << " at " << level;
      EXPECT_NEAR(intervals[j].high, high, 2e-3 * (high - low)) << name << " at " << level;
    }
  }
}

// Digits in which `ours` agrees with a certified value: -log10 of the relative error, as NIST counts; of the error
// itself where 0 is certified.
double Digits(double ours, const Json& certified) {
  const double value = certified.get<double>();
  const double error = value == 0 ? std::fabs(ours) : std::fabs(ours - value) / std::fabs(value);
  return error == 0 ? 16 : std::isnan(error) ? -1 : -std::log10(error);
}

TEST(NistStrd, LinearProblemsReachEightDigits) {
  const Json golden = Golden("nist.json");
  ASSERT_EQ(golden["linear"].size(), 11u);
  for (const Json& problem : golden["linear"]) {
    const std::string name = problem["name"];
    const size_t k = problem["estimate"].size();
    std::vector<std::string> parameters;
    for (size_t j = 0; j < k; ++j) {
      const bool has_b0 = problem["formula"].get<std::string>().rfind("b0", 0) == 0;
      parameters.push_back("b" + std::to_string(has_b0 ? j : j + 1));
    }
    const auto law = MakeLaw(problem["formula"], parameters, Json());
    FitSettings settings;
    settings.random_starts = 0;
    const LawFit fit = FitLaw(*law, TableOf(problem), settings);
    ASSERT_TRUE(fit.ols.has_value()) << name << ": " << fit.why_no_ols;
    double digits = 16;
    for (size_t j = 0; j < k; ++j) {
      digits = std::min(digits, Digits(fit.ols->parameters[j].value, problem["estimate"][j]));
      digits = std::min(digits, Digits(fit.ols->parameters[j].standard_error, problem["standard_deviation"][j]));
    }
    digits = std::min(digits, Digits(fit.ols->quality.r2, problem["r2"]));
    digits = std::min(digits, Digits(std::sqrt(fit.ols->quality.residual_variance), problem["residual_sd"]));
    if (!problem["f"].is_null()) digits = std::min(digits, Digits(fit.ols_detail->f, problem["f"]));
    EXPECT_GT(digits, 8) << name;
    RecordProperty(name, std::to_string(digits));
  }
}

// From each of NIST's starts by themselves; where the iteration ends in another minimum, or nowhere, from that start
// and sixteen random ones. Digits are those of the parameters and of their standard deviations.
TEST(NistStrd, NonlinearProblemsReachSixDigitsFromBothStarts) {
  const Json golden = Golden("nist.json");
  ASSERT_EQ(golden["nonlinear"].size(), 27u);
  std::string multistarted;
  for (const Json& problem : golden["nonlinear"]) {
    const std::string name = problem["name"];
    const size_t k = problem["estimate"].size();
    std::vector<std::string> parameters;
    for (size_t j = 0; j < k; ++j) parameters.push_back("b" + std::to_string(j + 1));
    const auto law = MakeLaw(problem["formula"], parameters, Json());
    FitRows rows;
    for (const Json& row : problem["x"]) {
      for (const Json& value : row) rows.x.push_back(value);
    }
    rows.y = problem["y"].get<std::vector<double>>();
    if (problem["response"] == "log(y)") {
      for (double& y : rows.y) y = std::log(y);
    }
    for (size_t start = 0; start < 2; ++start) {
      const auto solve = [&](int random_starts) {
        NonlinearOptions options;
        options.max_iterations = 2000;
        options.random_starts = random_starts;
        options.given_starts = {{"NIST", problem["starts"][start].get<std::vector<double>>()}};
        double digits = 16;
        try {
          const NonlinearResult fit = FitNonlinear(*law, rows, options);
          for (size_t j = 0; j < k; ++j) {
            digits = std::min(digits, Digits(fit.parameters[j].value, problem["estimate"][j]));
            // Of Lanczos1 see below.
            if (name != "Lanczos1")
              digits = std::min(digits, Digits(fit.parameters[j].standard_error, problem["standard_deviation"][j]));
          }
          if (name != "Lanczos1")
            digits = std::min(digits, Digits(fit.quality.ssr, problem["residual_sum_of_squares"]));
        } catch (const Error&) {
          digits = -1;
        }
        return digits;
      };
      double digits = solve(0);
      if (digits < 6) {
        multistarted += (multistarted.empty() ? "" : " ") + name + "/" + std::to_string(start + 1);
        digits = solve(16);
      }
      EXPECT_GT(digits, 6) << name << " from start " << start + 1;
      RecordProperty(name + "_" + std::to_string(start + 1), std::to_string(digits));
    }
  }
  EXPECT_EQ(multistarted, "BoxBOD/1");
}

// Lanczos1 fits but for the rounding of its data to 13 digits: residuals are 1e-13, and a double of 2.5 is known to
// 4e-16. With 60 digits NIST's values come out to the last one from the printed data; but those data as doubles have a
// least sum of squares of 1.4296e-25, not the certified 1.4308e-25, and its evaluation in double adds as much again. So
// no program in double can reproduce more than two or three digits of its deviations, and two are asked for.
TEST(NistStrd, Lanczos1HasItsDeviationsAsFarAsDoublesGo) {
  const Json golden = Golden("nist.json");
  Json problem;
  for (const Json& one : golden["nonlinear"]) {
    if (one["name"] == "Lanczos1") problem = one;
  }
  ASSERT_FALSE(problem.is_null());
  const auto law = MakeLaw(problem["formula"], {"b1", "b2", "b3", "b4", "b5", "b6"}, Json());
  const FitRows rows = RowsOf(problem);
  for (size_t start = 0; start < 2; ++start) {
    NonlinearOptions options;
    options.max_iterations = 2000;
    options.random_starts = 0;
    options.given_starts = {{"NIST", problem["starts"][start].get<std::vector<double>>()}};
    const NonlinearResult fit = FitNonlinear(*law, rows, options);
    EXPECT_GT(Digits(fit.quality.ssr, problem["residual_sum_of_squares"]), 2) << fit.quality.ssr;
    for (size_t j = 0; j < 6; ++j) {
      EXPECT_GT(Digits(fit.parameters[j].standard_error, problem["standard_deviation"][j]), 2)
          << fit.parameters[j].standard_error;
    }
  }
}

}  // namespace
}  // namespace bitlaw
