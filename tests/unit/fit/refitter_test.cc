#include "fit/refit/refitter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "fit/estimate/law_fit.h"
#include "fit/examine/uncertainty.h"
#include "fit/refit/replicates.h"
#include "fit/refit/resample.h"
#include "fit/solve/objective.h"
#include "laws_for_tests.h"
#include "support/planted_study.h"

namespace bitlaw {
namespace {

// 72 rows with counts, so that there are a binomial fit, OLS and least squares.
struct Fitted {
  std::unique_ptr<Law> law = FourFactorLaw();
  Table table;
  LawFit fit;
};
Fitted FitGrid(uint64_t seed) {
  Fitted fitted;
  Rng rng(seed);
  const auto grid = FullGrid({6e8, 4e9, 1.4e10}, {2, 3, 4, 8}, {8, 32, 128}, {32, 128});
  fitted.table = PlantedTable(*fitted.law, {900, -0.31, -0.96, -0.04, 0.06}, grid, 0.1, rng);
  std::vector<double> correct;
  for (const double accuracy : fitted.table.Numbers("acc_adj")) correct.push_back(std::round(1000 * accuracy));
  fitted.table.AddNumbers("correct", correct);
  fitted.table.AddNumbers("total", std::vector<double>(grid.size(), 1000));
  fitted.table.AddNumbers("chance", std::vector<double>(grid.size(), 0));
  fitted.fit = FitLaw(*fitted.law, fitted.table, FitSettings());
  return fitted;
}

std::vector<std::vector<double>> Draws(size_t count, uint32_t rows, uint64_t seed) {
  std::vector<std::vector<double>> draws;
  Rng rng(seed);
  for (size_t i = 0; i < count; ++i) {
    draws.emplace_back(rows, 0.0);
    DrawUnits(rng, rows, [&](uint32_t row) { ++draws.back()[row]; });
  }
  return draws;
}

TEST(RefitLanes, GivesTheSameBitsInEveryLaneAndBesideAnyOthers) {
  const Fitted fitted = FitGrid(1);
  ASSERT_EQ(fitted.fit.Methods().size(), 3u);
  for (const MethodFit* method : fitted.fit.Methods()) {
    const Refitter refitter(*fitted.law, fitted.table, FitSettings(), *method);
    const size_t n = refitter.rows().size();
    const auto draws = Draws(kLanes, static_cast<uint32_t>(n), 2);
    for (const size_t shift : {0, 3}) {
      std::vector<Lanes> times(n);
      for (size_t i = 0; i < n; ++i) {
        for (size_t lane = 0; lane < kLanes; ++lane) times[i].at[(lane + shift) % kLanes] = draws[lane][i];
      }
      std::vector<double> theta(kLanes * 5), one(5);
      const auto good = refitter.RefitLanes(times, theta);
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const size_t at = (lane + shift) % kLanes;
        ASSERT_TRUE(good[at]) << method->method() << lane;
        ASSERT_TRUE(refitter.Refit(draws[lane], one));
        for (size_t j = 0; j < 5; ++j) EXPECT_EQ(theta[at * 5 + j], one[j]) << method->method() << lane << j;
      }
    }
  }
}

// A lane without rows, one without bits that vary and one that is whole, side by side.
TEST(RefitLanes, RefusesOnlyWhatItsOwnLaneDoesNotDetermine) {
  const Fitted fitted = FitGrid(3);
  const std::vector<double>& bits = fitted.table.Numbers("B");
  for (const MethodFit* method : fitted.fit.Methods()) {
    const Refitter refitter(*fitted.law, fitted.table, FitSettings(), *method);
    std::vector<Lanes> times(bits.size(), Lanes{});
    for (size_t i = 0; i < bits.size(); ++i) {
      times[i].at[1] = bits[i] == 4;
      times[i].at[2] = 1;
    }
    std::vector<double> theta(kLanes * 5);
    const auto good = refitter.RefitLanes(times, theta);
    EXPECT_FALSE(good[0]) << method->method();
    EXPECT_TRUE(std::isnan(theta[0])) << method->method();
    if (method->method() == "ols") {
      EXPECT_FALSE(good[1]);
    }
    ASSERT_TRUE(good[2]) << method->method();
    for (size_t j = 0; j < 5; ++j)
      EXPECT_NEAR(theta[2 * 5 + j] / method->parameters[j].value, 1, 1e-6) << method->method() << j;
  }
}

// One to five columns: sums of 1 + 1 to 15 + 5 columns, in whole blocks and in parts of one.
TEST(RefitLanes, AgreesWithTheFitOfRepeatedRowsForAnyNumberOfColumns) {
  const Fitted fitted = FitGrid(4);
  std::string formula = "A";
  std::vector<std::pair<std::string, std::pair<double, double>>> parameters = {{"A", {0, 1e300}}};
  for (const std::string factor : {"", "N^alpha", "log2(B)^beta", "log2(Cb)^gamma", "G^delta"}) {
    if (!factor.empty()) {
      formula += " * " + factor;
      parameters.push_back({factor.substr(factor.find('^') + 1), {0, 0}});
    }
    const auto law = MakeFormula(formula, parameters);
    const size_t k = parameters.size();
    const LawFit fit = FitLaw(*law, fitted.table, FitSettings());
    const auto draws = Draws(1, static_cast<uint32_t>(fitted.table.rows()), 5);
    std::vector<size_t> rows;
    for (size_t i = 0; i < draws[0].size(); ++i) rows.insert(rows.end(), static_cast<size_t>(draws[0][i]), i);
    const LawFit repeated = FitLaw(*law, fitted.table.Rows(rows), FitSettings());
    for (const bool is_ols : {true, false}) {
      const Refitter refitter(*law, fitted.table, FitSettings(), is_ols ? *fit.ols : *fit.least_squares);
      const MethodFit& expected = is_ols ? *repeated.ols : *repeated.least_squares;
      std::vector<double> theta(k);
      ASSERT_TRUE(refitter.Refit(draws[0], theta)) << formula;
      for (size_t j = 0; j < k; ++j)
        EXPECT_NEAR(theta[j] / expected.parameters[j].value, 1, is_ols ? 1e-10 : 1e-6) << formula << j;
    }
  }
}

// Two sizes that differ by 3e-5: normal equations keep six digits of the exponent there, QR all that the rows have.
TEST(RefitLanes, KeepsItsDigitsWhereAResampleIsNearlyDegenerate) {
  const auto law = MakeFormula("A * N^alpha", {{"A", {0, 1e300}}, {"alpha", {0, 0}}});
  const std::vector<double> sizes = {1e8, 1e8 * (1 + 3e-5), 1e9, 1e10};
  std::vector<double> accuracy;
  for (const double n : sizes) accuracy.push_back(std::exp(-200 * std::pow(n, -0.3)));
  Table table("t");
  table.AddNumbers("N", sizes);
  table.AddNumbers("acc_adj", accuracy);
  const LawFit fit = FitLaw(*law, table, FitSettings());
  const Refitter refitter(*law, table, FitSettings(), *fit.ols);
  std::vector<double> theta(2);
  ASSERT_TRUE(refitter.Refit(std::vector<double>{50, 50, 0, 0}, theta));
  EXPECT_NEAR(theta[1], -0.3, 1e-9);
}

TEST(RefitLanes, OfTheResponseReachesTheMinimumThatADescentReaches) {
  const Fitted fitted = FitGrid(6);
  const Refitter refitter(*fitted.law, fitted.table, FitSettings(), *fitted.fit.least_squares);
  const LawRows rows = SelectRows(*fitted.law, fitted.table, RowOptions());
  const Objective objective(*fitted.law, rows.fit, FitProcedure());
  for (const auto& times : Draws(20, static_cast<uint32_t>(rows.fit.size()), 7)) {
    std::vector<double> theta(5);
    ASSERT_TRUE(refitter.Refit(times, theta));
    const Descent descent = Descend(objective, fitted.fit.least_squares->theta(), times);
    for (size_t j = 0; j < 5; ++j) EXPECT_NEAR(theta[j] / descent.theta[j], 1, 1e-6) << j;
  }
}

// Weights of 2 are rows that stand there twice.
TEST(RefitLanes, WeighsRowsOfTheResponse) {
  Fitted fitted = FitGrid(8);
  std::vector<double> weights, none(5), twice(5);
  for (size_t i = 0; i < fitted.table.rows(); ++i) weights.push_back(i % 3 == 0 ? 2 : 1);
  fitted.table.AddNumbers("w", weights);
  FitSettings weighted;
  weighted.weights = "w";
  const LawFit fit = FitLaw(*fitted.law, fitted.table, weighted);
  const Refitter with(*fitted.law, fitted.table, weighted, *fit.least_squares);
  const Refitter without(*fitted.law, fitted.table, FitSettings(), *fitted.fit.least_squares);
  ASSERT_TRUE(with.Refit({}, none));
  ASSERT_TRUE(without.Refit(weights, twice));
  for (size_t j = 0; j < 5; ++j) EXPECT_NEAR(none[j] / twice[j], 1, 1e-7) << j;
}

// Percentile ends are the quantiles of the sorted replicates, and BCa's move outwards with the level.
TEST(Bootstrap, GivesTheQuantilesOfItsReplicates) {
  const Fitted fitted = FitGrid(10);
  const Refitter refitter(*fitted.law, fitted.table, FitSettings(), *fitted.fit.ols);
  const std::vector<DerivedQuantity> derived = {ParseDerived("steep = exp(40 * gamma)"),
                                                ParseDerived("root = sqrt(gamma + 0.04)")};
  BootstrapOptions options;
  options.replicates = 501;
  std::vector<Interval> narrower(6, {1e300, -1e300});
  for (const double level : {0.1, 0.5, 0.9, 0.99}) {
    options.level = level;
    const auto report = Bootstrap(refitter, fitted.table, *fitted.fit.ols, options, derived);
    ASSERT_EQ(report.quantities.size(), 7u);
    for (size_t i = 0; i < 6; ++i) {
      const Uncertainty& one = report.quantities[i];
      std::vector<double> sorted;
      for (size_t at = i; at < report.replicate_values.size(); at += 7) sorted.push_back(report.replicate_values[at]);
      std::sort(sorted.begin(), sorted.end());
      const Interval levels = ExpandedLevels(level, report.units);
      EXPECT_EQ(one.percentile.low, Quantile(sorted, levels.low)) << one.name;
      EXPECT_EQ(one.percentile.high, Quantile(sorted, levels.high)) << one.name;
      EXPECT_LT(one.bca.low, std::min(one.bca.high, narrower[i].low)) << one.name << level;
      EXPECT_GT(one.bca.high, narrower[i].high) << one.name << level;
      narrower[i] = one.bca;
    }
    // gamma is below -0.04 in some replicates.
    EXPECT_TRUE(std::isnan(report.quantities[6].percentile.low));
    EXPECT_TRUE(std::isnan(report.quantities[6].bootstrap_error));
  }
}

// The draws of eight replicates side by side are those of DrawUnits(), for an odd number of rows too; 27 is not a
// multiple of 8.
TEST(Bootstrap, RefitsTheRowsThatDrawUnitsDraws) {
  const Fitted fitted = FitGrid(11);
  std::vector<size_t> rows(71);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = i + 1;
  for (const Table& table : {fitted.table, fitted.table.Rows(rows)}) {
    const LawFit fit = FitLaw(*fitted.law, table, FitSettings());
    const Refitter refitter(*fitted.law, table, FitSettings(), *fit.ols);
    BootstrapOptions options;
    options.replicates = 27;
    options.seed = 5;
    const auto report = Bootstrap(refitter, table, *fit.ols, options);
    ASSERT_EQ(report.replicate_values.size(), 27u * 5);
    for (uint64_t b = 0; b < 27; ++b) {
      std::vector<double> times(table.rows(), 0), theta(5);
      Rng rng = Rng(5).Fork(b);
      DrawUnits(rng, static_cast<uint32_t>(table.rows()), [&](uint32_t row) { ++times[row]; });
      ASSERT_TRUE(refitter.Refit(times, theta));
      for (size_t j = 0; j < 5; ++j) EXPECT_EQ(theta[j], report.replicate_values[b * 5 + j]) << b << j;
    }
  }
}

// Each of three units is taken with the frequency 1/3, and a replicate has as many as there are units.
TEST(DrawUnits, DrawsEachUnitAsOften) {
  Rng rng(9);
  std::vector<int> counts(3, 0);
  for (int replicate = 0; replicate < 10000; ++replicate) DrawUnits(rng, 3, [&](uint32_t unit) { ++counts.at(unit); });
  EXPECT_EQ(counts[0] + counts[1] + counts[2], 30000);
  for (const int count : counts) EXPECT_NEAR(count, 10000, 4 * std::sqrt(30000 * 2.0 / 9)) << count;
}

TEST(BcaLevels, TakesReplicatesThatRepeatTheEstimateForNeitherSide) {
  // 5 below, 5 above and 10 that are the estimate but for rounding: half are below, so nothing is shifted.
  std::vector<double> replicates(5, 0.5);
  replicates.insert(replicates.end(), 5, 1.5);
  replicates.insert(replicates.end(), 10, 1 - 1e-14);
  const Interval levels = BcaLevels(replicates, 1, 0, {0.05, 0.95});
  EXPECT_NEAR(levels.low, 0.05, 1e-12);
  EXPECT_NEAR(levels.high, 0.95, 1e-12);
}

// A knee of a thousandth of the scale, which is a millionth of the residuals, makes the objective a sum of absolute
// values: its edges, where a row's residual is 0, bend, and are followed or crawled along.
TEST(Descend, RefitsAHuberLikelihoodWithATinyKneeToResamples) {
  const auto law = MakeFormula(
      "E + A * N^-alpha + B * D^-beta",
      {{"E", {0, 20}}, {"A", {0, 1e300}}, {"alpha", {0, 2}}, {"B", {0, 1e300}}, {"beta", {0, 2}}}, "loss");
  const FitProcedure procedure = {FitProcedure::Loss::kHuberLikelihood, FitProcedure::Space::kLog, 1e-3};
  int same = 0, near = 0;
  for (const int seed : {5, 6, 7}) {
    FitRows rows;
    Rng rng(seed);
    for (size_t i = 0; i < 120; ++i) {
      const double n = 4e7 * std::pow(2, static_cast<double>(i % 10)), d = 1e9 * std::pow(2, static_cast<double>(i % 8));
      rows.x.insert(rows.x.end(), {n, d});
      const double loss = 1.8 + 480 * std::pow(n, -0.35) + 2100 * std::pow(d, -0.37);
      rows.y.push_back(loss * std::exp(0.01 * rng.Normal()));
    }
    ASSERT_EQ(law->covariates()[0], "N");
    const Objective objective(*law, rows, procedure, nullptr);
    const Descent all = Descend(objective, std::vector<double>{1.8, 480, 0.35, 2100, 0.37});
    ASSERT_TRUE(all.converged) << all.status;
    int iterations = 0;
    for (const auto& draw : Draws(20, 120, 6)) {
      const DescentOptions options = {.max_iterations = 200, .refine = false, .is_near = true};
      const Descent refit = Descend(objective, all.theta, draw, options);
      ASSERT_TRUE(refit.converged) << refit.status;
      iterations += refit.iterations;
      const Descent whole = Descend(objective, all.theta, draw);
      const double behind = refit.value - whole.value;
      same += std::fabs(behind) < 1e-4;
      near += std::fabs(behind) < 0.005;  // Of a log likelihood: a tenth of a standard error.
      EXPECT_LT(behind, 0.02);            // A fifth.
      if (behind > -1e-4) continue;
      // Two ends: at each as many rows lie within the knee as there are parameters, a corner from which all leads up.
      for (const Descent& end : {whole, Descend(objective, all.theta, draw, {.is_near = true})}) {
        int within = 0;
        for (size_t i = 0; i < 120; ++i)
          within += draw[i] != 0 && std::fabs(objective.Residual(end.theta, i, {})) <= 1e-3 * end.scale;
        EXPECT_TRUE(end.converged && within == 5) << end.status << ", " << within;
      }
    }
    if (seed == 5) {
      EXPECT_LT(iterations, 20 * 60);  // 20 * 160 along the tangents of the edges
    }
  }
  // Of the fifth design one draw has two ends, and one a flat edge, along which a refit stops early. 57 where one small
  // step is convergence.
  EXPECT_GE(same, 58);
  EXPECT_GE(near, 59);
}

}  // namespace
}  // namespace bitlaw
