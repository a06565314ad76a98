#include "fit/examine/comparison.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <utility>

#include "fit/examine/analysis.h"
#include "fit/output/fit_output.h"
#include "records/table.h"
#include "report/analysis_tables.h"
#include "report/document.h"
#include "support/planted_study.h"
#include "support/shipped_laws.h"
#include "unit/fit/laws_for_tests.h"

namespace bitlaw {
namespace {

using ::testing::HasSubstr;

// One model over bits and groups, as a study of a single checkpoint gives.
Table OneModel() {
  std::string csv = "N,B,G,Cb,value,chance,items,acc_adj\n";
  int i = 0;
  for (const int bits : {2, 3, 4, 8}) {
    for (const int group : {32, 128}) {
      const double accuracy = 0.1 * bits - 0.0004 * group + 0.003 * (++i % 3);
      const std::string value = std::to_string(accuracy);
      csv += "1e8," + std::to_string(bits) + "," + std::to_string(group) + ",32," + value + ",0,400," + value + "\n";
    }
  }
  return ParseCsv(csv, "table", {});
}

TEST(CompareLaws, LeavesOutTheNestedTestOfALawThatTheRowsDoNotDetermine) {
  const auto parameters = [](std::initializer_list<const char*> names) {
    std::vector<std::pair<std::string, std::pair<double, double>>> all;
    for (const char* name : names) all.push_back({name, {0, 0}});
    return all;
  };
  const auto bits = MakeFormula("A * log2(B)^beta", parameters({"A", "beta"}));
  const auto group = MakeFormula("A * log2(B)^beta * G^delta", parameters({"A", "beta", "delta"}));
  const auto size = MakeFormula("A * N^alpha * log2(B)^beta * G^delta", parameters({"A", "alpha", "beta", "delta"}));
  const std::vector<const Law*> laws = {bits.get(), group.get(), size.get()};
  const LawComparison comparison = CompareLaws(laws, OneModel(), FitSettings());
  ASSERT_EQ(comparison.nested.size(), 1u);  // N does not vary, so nothing is tested against the third.
  EXPECT_EQ(comparison.nested[0].df1, 1);
}

// Six parameters of size on six sizes: their valley is so flat that no iteration ends in it, but what they predict
// within it is the same. Beyond the sizes that are left it is not.
TEST(Validation, PredictsFromAValleyAndSaysWhereItCannot) {
  Rng rng(3);
  const auto planted = FourFactorLaw();
  const Table table = PlantedTable(*planted, {2600, -.359, -1.067, -.032, .073}, FourFactorGrid(), 0.1, rng);
  const auto broken = ShippedLaw("broken_power");
  FitSettings settings;
  settings.random_starts = 6;
  settings.nulls = false;
  const Law* laws[] = {broken.get(), planted.get()};
  const LawComparison comparison = CompareLaws(laws, table, settings);
  for (const ComparedLaw& one : comparison.laws) {
    EXPECT_EQ(one.folds.fits, 5u);
    EXPECT_EQ(one.folds.failed, 0u) << one.law << ": " << (one.folds.failures.empty() ? "" : one.folds.failures[0]);
  }
  // The planted law is `test`; the other one lacks G and Cb, but nothing of size.
  const ComparedLaw& first = comparison.laws[0];
  EXPECT_EQ(first.law, "test");
  EXPECT_LT(comparison.laws[1].folds.accuracy_mae, 1.5 * first.folds.accuracy_mae);
  const ValidationResult& largest = comparison.laws[1].hold_outs[0];
  EXPECT_EQ(largest.scheme, "hold out N == 3.2e+10");
  EXPECT_EQ(largest.failures.size(), largest.failed);
  EXPECT_EQ(largest.why_none, largest.failed == 0 ? "" : largest.failures[0]);
}

std::unique_ptr<FormulaLaw> LawNamed(const std::string& name, const std::string& formula, const std::string& response) {
  Value positive = Value::Map{}, parameters, given;
  positive.Set("min", 0);
  parameters.Set("a", positive);
  if (formula.find('b') != std::string::npos) parameters.Set("b", Value::Map{});
  given.Set("formula", formula);
  given.Set("response", response);
  given.Set("parameters", parameters);
  return std::make_unique<FormulaLaw>(name, FormulaLaw::Schema().Resolve(given, "law 'formula'"));
}

// acc_adj = exp(-0.1 x) in six rows that are fitted and two that the study holds out.
Table HalfLife() {
  std::string csv = "x,acc_adj,loss,hold_out\n";
  for (int x = 1; x <= 8; ++x)
    csv += fmt::format("{},{:.17g},{},{}\n", x, std::exp(-0.1 * x), 3 - x, x > 6 ? 1 : 0);
  return ParseCsv(csv, "table", {});
}

// ln y = c + b ln x over x = 1 ... 6 by least squares: (exp c, b).
std::pair<double, double> PowerThrough(const std::function<double(double)>& y) {
  double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
  for (int x = 1; x <= 6; ++x) {
    const double lx = std::log(x), ly = std::log(y(x));
    sum_x += lx, sum_y += ly, sum_xx += lx * lx, sum_xy += lx * ly;
  }
  const double b = (6 * sum_xy - sum_x * sum_y) / (6 * sum_xx - sum_x * sum_x);
  return {std::exp((sum_y - b * sum_x) / 6), b};
}

TEST(CompareInAccuracy, MapsPredictionsOfEveryResponseBack) {
  const auto decay = LawNamed("decay", "a * x^b", "-log(acc_adj)");
  const auto power = LawNamed("power", "a * x^b", "acc_adj");
  const auto loss = LawNamed("loss", "a * x^b", "loss");
  const std::vector<const Law*> laws = {loss.get(), power.get(), decay.get()};
  FitSettings settings;
  settings.k_fold = 3;
  const LawComparison comparison = CompareInAccuracy(laws, HalfLife(), settings);
  EXPECT_TRUE(comparison.has_several_responses);
  EXPECT_EQ(comparison.rows, 6u);
  EXPECT_EQ(comparison.declared_rows, 2u);
  ASSERT_EQ(comparison.laws.size(), 3u);
  // -log(acc_adj) = 0.1 x holds exactly.
  const ComparedLaw& first = comparison.laws[0];
  EXPECT_EQ(first.law, "decay");
  EXPECT_EQ(first.why_none, "");
  EXPECT_EQ(first.method, "OLS, log");
  EXPECT_EQ(first.in_sample.accuracy_rows, 6u);
  EXPECT_NEAR(first.in_sample.accuracy_rmse, 0, 1e-12);
  EXPECT_NEAR(first.folds.accuracy_rmse, 0, 1e-12);
  EXPECT_NEAR(first.declared.accuracy_mae, 0, 1e-12);
  EXPECT_TRUE(std::isnan(first.aicc));
  const auto truth = [](double x) { return std::exp(-0.1 * x); };
  const auto [a, b] = PowerThrough(truth);
  const auto error = [&, a = a, b = b](double x) { return a * std::pow(x, b) - truth(x); };
  double absolute = 0, squares = 0, total = 0, mean = 0;
  for (int x = 1; x <= 6; ++x) mean += truth(x) / 6;
  for (int x = 1; x <= 6; ++x) {
    absolute += std::fabs(error(x)) / 6;
    squares += error(x) * error(x);
    total += (truth(x) - mean) * (truth(x) - mean);
  }
  const ComparedLaw& second = comparison.laws[1];
  EXPECT_EQ(second.law, "power");
  EXPECT_EQ(second.in_sample.scheme, "in sample");
  EXPECT_NEAR(second.in_sample.accuracy_mae, absolute, 1e-12);
  EXPECT_NEAR(second.in_sample.accuracy_rmse, std::sqrt(squares / 6), 1e-12);
  EXPECT_NEAR(second.in_sample.accuracy_r2, 1 - squares / total, 1e-12);
  EXPECT_EQ(second.folds.validation_rows, 6u);
  EXPECT_GT(second.folds.accuracy_rmse, second.in_sample.accuracy_rmse);
  EXPECT_EQ(second.declared.validation_rows, 2u);
  EXPECT_NEAR(second.declared.accuracy_mae, (std::fabs(error(7)) + std::fabs(error(8))) / 2, 1e-12);
  EXPECT_EQ(comparison.laws[2].law, "loss");
  EXPECT_EQ(comparison.laws[2].why_none, "no accuracy follows from its response loss");
}

TEST(CompareLaws, ShowsTheRowsThatTheStudyHoldsOut) {
  const auto power = LawNamed("power", "a * x^b", "-log(acc_adj)");
  const auto steep = LawNamed("steep", "a * exp(b * x)", "-log(acc_adj)");
  const std::vector<const Law*> laws = {steep.get(), power.get()};
  const LawComparison comparison = CompareLaws(laws, HalfLife(), FitSettings());
  EXPECT_EQ(comparison.rows, 6u);
  EXPECT_EQ(comparison.declared_rows, 2u);
  ASSERT_EQ(comparison.laws[0].law, "power");
  EXPECT_EQ(comparison.laws[0].declared.scheme, "rows of hold_out");
  EXPECT_EQ(comparison.laws[0].declared.validation_rows, 2u);
  EXPECT_NEAR(comparison.laws[0].declared.rmse, 0, 1e-12);
  // ln(0.1 x) = c + b x over x = 1 ... 6 by least squares.
  double sum_y = 0, sum_xy = 0;
  for (int x = 1; x <= 6; ++x) sum_y += std::log(0.1 * x), sum_xy += x * std::log(0.1 * x);
  const double b = (6 * sum_xy - 21 * sum_y) / (6 * 91 - 21 * 21), c = (sum_y - b * 21) / 6;
  EXPECT_NEAR(comparison.laws[1].declared.mae, (std::exp(c + 7 * b) - 0.7 + std::exp(c + 8 * b) - 0.8) / 2, 1e-12);
}

TEST(CompareLaws, TakesTheLogarithmOnlyOfRowsThatHaveOne) {
  const auto power = LawNamed("power", "a * x^b", "loss");            // It takes the logarithm.
  const auto offset = LawNamed("offset", "1 / (1 + a * x)", "loss");  // It is fitted as it stands.
  const auto curve = LawNamed("curve", "1 / (1 + a * x^2)", "loss");
  const Table table = ParseCsv("x,loss\n1,2\n2,1\n3,0.5\n4,0.25\n5,0\n6,-1\n", "table", {});
  const std::vector<const Law*> mixed = {power.get(), offset.get()};
  const LawComparison common = CompareLaws(mixed, table, FitSettings());
  EXPECT_EQ(SpaceName(common.procedure), "log response");
  EXPECT_EQ(common.rows, 4u);
  EXPECT_EQ(common.left_out, 2u);
  for (const ComparedLaw& one : common.laws) {
    EXPECT_EQ(one.why_none, "") << one.law;
    EXPECT_EQ(one.in_sample.validation_rows, 4u) << one.law;
  }
  const std::vector<const Law*> plain = {offset.get(), curve.get()};
  const LawComparison all = CompareLaws(plain, table, FitSettings());
  EXPECT_EQ(SpaceName(all.procedure), "response");
  EXPECT_EQ(all.rows, 6u);
  EXPECT_EQ(all.left_out, 0u);
  for (const ComparedLaw& one : all.laws) EXPECT_EQ(one.in_sample.validation_rows, 6u) << one.law;
}

TEST(Analyze, ComparesLawsOfSeveralResponsesRatherThanDropThem) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(LawNamed("decay", "a * x^b", "-log(acc_adj)"));
  laws.push_back(LawNamed("power", "a * x^b", "acc_adj"));
  laws.push_back(LawNamed("loss", "1 / (1 + a * x)", "loss"));
  FitSettings settings;
  settings.bootstrap = 0;
  settings.k_fold = 3;
  const Table table = HalfLife();
  const FitReport fits = FitLaws(laws, table, settings);
  const AnalysisReport analysis = Analyze(laws, table, settings, fits);
  ASSERT_EQ(analysis.comparisons.size(), 1u);
  ReportDocument document;
  document.sections.push_back(ComparisonSection(analysis));
  ASSERT_EQ(document.sections[0].tables.size(), 1u);
  EXPECT_EQ(document.sections[0].tables[0].name, "laws_all_accuracy");
  const std::string text = RenderText(document);
  EXPECT_THAT(text, HasSubstr("all: 6 rows that every law can use (0 others left out), laws of several responses in "
                              "units of acc_adj"));
  EXPECT_THAT(text, HasSubstr("loss: not compared, because no accuracy follows from its response loss."));
  EXPECT_THAT(text, HasSubstr("rows of hold_out: the 2 that the study keeps out of all fits."));
  const std::string json = AnalysisJson(analysis).CanonicalJson();
  EXPECT_THAT(json, HasSubstr("\"rows_held_out\":2"));
  EXPECT_THAT(json, HasSubstr("\"declared_hold_out\":{"));
}

}  // namespace
}  // namespace bitlaw
