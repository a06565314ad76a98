#include "fit/estimate/law_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "bitlaw/base/error.h"
#include "fit/estimate/fit_laws.h"
#include "fit/output/fit_output.h"
#include "laws_for_tests.h"
#include "support/planted_study.h"
#include "support/shipped_laws.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A grid like the study's, with planted exponents and noise on the logarithm of the response; the largest model is held
// out.
Table PlantedGrid(double noise, uint64_t seed, const std::vector<double>& theta) {
  Rng rng(seed);
  const auto grid = FullGrid({6e8, 1.7e9, 4e9, 8e9, 3.2e10}, {3, 4, 8}, {8, 32, 128}, {32, 128});
  Table table = PlantedTable(*FourFactorLaw(), theta, grid, noise, rng);
  std::vector<double> hold_out;
  for (const Configuration& one : grid) hold_out.push_back(one.size > 1e10);
  table.AddNumbers("hold_out", hold_out);
  return table;
}

const std::vector<double> kPlanted = {1500, -0.36, -1.07, -0.03, 0.07};

TEST(LawFit, RecoversPlantedExponentsExactlyWithoutNoise) {
  const auto law = FourFactorLaw();
  const LawFit fit = FitLaw(*law, PlantedGrid(0, 1, kPlanted), FitSettings());
  ASSERT_TRUE(fit.ols.has_value()) << fit.why_no_ols;
  ASSERT_TRUE(fit.least_squares.has_value()) << fit.why_no_least_squares;
  for (size_t j = 0; j < 5; ++j) {
    EXPECT_NEAR(fit.ols->parameters[j].value, kPlanted[j], 1e-9 * std::fabs(kPlanted[j])) << j;
    EXPECT_NEAR(fit.least_squares->parameters[j].value, kPlanted[j], 1e-6 * std::fabs(kPlanted[j])) << j;
  }
  EXPECT_NEAR(fit.ols->quality.adjusted_r2, 1, 1e-12);
}

TEST(LawFit, KeepsHeldOutRowsOutOfTheFitAndMeasuresThem) {
  const auto law = FourFactorLaw();
  Table table = PlantedGrid(0.02, 2, kPlanted);
  const LawFit fit = FitLaw(*law, table, FitSettings());
  EXPECT_EQ(fit.incoming, 72u);
  EXPECT_EQ(fit.used, 72u);
  EXPECT_EQ(fit.held_out_used, 18u);
  ASSERT_TRUE(fit.ols.has_value());
  EXPECT_EQ(fit.ols->quality.rows, 72u);
  EXPECT_EQ(fit.ols->on_held_out.accuracy_rows, 18u);
  EXPECT_GT(fit.ols->on_held_out.accuracy_mae, 0);
  EXPECT_LT(fit.ols->on_held_out.accuracy_mae, 0.02);
  // Nonsense in the held-out rows must not move the fit.
  Table spoiled("spoiled");
  for (const TableColumn& column : table.columns()) {
    TableColumn copy = column;
    if (copy.name == "acc_adj") {
      for (size_t row = 72; row < 90; ++row) copy.numbers[row] = 0.5;
    }
    spoiled.Add(copy);
  }
  const LawFit again = FitLaw(*law, spoiled, FitSettings());
  for (size_t j = 0; j < 5; ++j) EXPECT_EQ(fit.ols->parameters[j].value, again.ols->parameters[j].value);
  EXPECT_GT(again.ols->on_held_out.accuracy_mae, 0.05);
}

TEST(LawFit, StandardErrorsCoverThePlantedValues) {
  const auto law = FourFactorLaw();
  int covered = 0, total = 0;
  FitSettings settings;
  settings.random_starts = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const LawFit fit = FitLaw(*law, PlantedGrid(0.1, 100 + seed, kPlanted), settings);
    for (size_t j = 1; j < 5; ++j) {
      const auto& parameter = fit.ols->parameters[j];
      covered += std::fabs(parameter.value - kPlanted[j]) < 1.668 * parameter.standard_error;  // t(67), two-sided 90 %
      ++total;
    }
  }
  // 800 intervals of 90 %: 0.9 +- 3 * sqrt(0.09 / 800) = 0.868 .. 0.932.
  EXPECT_NEAR(static_cast<double>(covered) / total, 0.9, 0.032);
}

TEST(LawFit, CountsWhatItLeavesOutByReason) {
  Table table("t");
  table.AddNumbers("N", {1e8, 1e8, 1e9, 1e9, 2e9, 2e9, 4e9, 8e9});
  table.AddNumbers("acc_adj", {0.2, -0.01, 0.3, 0, 1, kUnset, 0.4, 0.45});
  table.AddNumbers("B", {4, 4, 4, 4, 4, 4, kUnset, 8});
  const auto law = MakeFormula("A * N^a", {{"A", {0, 0}}, {"a", {0, 0}}});
  const LawRows rows = SelectRows(*law, table, {ChanceRule::kExclude, true, ""});
  EXPECT_EQ(rows.incoming, 8u);
  EXPECT_EQ(rows.fit.size(), 4u);
  ASSERT_EQ(rows.excluded.size(), 3u);
  EXPECT_EQ(rows.excluded[0].reason, "accuracy at or below chance (acc_adj <= 0)");
  EXPECT_EQ(rows.excluded[0].rows, 2u);
  EXPECT_EQ(rows.excluded[0].example, "row 2: acc_adj = -0.01");
  EXPECT_EQ(rows.excluded[1].reason, "accuracy of 1 or more (acc_adj >= 1)");
  EXPECT_EQ(rows.excluded[2].reason, "no value of acc_adj");
  const auto bits = MakeFormula("A * log2(B)^b", {{"A", {0, 0}}, {"b", {0, 0}}});
  EXPECT_EQ(SelectRows(*bits, table, {ChanceRule::kExclude, true, ""}).excluded[3].reason, "no value of B");
}

TEST(LawFit, LeavesOutRowsWithoutFiniteFeatures) {
  Table table("t");
  table.AddNumbers("Cb", {1, 8, 32});
  table.AddNumbers("acc_adj", {0.2, 0.3, 0.4});
  const auto law = MakeFormula("A * log2(Cb)^g", {{"A", {0, 0}}, {"g", {0, 0}}});
  const LawRows rows = SelectRows(*law, table, {ChanceRule::kExclude, true, ""});
  ASSERT_EQ(rows.excluded.size(), 1u);
  EXPECT_EQ(rows.excluded[0].reason, "no finite value of log(log2(Cb))");
  EXPECT_EQ(rows.excluded[0].example, "row 1: Cb = 1");
}

TEST(LawFit, SaysWhichFactorDoesNotVary) {
  Table table("t");
  table.AddNumbers("N", {134515008, 134515008, 134515008, 134515008, 134515008, 134515008});
  table.AddNumbers("B", {2, 3, 4, 8, 2, 3});
  table.AddNumbers("acc_adj", {0.1, 0.2, 0.25, 0.3, 0.12, 0.21});
  const auto law = MakeFormula("A * N^alpha * log2(B)^beta", {{"A", {0, 0}}, {"alpha", {0, 0}}, {"beta", {0, 0}}});
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(MakeFormula("A * N^alpha * log2(B)^beta", {{"A", {0, 0}}, {"alpha", {0, 0}}, {"beta", {0, 0}}}));
  const FitReport report = FitLaws(laws, table, FitSettings());
  ASSERT_EQ(report.fits.size(), 1u);
  const LawFit& fit = report.fits[0];
  EXPECT_FALSE(fit.ols.has_value());
  EXPECT_EQ(fit.why_no_ols,
            "N does not vary: it is 134515008 in all 6 rows, so nothing can be said about how the response depends on "
            "it. Use a law "
            "without N, or add rows with another value");
  EXPECT_EQ(fit.why_no_least_squares, fit.why_no_ols);
  // The nulls stand all the same: f(N) fails for the same reason, f(B) is fitted.
  ASSERT_EQ(fit.nulls.size(), 2u);
  EXPECT_EQ(fit.nulls[0].law, "f(N)");
  EXPECT_FALSE(fit.nulls[0].ols.has_value());
  EXPECT_EQ(fit.nulls[1].law, "f(B)");
  EXPECT_TRUE(fit.nulls[1].ols.has_value());
}

// No parameter belongs to the score before, so one model will do; the share that is removed has an exponent.
TEST(LawFit, LetsAColumnWithoutAParameterBeOneValue) {
  const auto table = [](const std::vector<double>& removed) {
    Table rows("t");
    rows.AddNumbers("score_dense", std::vector<double>(removed.size(), 0.6));
    rows.AddNumbers("r", removed);
    std::vector<double> score;
    for (const double r : removed) score.push_back(0.95 * 0.6 * std::pow(1 - r, 0.3));
    rows.AddNumbers("score", score);
    return rows;
  };
  const auto law = ShippedLaw("compression_multiplier");
  const LawFit fit = FitLaw(*law, table({0.1, 0.2, 0.3, 0.5, 0.6}), FitSettings());
  ASSERT_TRUE(fit.ols.has_value()) << fit.why_no_ols;
  EXPECT_NEAR(fit.ols->theta()[0], 0.95, 1e-12);
  EXPECT_NEAR(fit.ols->theta()[1], 0.3, 1e-12);
  ASSERT_TRUE(fit.least_squares.has_value()) << fit.why_no_least_squares;
  EXPECT_NEAR(fit.least_squares->theta()[1], 0.3, 1e-6);

  const LawFit one_ratio = FitLaw(*law, table({0.2, 0.2, 0.2, 0.2}), FitSettings());
  EXPECT_FALSE(one_ratio.ols.has_value());
  EXPECT_THAT(one_ratio.why_no_ols, HasSubstr("r does not vary: it is 0.2 in all 4 rows"));
}

TEST(LawFit, FitsNullsToTheRowsOfTheLaw) {
  Table table = PlantedGrid(0.05, 3, kPlanted);
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  const FitReport report = FitLaws(laws, table, FitSettings());
  const LawFit& fit = report.fits[0];
  ASSERT_EQ(fit.nulls.size(), 3u);
  for (const LawFit& null : fit.nulls) EXPECT_EQ(null.used, fit.used) << null.law;
  EXPECT_LT(fit.nulls[0].ols->quality.adjusted_r2, fit.nulls[2].ols->quality.adjusted_r2);
  EXPECT_LT(fit.nulls[2].ols->quality.adjusted_r2, fit.ols->quality.adjusted_r2);
}

TEST(LawFit, ChecksNullsOnTheRowsOfTheLawThoseAtChanceIncluded) {
  const Table whole = PlantedGrid(0.05, 3, kPlanted);
  Table table("some at chance");
  for (TableColumn column : whole.columns()) {
    if (column.name == "acc_adj") {
      for (const size_t row : {3, 7, 75, 80, 81}) column.numbers[row] = -0.01;
    }
    table.Add(column);
  }
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  const FitReport report = FitLaws(laws, table, FitSettings());
  const LawFit& fit = report.fits[0];
  EXPECT_EQ(fit.ols->on_fit.accuracy_rows, 72u);
  EXPECT_EQ(fit.ols->on_held_out.accuracy_rows, 18u);
  ASSERT_EQ(fit.nulls.size(), 3u);
  for (const LawFit& null : fit.nulls) {
    SCOPED_TRACE(null.law);
    EXPECT_EQ(null.used, 70u);
    EXPECT_EQ(null.ols->on_fit.accuracy_rows, 72u);
    EXPECT_EQ(null.ols->on_held_out.accuracy_rows, 18u);
  }
}

TEST(LawFit, FindsAnAdditiveLawFromRandomStarts) {
  Table table("t");
  std::vector<double> n, b, accuracy;
  const auto law = MakeFormula("A * N^-alpha + C * exp(-B / g)",
                               {{"A", {0, 1e9}}, {"alpha", {0, 2}}, {"C", {0, 1e6}}, {"g", {0.05, 10}}});
  const std::vector<double> theta = {900, 0.35, 6, 0.8};
  for (const double size : {1e8, 3e8, 1e9, 3e9, 1e10}) {
    for (const double bits : {2.0, 3.0, 4.0, 8.0}) {
      n.push_back(size);
      b.push_back(bits);
      accuracy.push_back(std::exp(-law->Predict(theta, std::vector<double>{size, bits}, {})));
    }
  }
  table.AddNumbers("N", n);
  table.AddNumbers("B", b);
  table.AddNumbers("acc_adj", accuracy);
  const LawFit fit = FitLaw(*law, table, FitSettings());
  EXPECT_EQ(fit.why_no_ols, "the formula is not linear in its parameters, nor is its logarithm");
  ASSERT_TRUE(fit.least_squares.has_value()) << fit.why_no_least_squares;
  for (size_t j = 0; j < 4; ++j) EXPECT_NEAR(fit.least_squares->parameters[j].value, theta[j], 1e-5 * theta[j]) << j;
  EXPECT_GE(fit.least_squares_detail->agreeing, 8u);
}

TEST(LawFit, GivesTheSameBytesForTheSameSeed) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  const Table table = PlantedGrid(0.05, 4, kPlanted);
  EXPECT_EQ(FitReportJson(FitLaws(laws, table, FitSettings())).CanonicalJson(),
            FitReportJson(FitLaws(laws, table, FitSettings())).CanonicalJson());
}

TEST(LawFit, ReportsParametersAtABoundWithoutAStandardError) {
  const auto law = MakeFormula("A * N^a", {{"A", {0, 1e9}}, {"a", {-0.2, 0.2}}});
  Table table("t");
  table.AddNumbers("N", {1, 2, 3, 4, 5, 6});
  table.AddNumbers("acc_adj", {0.1, 0.3, 0.45, 0.55, 0.64, 0.69});
  const LawFit fit = FitLaw(*law, table, FitSettings());
  ASSERT_TRUE(fit.least_squares.has_value()) << fit.why_no_least_squares;
  EXPECT_EQ(fit.least_squares->parameters[1].value, -0.2);
  EXPECT_EQ(fit.least_squares->parameters[1].note, "at its bound");
  EXPECT_TRUE(std::isnan(fit.least_squares->parameters[1].standard_error));
  EXPECT_EQ(fit.ols->parameters[1].note, "outside its bounds [-0.2, 0.2], which OLS cannot keep");
}

TEST(LawFit, LeavesOutRowsWhoseLogarithmItsProcedureCannotTake) {
  Value given, map, procedure;
  for (const char* name : {"E", "a"}) map.Set(name, Value(Value::Map{}));
  procedure.Set("loss", "huber");
  procedure.Set("space", "log");
  given.Set("formula", "E + N^a");
  given.Set("response", "loss");
  given.Set("parameters", std::move(map));
  given.Set("procedure", std::move(procedure));
  const FormulaLaw law("test", FormulaLaw::Schema().Resolve(given, "law 'formula'"));
  const auto fit = [&](const std::string& last_rows) {
    return FitLaw(law, ParseCsv("N,loss\n1,3\n2,2.5\n4,2.2\n8,2\n16,1.9\n" + last_rows, "t.csv"), FitSettings());
  };
  const LawFit bad = fit("32,-0.5\n64,0\n");
  EXPECT_EQ(bad.used, 5u);
  EXPECT_TRUE(bad.own.has_value()) << bad.why_no_own;
  ASSERT_EQ(bad.excluded.size(), 1u);
  EXPECT_EQ(bad.excluded[0].reason, "response loss not positive, and the fit takes its logarithm");
  ASSERT_EQ(bad.warnings.size(), 1u);
  EXPECT_EQ(bad.warnings[0],
            "2 of 7 rows have a loss that is not positive: row 6 (line 7): -0.5; row 7 (line 8): 0. Left out, since a "
            "fit of the law takes the logarithm");
  EXPECT_EQ(fit("32,1.8\n").used, 6u);
  EXPECT_TRUE(fit("32,1.8\n").warnings.empty());
}

TEST(LawFit, NamesRowsOfALossThatIsNotPositiveAndKeepsThemWithoutALogarithm) {
  const auto warnings = [](const std::string& response, const std::string& rows) {
    const auto law = MakeFormula("E + A * N^a", {{"E", {0, 0}}, {"A", {0, 0}}, {"a", {-1, 1}}}, response);
    const LawFit fit = FitLaw(*law, ParseCsv("N,loss\n1,3\n2,2.5\n4,2.2\n8,2\n16,1.9\n" + rows, "t.csv"), FitSettings());
    EXPECT_EQ(fit.used, fit.incoming);
    return fit.warnings;
  };
  const auto one = warnings("loss", "32,0\n");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0],
            "1 of 6 rows has a loss that is not positive: row 6 (line 7): 0. Kept, since no fit of the law takes the "
            "logarithm; if nothing was measured there, leave them out: --where 'loss > 0'");
  EXPECT_TRUE(warnings("loss", "32,1.8\n").empty());
  EXPECT_TRUE(warnings("loss - 2", "32,1.8\n").empty());                       // A difference has a sign.
  EXPECT_TRUE(warnings("loss", "1,-1\n2,-2\n3,-3\n4,-4\n5,-5\n").empty());  // Negative as often as not.
}

Table TwoTasksTwoTrials() {
  return ParseCsv(
      "trial,label,N,task,stratum,metric_kind,primary,value,standard_error,items,chance,acc_adj,baseline_value\n"
      "a,A,100,arc,KA,accuracy,1,0.4,0.03,200,0.25,0.2,0.5\n"
      "a,A,100,boolq,KA,accuracy,1,0.7,0.04,100,0.5,0.4,0.8\n"
      "a,A,100,boolq,KA,accuracy,0,0.9,0.04,100,0.5,0.8,0.8\n"
      "a,A,100,wiki,,perplexity,1,22.5,1,10,,,20\n"
      "a,A,100,trivia,KM,accuracy,1,0.1,0.02,100,0,0.1,0.2\n"
      "b,B,200,arc,KA,accuracy,1,0.55,0.03,200,0.25,0.4,0.6\n"
      "b,B,200,trivia,KM,accuracy,1,0.3,0.02,100,0,0.3,0.4\n",
      "obs.csv", {{"trial"}});
}

TEST(Strata, AverageTasksPerTrialAndCountIncompleteTrials) {
  const StrataData data = SplitStrata(TwoTasksTwoTrials());
  ASSERT_EQ(data.strata.size(), 3u);
  const StratumData& ka = data.strata[0];
  EXPECT_EQ(ka.name, "KA");
  EXPECT_THAT(ka.tasks, ElementsAre("arc", "boolq"));
  EXPECT_EQ(ka.incoming, 2u);
  ASSERT_EQ(ka.table.rows(), 1u);
  EXPECT_NEAR(ka.table.Numbers("acc_adj")[0], 0.3, 1e-15);  // (0.2 + 0.4) / 2
  // sqrt((0.03 / 0.75)^2 + (0.04 / 0.5)^2) / 2 = sqrt(0.0016 + 0.0064) / 2
  EXPECT_NEAR(ka.table.Numbers("standard_error")[0], std::sqrt(0.008) / 2, 1e-15);
  EXPECT_NEAR(ka.table.Numbers("baseline_acc_adj")[0], (0.25 / 0.75 + 0.3 / 0.5) / 2, 1e-15);
  ASSERT_EQ(ka.incomplete.size(), 1u);
  EXPECT_EQ(ka.incomplete[0].reason, "no score for boolq");
  EXPECT_EQ(ka.incomplete[0].example, "B");
  EXPECT_EQ(data.strata[1].name, "KM");
  EXPECT_EQ(data.strata[1].table.rows(), 2u);
  EXPECT_EQ(data.strata[2].name, "general");
  EXPECT_NEAR(data.strata[2].table.Numbers("acc_adj")[0], (0.2 + 0.4 + 0.1) / 3, 1e-15);
  EXPECT_THAT(data.notes, ElementsAre("Not part of any stratum, because the score is no accuracy: wiki (perplexity)."));
}

TEST(Strata, TakeForeignTablesAsTheyAre) {
  const StrataData plain = SplitStrata(ParseCsv("params,acc,chance\n1,0.5,0.25\n2,0.625,0.25\n", "t.csv"));
  ASSERT_EQ(plain.strata.size(), 1u);
  EXPECT_EQ(plain.strata[0].name, "all");
  EXPECT_NEAR(plain.strata[0].table.Numbers("acc_adj")[1], 0.5, 1e-15);
  EXPECT_THAT(plain.notes, ElementsAre("acc_adj was computed as (acc - chance) / (1 - chance)."));
  const StrataData split = SplitStrata(ParseCsv("stratum,acc_adj\nKM,0.5\nKR,0.2\n", "t.csv"));
  ASSERT_EQ(split.strata.size(), 3u);
  EXPECT_EQ(split.strata[2].name, "all");  // "general" is a mean over tasks.
  EXPECT_EQ(split.strata[2].table.rows(), 2u);
}

TEST(Strata, PutTheirOwnColumnsInPlaceOfThoseOfTheSameName) {
  const Table table = ParseCsv(
      "trial,task,acc_adj,tasks,baseline_acc_adj,N\na,arc,0.2,7,0.9,100\na,boolq,0.4,7,0.9,100\n", "obs.csv");
  for (const bool average : {true, false}) {
    const StratumData all = SplitStrata(table, average).strata[0];
    EXPECT_EQ(all.table.Numbers("tasks")[0], average ? 2 : 1);
    EXPECT_EQ(all.table.Numbers("N")[0], 100);
  }
}

TEST(Strata, RefuseTwoPrimaryRowsForOneTask) {
  const Table twice = ParseCsv("trial,task,acc_adj\na,arc,0.1\na,arc,0.2\n", "obs.csv");
  try {
    SplitStrata(twice);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "obs.csv: trial 'a' has two primary rows for task 'arc'. Each trial and task may stand there once.");
  }
}

TEST(ResponseInverse, InvertsResponsesOfAccuracyAlone) {
  const ResponseInverse inverse("-log(acc_adj)");
  ASSERT_TRUE(inverse.exists());
  EXPECT_NEAR(inverse(-std::log(0.37)), 0.37, 1e-14);
  EXPECT_NEAR(inverse(-1), 1, 1e-14);
  EXPECT_FALSE(ResponseInverse("loss").exists());
  EXPECT_FALSE(ResponseInverse("acc_adj * (1 - acc_adj)").exists());
  EXPECT_NEAR(ResponseInverse("logit(acc_adj)")(0), 0.5, 1e-14);
}

}  // namespace
}  // namespace bitlaw
