#include "fit/examine/analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "fit/law/null_law.h"
#include "fit/output/fit_output.h"
#include "laws_for_tests.h"
#include "support/planted_study.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Observations of strata with planted laws: 3 sizes x 3 bits x 2 calibrations x 2 groups, chance 0.25.
Table Observations(const std::vector<PlantedStratum>& strata, double noise, uint64_t seed) {
  Rng rng(seed);
  PlantedObservations planted;
  planted.noise = noise;
  return ObservationsOf(*FourFactorLaw(), strata, FullGrid({6e8, 4e9, 1.4e10}, {3, 4, 8}, {8, 128}, {32, 128}), planted,
                        rng);
}

const std::vector<PlantedStratum> kTwoStrata = {{"KM", 2, {900, -0.31, -0.96, -0.04, 0.06}},
                                                {"KR", 2, {900, -0.31, -1.50, -0.04, 0.06}}};

struct Fitted {
  std::unique_ptr<Law> law;
  Table table;
  FitSettings settings;
  LawFit fit;
};

Fitted FitPool(double noise, uint64_t seed) {
  Fitted fitted;
  fitted.law = FourFactorLaw();
  fitted.table = SplitStrata(Observations(kTwoStrata, noise, seed)).strata[0].table;
  fitted.settings.threads = 1;
  fitted.fit = FitLaw(*fitted.law, fitted.table, fitted.settings);
  return fitted;
}

TEST(Refitter, GivesTheSolutionOfTheSameRowsBack) {
  const Fitted fitted = FitPool(0.1, 1);
  for (const MethodFit* method : fitted.fit.Methods()) {
    const Refitter refitter(*fitted.law, fitted.table, fitted.settings, *method);
    std::vector<double> theta(5);
    ASSERT_TRUE(refitter.Refit({}, theta)) << method->method();
    for (size_t j = 0; j < 5; ++j)
      EXPECT_NEAR(theta[j], method->parameters[j].value, 1e-5 * std::fabs(theta[j])) << method->method() << j;
  }
}

// A row that counts twice is a row that stands there twice.
TEST(Refitter, CountsARowAsOftenAsItsMultiplicity) {
  const Fitted fitted = FitPool(0.1, 2);
  std::vector<double> multiplicity(fitted.table.rows(), 1);
  std::vector<size_t> rows;
  for (size_t row = 0; row < fitted.table.rows(); ++row) {
    multiplicity[row] = static_cast<double>(row % 3);
    for (size_t times = 0; times < row % 3; ++times) rows.push_back(row);
  }
  const LawFit twice = FitLaw(*fitted.law, fitted.table.Rows(rows), fitted.settings);
  const Refitter refitter(*fitted.law, fitted.table, fitted.settings, *fitted.fit.ols);
  std::vector<double> theta(5);
  ASSERT_TRUE(refitter.Refit(multiplicity, theta));
  for (size_t j = 0; j < 5; ++j) EXPECT_NEAR(theta[j] / twice.ols->parameters[j].value, 1, 1e-10) << j;
}

TEST(Refitter, RefusesAResampleThatLosesAFactor) {
  const Fitted fitted = FitPool(0.1, 3);
  const std::vector<double>& bits = fitted.table.Numbers("B");
  std::vector<double> multiplicity;
  for (const double b : bits) multiplicity.push_back(b == 4);
  const Refitter refitter(*fitted.law, fitted.table, fitted.settings, *fitted.fit.ols);
  std::vector<double> theta(5);
  EXPECT_FALSE(refitter.Refit(multiplicity, theta));
  EXPECT_TRUE(std::isnan(theta[0]));
}

TEST(Bootstrap, DoesNotDependOnTheNumberOfThreads) {
  const Fitted fitted = FitPool(0.1, 4);
  for (const MethodFit* method : fitted.fit.Methods()) {
    const Refitter refitter(*fitted.law, fitted.table, fitted.settings, *method);
    BootstrapOptions options;
    options.replicates = 120;
    options.threads = 1;
    const auto one = Bootstrap(refitter, fitted.table, *method, options);
    options.threads = 3;
    const auto three = Bootstrap(refitter, fitted.table, *method, options);
    EXPECT_EQ(one.replicate_values, three.replicate_values) << method->method();
    EXPECT_EQ(one.quantities[1].bca.low, three.quantities[1].bca.low) << method->method();
  }
}

// Noise of 0.1 on 36 rows: the bootstrap of trials agrees with the closed form of OLS.
TEST(Bootstrap, AgreesWithTheStandardErrorsOfOls) {
  const Fitted fitted = FitPool(0.1, 5);
  const Refitter refitter(*fitted.law, fitted.table, fitted.settings, *fitted.fit.ols);
  BootstrapOptions options;
  options.replicates = 4000;
  const DerivedQuantity doubling = ParseDerived("doubling = 2^alpha");
  const auto report = Bootstrap(refitter, fitted.table, *fitted.fit.ols, options, {&doubling, 1});
  ASSERT_EQ(report.quantities.size(), 6u);
  EXPECT_EQ(report.failed, 0);
  for (size_t j = 1; j < 5; ++j) {
    const Uncertainty& one = report.quantities[j];
    // The bootstrap's expectation is smaller by sqrt((n - k) / n) = 0.93; leverage and chance do the rest.
    EXPECT_NEAR(one.bootstrap_error / fitted.fit.ols->parameters[j].standard_error, 0.93, 0.2) << one.name;
    EXPECT_LT(one.bca.low, one.value) << one.name;
    EXPECT_GT(one.bca.high, one.value) << one.name;
  }
  // d 2^alpha = ln 2 2^alpha d alpha
  const double alpha = fitted.fit.ols->parameters[1].value;
  EXPECT_NEAR(report.quantities[5].value, std::pow(2, alpha), 1e-12);
  EXPECT_NEAR(report.quantities[5].delta_error,
              std::log(2.0) * std::pow(2, alpha) * fitted.fit.ols->parameters[1].standard_error, 1e-12);
}

TEST(Bootstrap, DrawsWholeClustersAndSaysWhenTheyAreTooFew) {
  const Fitted fitted = FitPool(0.1, 6);
  const Refitter refitter(*fitted.law, fitted.table, fitted.settings, *fitted.fit.ols);
  BootstrapOptions options;
  options.replicates = 200;
  options.unit = "G";
  const auto report = Bootstrap(refitter, fitted.table, *fitted.fit.ols, options);
  EXPECT_EQ(report.units, 2u);
  // One group size alone, every second resample, does not determine delta.
  EXPECT_NEAR(report.failed, 100, 25);
  EXPECT_THAT(report.note, HasSubstr("resamples by G do not determine the parameters: no interval is given"));
}

// With A = 1e6 the law says acc_adj = 0 in every row, whatever the exponents: no resample can move them.
TEST(Bootstrap, SaysSoWhereTheObjectiveIsFlat) {
  Fitted fitted = FitPool(0.1, 19);
  ASSERT_TRUE(fitted.fit.binomial.has_value());
  MethodFit flat = *fitted.fit.binomial;
  const std::vector<double> theta = {1e6, 0, 0, 0, 0};
  for (size_t j = 0; j < 5; ++j) flat.parameters[j].value = theta[j];
  const Refitter refitter(*fitted.law, fitted.table, fitted.settings, flat);
  BootstrapOptions options;
  options.replicates = 50;
  const auto report = Bootstrap(refitter, fitted.table, flat, options);
  EXPECT_EQ(report.failed, 50);
  EXPECT_EQ(report.note, "50 of 50 resamples by trials do not determine the parameters: no interval is given");
  EXPECT_TRUE(std::isnan(report.quantities[1].bca.low));
}

TEST(Bootstrap, OfItemsSpreadsAsTheCountsDo) {
  const Fitted fitted = FitPool(0, 7);
  const Refitter refitter(*fitted.law, fitted.table, fitted.settings, *fitted.fit.ols);
  BootstrapOptions options;
  options.replicates = 400;
  options.unit = "items";
  const auto report = Bootstrap(refitter, fitted.table, *fitted.fit.ols, options);
  // Without scatter OLS sees none; the items still have theirs.
  EXPECT_LT(fitted.fit.ols->parameters[1].standard_error, 1e-8);
  EXPECT_GT(report.quantities[1].bootstrap_error, 0.005);
  EXPECT_LT(report.quantities[1].bootstrap_error, 0.1);
  EXPECT_EQ(report.note,
            "items drawn for each row by itself, BCa without acceleration: single items are not in the table");
}

TEST(Quantile, InterpolatesAsRDoes) {
  const std::vector<double> sorted = {1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.25), 1.75);  // R: quantile(1:4, 0.25)
  EXPECT_DOUBLE_EQ(Quantile(sorted, 1), 4);
}

TEST(ParseDerived, RefusesATextWithoutAName) {
  try {
    ParseDerived("2^alpha");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "derived quantity '2^alpha' is not of the form name = expression.");
  }
}

TEST(Validation, PredictsEachRowByAFitWithoutIt) {
  const Fitted fitted = FitPool(0.1, 8);
  const Refitter refitter(*fitted.law, fitted.table, fitted.settings, *fitted.fit.ols);
  const auto result = Validate(refitter, "leave one out", OneByOne(refitter), 0.9, 0, 2);
  EXPECT_EQ(result.fits, 36u);
  EXPECT_EQ(result.fit_rows, 35u);
  EXPECT_EQ(result.validation_rows, 36u);
  // PRESS from the leverages of one fit: e_i / (1 - h_i), in units of ln of the response.
  double by_hand = 0;
  for (size_t i = 0; i < result.rows.size(); ++i) {
    std::vector<double> multiplicity(36, 1), theta(5);
    multiplicity[result.rows[i]] = 0;
    ASSERT_TRUE(refitter.Refit(multiplicity, theta));
    EXPECT_DOUBLE_EQ(result.predicted[i], refitter.Predict(theta, result.rows[i]));
    by_hand += std::fabs(refitter.PredictAccuracy(theta, result.rows[i]) - refitter.Accuracy(result.rows[i])) / 36;
  }
  EXPECT_NEAR(result.accuracy_mae, by_hand, 1e-12);
  EXPECT_LT(result.accuracy_mae_interval.low, result.accuracy_mae);
  EXPECT_GT(result.accuracy_mae_interval.high, result.accuracy_mae);
}

TEST(Validation, HoldsOutByConditionAndByColumn) {
  const Fitted fitted = FitPool(0.05, 9);
  const Refitter refitter(*fitted.law, fitted.table, fitted.settings, *fitted.fit.ols);
  EXPECT_THAT(UsualHoldOuts(refitter, fitted.table, {}), ElementsAre("N == 1.4e+10", "B == 3"));
  const auto low = Validate(refitter, "b", HoldOut(refitter, fitted.table, "B == 3"), 0.9, 0, 1);
  EXPECT_EQ(low.fit_rows, 24u);
  EXPECT_EQ(low.validation_rows, 12u);
  const auto sizes = Validate(refitter, "n", FoldsBy(refitter, fitted.table, "N"), 0.9, 0, 1);
  EXPECT_EQ(sizes.fits, 3u);
  EXPECT_EQ(sizes.validation_rows, 36u);
  const auto none = Validate(refitter, "x", HoldOut(refitter, fitted.table, "B == 5"), 0.9, 0, 1);
  EXPECT_EQ(none.why_none, "no row is held out");
  const auto all = Validate(refitter, "x", HoldOut(refitter, fitted.table, "B > 0"), 0.9, 0, 1);
  EXPECT_EQ(all.why_none, "0 rows are left for 5 parameters");
  const auto bits = Validate(refitter, "x", HoldOut(refitter, fitted.table, "B != 4"), 0.9, 0, 1);
  EXPECT_EQ(bits.why_none, "the rows left do not determine the parameters");
}

TEST(NestedF, IsTheRatioOfMeanSquares) {
  const FitQuality small = QualityOf(30, 3, 12, 100), large = QualityOf(30, 5, 10, 100);
  const NestedTest test = NestedF(small, large);
  EXPECT_DOUBLE_EQ(test.value, (2.0 / 2) / (10.0 / 25));  // 2.5
  EXPECT_NEAR(test.p, std::pow(1.2, -12.5), 1e-12);       // For 2 and 25: (1 + 2 F / 25)^(-25 / 2)
}

TEST(LikelihoodRatio, IsTheLogarithmOfTheSumsOfSquares) {
  const FitQuality small = QualityOf(30, 3, 12, 100), large = QualityOf(30, 5, 10, 100);
  const NestedTest test = LikelihoodRatio(small, large);
  EXPECT_DOUBLE_EQ(test.value, 30 * std::log(1.2));
  EXPECT_NEAR(test.p, std::exp(-test.value / 2), 1e-12);  // chi squared with 2 degrees of freedom
}

TEST(Ablations, AddGroupSizeAndCalibrationInTurn) {
  const Fitted fitted = FitPool(0.01, 10);
  const auto steps = Ablations(*fitted.law, fitted.table, fitted.settings);
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].factors, "N, B");
  EXPECT_EQ(steps[1].factors, "N, B, G");
  EXPECT_EQ(steps[2].factors, "N, B, G, Cb");
  EXPECT_LT(steps[1].added.p, 1e-6);  // delta is planted at 0.06
  EXPECT_NEAR(steps[2].quality.adjusted_r2, fitted.fit.ols->quality.adjusted_r2, 1e-12);
}

TEST(TestParameters, AcceptsWhatIsPlantedAndRefusesWhatIsNot) {
  const Fitted fitted = FitPool(0.05, 11);
  const NestedTest planted =
      TestParameters(*fitted.law, fitted.table, fitted.settings, {kUnset, -0.31, kUnset, kUnset, kUnset});
  EXPECT_EQ(planted.small, "alpha = -0.31");
  EXPECT_GT(planted.p, 0.01);
  EXPECT_LT(TestParameters(*fitted.law, fitted.table, fitted.settings, {kUnset, 0, kUnset, kUnset, kUnset}).p, 1e-6);
}

TEST(ChowTest, SeesDifferentExponentsAndEqualOnes) {
  const Fitted fitted = FitPool(0.05, 12);
  const ChowTest same = Chow(*fitted.law, fitted.table, fitted.settings, "family");
  ASSERT_EQ(same.why_none, "");
  EXPECT_EQ(same.sizes[0] + same.sizes[1], 36u);
  EXPECT_GT(same.chow.p, 0.01);
  EXPECT_EQ(same.chow.df1, 5);
  EXPECT_EQ(same.chow.df2, 26);
  EXPECT_EQ(same.exponents.df1, 4);
  const Table both = Observations(kTwoStrata, 0.05, 12);
  const ChowTest other = Chow(*fitted.law, both, fitted.settings, "stratum");
  EXPECT_LT(other.chow.p, 1e-6);
  EXPECT_LT(other.exponents.p, 1e-6);
  ASSERT_EQ(other.shared_coefficients.size(), 6u);
  EXPECT_EQ(other.shared_coefficients[5].name, "1 [KR]");
}

TEST(ChowTest, ExplainsAGroupThatLacksAFactor) {
  const Fitted fitted = FitPool(0.05, 12);
  const ChowTest test = Chow(*fitted.law, fitted.table, fitted.settings, "G");
  EXPECT_EQ(test.why_none, "");
  EXPECT_EQ(test.why_no_separate, "32: the columns of the design are collinear: log(G) = 3.46574 * 1 in all 18 rows");
  EXPECT_EQ(test.dropped, std::vector<std::string>{"log(G)"});
}

TEST(CompareLaws, PutsTheTrueLawFirstAndTestsNestedOnes) {
  const Fitted fitted = FitPool(0.02, 13);
  const auto small = MakeFormula("A * N^alpha * log2(B)^beta", {{"A", {0, 0}}, {"alpha", {0, 0}}, {"beta", {0, 0}}});
  const std::vector<const Law*> laws = {small.get(), fitted.law.get()};
  FitSettings settings;
  settings.chance_rule = ChanceRule::kExclude;
  const LawComparison comparison = CompareLaws(laws, fitted.table, settings);
  ASSERT_EQ(comparison.laws.size(), 2u);
  EXPECT_EQ(comparison.rows, 36u);
  EXPECT_EQ(SpaceName(comparison.procedure), "log response");
  EXPECT_EQ(comparison.laws[0].law, fitted.law->name());
  EXPECT_EQ(comparison.laws[0].delta_aicc, 0);
  EXPECT_NEAR(comparison.laws[0].weight + comparison.laws[1].weight, 1, 1e-12);
  EXPECT_NEAR(comparison.laws[1].weight / comparison.laws[0].weight, std::exp(-comparison.laws[1].delta_aicc / 2),
              1e-12);
  EXPECT_LT(comparison.laws[0].folds.accuracy_rmse, comparison.laws[1].folds.accuracy_rmse);
  ASSERT_EQ(comparison.nested.size(), 1u);
  EXPECT_LT(comparison.nested[0].p, 1e-6);
  EXPECT_EQ(comparison.nested[0].df1, 2);
}

TEST(TestStrata, RanksTheStratumWithTheLargerExponentFirst) {
  const Table table = Observations(kTwoStrata, 0.03, 14);
  const auto law = FourFactorLaw();
  FitSettings settings;
  settings.bootstrap = 300;
  const StrataTests tests = TestStrata(*law, table, SplitStrata(table), settings);
  EXPECT_EQ(tests.why_none, "");
  ASSERT_EQ(tests.rankings.size(), 4u);
  EXPECT_EQ(tests.rankings[1].parameter, "beta");
  EXPECT_EQ(tests.rankings[1].places[0].stratum, "KR");
  EXPECT_LT(tests.rankings[1].pairs[0].p, 1e-6);
  EXPECT_GT(tests.rankings[0].pairs[0].p, 1e-3);  // alpha is the same
  // Two strata of two tasks have three groupings; the observed one and its mirror are a third of the permutations.
  ASSERT_EQ(tests.permutation.size(), 4u);
  EXPECT_NEAR(tests.permutation[1].p, 1.0 / 3, 0.06);
}

TEST(Regimes, ShowZonesSideBySideAndFlagCollapse) {
  const auto law = FourFactorLaw();
  Table table = SplitStrata(Observations({{"KM", 2, {900, -0.31, -0.96, -0.04, 0.06}}}, 0.01, 15)).strata[0].table;
  // At 3 bits accuracy becomes noise: nothing is left of the law.
  Table collapsed(table.origin());
  Rng rng(16);
  for (TableColumn column : table.columns()) {
    if (column.name == "acc_adj") {
      for (size_t row = 0; row < table.rows(); ++row) {
        if (table.Numbers("B")[row] == 3) column.numbers[row] = 0.05 + 0.02 * rng.Uniform();
      }
    }
    collapsed.Add(column);
  }
  const std::vector<Zone> zones = Regimes(*law, collapsed, FitSettings());
  ASSERT_EQ(zones.size(), 3u);
  EXPECT_EQ(zones[0].name, "B == 3");
  EXPECT_EQ(zones[0].rows, 12u);
  EXPECT_FALSE(zones[0].flags.empty());
  EXPECT_TRUE(zones[2].flags.empty());
  EXPECT_GT(zones[2].adjusted_r2, 0.99);
  ASSERT_EQ(zones[2].exponents.size(), 3u);  // Without B.
  EXPECT_NEAR(zones[2].exponents[0].value, -0.31, 0.03);
}

TEST(Analyze, WritesJsonForEverything) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  const Table table = Observations(kTwoStrata, 0.05, 17);
  FitSettings settings;
  settings.bootstrap = 50;
  settings.permutations = 50;
  settings.profile = true;
  const FitReport report = FitLaws(laws, table, settings);
  const Value json = AnalysisJson(Analyze(laws, table, settings, report));
  ASSERT_NE(json.Find("laws"), nullptr);
  EXPECT_EQ(json.Find("laws")->AsList().size(), 3u);
  EXPECT_EQ(json.Find("strata")->AsList().size(), 1u);
  EXPECT_THAT(json.CanonicalJson(), HasSubstr("\"scheme\":\"5-fold\""));
  // The loss against the unquantized model stands beside the law.
  EXPECT_EQ(report.fits[0].nulls.back().law, "loss against 16 bits");
  EXPECT_TRUE(report.fits[0].nulls.back().least_squares.has_value());
}

// A foreign table with trials, tasks and strata, whose accuracies are not adjusted for chance.
TEST(Analyze, TakesATableWithAccuraciesAndChance) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  const Table adjusted = Observations(kTwoStrata, 0.05, 20);
  Table plain("plain");
  for (TableColumn column : adjusted.columns()) {
    if (column.name == "acc_adj") continue;
    if (column.name == "value") column.name = "acc";
    plain.Add(std::move(column));
  }
  FitSettings settings;
  settings.bootstrap = 50;
  settings.permutations = 50;
  double p[2];
  for (const bool is_plain : {false, true}) {
    const Table* table = is_plain ? &plain : &adjusted;
    const AnalysisReport analysis = Analyze(laws, *table, settings, FitLaws(laws, *table, settings));
    ASSERT_EQ(analysis.strata.size(), 1u);
    ASSERT_EQ(analysis.strata[0].permutation.size(), 4u) << analysis.strata[0].why_no_permutation;
    p[is_plain] = analysis.strata[0].permutation[1].p;
  }
  EXPECT_EQ(p[0], p[1]);
}

TEST(Analyze, GivesDerivedQuantitiesToTheLawsThatHaveTheirParameters) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  laws.push_back(MakeFormula("C * N^a", {{"C", {0, 1e300}}, {"a", {0, 0}}}));
  const Table table = Observations(kTwoStrata, 0.05, 21);
  FitSettings settings;
  settings.bootstrap = 30;
  settings.permutations = 0;
  settings.derived = {ParseDerived("doubling = 2^alpha"), ParseDerived("two = 2")};
  const AnalysisReport analysis = Analyze(laws, table, settings, FitLaws(laws, table, settings));
  ASSERT_EQ(analysis.laws.size(), 6u);
  EXPECT_EQ(analysis.laws[0].uncertainty.quantities.size(), 7u);
  EXPECT_EQ(analysis.laws[3].uncertainty.quantities.size(), 3u);
  EXPECT_EQ(analysis.laws[3].uncertainty.quantities[2].name, "two");
  settings.derived = {ParseDerived("doubling = 2^alfa")};
  try {
    Analyze(laws, table, settings, FitLaws(laws, table, settings));
    FAIL() << "no law has alfa";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "'alfa' at character 3 of '2^alfa' is not a known parameter. Known: A, alpha, beta, gamma, delta.");
  }
}

TEST(ChanceRule, LikelihoodHasRoomForRowsBelowChance) {
  Table table = SplitStrata(Observations({{"KM", 1, {900, -0.31, -0.96, -0.04, 0.06}}}, 0, 18)).strata[0].table;
  Table spoiled(table.origin());
  for (TableColumn column : table.columns()) {
    if (column.name == "acc_adj") column.numbers[0] = -0.01;
    if (column.name == "value") column.numbers[0] = 0.25 - 0.0075;
    spoiled.Add(column);
  }
  const auto law = FourFactorLaw();
  FitSettings settings;
  const LawFit fit = FitLaw(*law, spoiled, settings);
  EXPECT_EQ(fit.at_chance, 1u);
  ASSERT_TRUE(fit.binomial.has_value()) << fit.why_no_binomial;
  EXPECT_EQ(fit.binomial->rows, 36u);
  EXPECT_EQ(fit.ols->rows, 35u);
  settings.chance_rule = ChanceRule::kExclude;
  const LawFit without = FitLaw(*law, spoiled, settings);
  EXPECT_FALSE(without.binomial.has_value());
  EXPECT_EQ(without.why_no_binomial, "the rule for accuracies at chance is to exclude them");
}

TEST(Weights, OfItemErrorsAreOneOverTheVarianceOfTheResponse) {
  Table table("t");
  table.AddNumbers("N", {1, 2});
  table.AddNumbers("acc_adj", {0.5, 0.25});
  table.AddNumbers("standard_error", {0.01, 0.02});
  const auto law = MakeFormula("A * N^a", {{"A", {0, 0}}, {"a", {0, 0}}});
  const LawRows rows = SelectRows(*law, table, {ChanceRule::kExclude, false, "item_errors"});
  // d(-ln a)/da = -1/a: variances (0.01 / 0.5)^2 and (0.02 / 0.25)^2.
  EXPECT_NEAR(rows.fit.weights[0], 2500, 1e-9);
  EXPECT_NEAR(rows.fit.weights[1], 156.25, 1e-9);
}

TEST(Weights, OfItemErrorsTakeTheUnquantizedAccuracyAsExact) {
  Table table("t");
  table.AddNumbers("N", {1, 2});
  table.AddNumbers("acc_adj", {0.5, 0.25});
  table.AddNumbers("baseline_acc_adj", {0.8, 0.5});
  table.AddNumbers("standard_error", {0.01, 0.02});
  const auto law = MakeFormula("A * N^a", {{"A", {0, 0}}, {"a", {0, 0}}});
  const AnchoredLaw loss(*law);
  const LawRows rows = SelectRows(loss, table, {ChanceRule::kExclude, false, "item_errors"});
  EXPECT_NEAR(rows.fit.weights[0], 2500, 1e-9);  // d(-ln(a / b))/da = -1/a
  EXPECT_NEAR(rows.fit.weights[1], 156.25, 1e-9);
}

}  // namespace
}  // namespace bitlaw
