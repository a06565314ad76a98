#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "fit/estimate/cluster_robust.h"
#include "fit/estimate/law_fit.h"
#include "fit/examine/analysis.h"
#include "fit/examine/uncertainty.h"
#include "fit/law/restricted_law.h"
#include "laws_for_tests.h"

namespace bitlaw {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Eight models of one N each, four bit widths, three group sizes; each model is off the law by its own factor.
Table ModelsTable(double noise) {
  Rng rng(5);
  Table table("models");
  std::vector<std::string> model;
  std::vector<double> n, b, g, accuracy;
  for (int m = 0; m < 8; ++m) {
    const double size = 1e8 * std::pow(2, m), own = std::exp(0.1 * rng.Normal());
    for (const double bits : {2.0, 3.0, 4.0, 8.0}) {
      for (const double group : {32.0, 64.0, 128.0}) {
        model.push_back("m" + std::to_string(m));
        n.push_back(size);
        b.push_back(bits);
        g.push_back(group);
        const double loss = 300 * own * std::pow(size, -0.3) * std::pow(std::log2(bits), -1.0) * std::pow(group, 0.07);
        accuracy.push_back(std::exp(-loss * std::exp(noise * rng.Normal())));
      }
    }
  }
  table.AddTexts("model", model);
  table.AddNumbers("N", n);
  table.AddNumbers("B", b);
  table.AddNumbers("G", g);
  table.AddNumbers("acc_adj", accuracy);
  return table;
}

std::unique_ptr<FormulaLaw> SizeLaw() {
  return MakeFormula("A * N^alpha * log2(B)^beta * G^delta",
                     {{"A", {0, kInfinity}}, {"alpha", {0, 0}}, {"beta", {0, 0}}, {"delta", {0, 0}}});
}

TEST(ModelGroups, HaveOwnAmplitudesWhichTakeUpTheSize) {
  const auto law = SizeLaw();
  const ChowTest test = Chow(*law, ModelsTable(0.01), FitSettings(), "model");
  EXPECT_EQ(test.why_none, "");
  EXPECT_EQ(test.why_no_shared, "");
  EXPECT_EQ(test.why_no_separate,
            "m0: the columns of the design are collinear: log(N) = 18.4207 * 1 in all 12 rows");
  EXPECT_EQ(test.dropped, std::vector<std::string>{"log(N)"});
  ASSERT_EQ(test.shared_coefficients.size(), 10u);  // beta, delta and eight amplitudes.
  EXPECT_NEAR(test.shared_coefficients[0].value, -1.0, 0.02);
  EXPECT_NEAR(test.shared_coefficients[1].value, 0.07, 0.01);
  EXPECT_EQ(test.amplitudes.df1, 6);  // Ten columns against four, of which log N is among the amplitudes.
  EXPECT_LT(test.amplitudes.p, 1e-6);
  EXPECT_TRUE(std::isnan(test.chow.value));
}

// With an amplitude a model, exponents are those of a regression on what each model's rows differ by from their mean, and so
// are their errors over models (Frisch, Waugh and Lovell).
TEST(ModelGroups, HaveErrorsOfSharedExponentsOverTheUnits) {
  const auto law = SizeLaw();
  const Table table = ModelsTable(0.01);
  FitSettings settings;
  settings.bootstrap_unit = "model";
  const ChowTest test = Chow(*law, table, settings, "model");
  ASSERT_EQ(test.shared_errors.size(), 2u);
  EXPECT_EQ(test.shared_unit, "model");

  const auto column = [&](const char* name) { return table.At(name, "test").numbers; };
  const std::vector<double> b = column("B"), g = column("G"), accuracy = column("acc_adj");
  const size_t n = b.size();
  std::vector<std::array<double, 3>> rows(n);  // log log2 B, log G, log of -log acc_adj: the columns and the target.
  RowUnits units;
  units.name = "model";
  std::map<std::string, size_t> unit_of;
  for (size_t i = 0; i < n; ++i) {
    rows[i] = {std::log(std::log2(b[i])), std::log(g[i]), std::log(-std::log(accuracy[i]))};
    const std::string model = table.CellText(table.At("model", "test"), i);
    const auto [at, is_new] = unit_of.try_emplace(model, units.labels.size());
    if (is_new) units.labels.push_back(model);
    units.unit_of_row.push_back(at->second);
  }
  for (size_t u = 0; u < units.labels.size(); ++u) {
    std::array<double, 3> sum{};
    double count = 0;
    for (size_t i = 0; i < n; ++i) {
      if (units.unit_of_row[i] != u) continue;
      for (size_t c = 0; c < 3; ++c) sum[c] += rows[i][c];
      ++count;
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t c = 0; c < 3 && units.unit_of_row[i] == u; ++c) rows[i][c] -= sum[c] / count;
    }
  }
  std::vector<double> jacobian, residuals;
  for (const auto& [x, z, y] : rows) {
    jacobian.insert(jacobian.end(), {x, z});
    residuals.push_back(test.shared_coefficients[0].value * x + test.shared_coefficients[1].value * z - y);
  }
  const ClusterRobust within(jacobian, residuals, units, {true, true});
  for (size_t j = 0; j < 2; ++j) {
    EXPECT_NEAR(test.shared_errors[j].error, within.Error(j).error, 1e-9);
  }

  settings.bootstrap_unit = "trials";
  EXPECT_TRUE(Chow(*law, table, settings, "model").shared_errors.empty());
}

// A factor that only some groups vary stays: the amplitudes do not span it.
TEST(ModelGroups, KeepAFactorThatVariesWithinOneGroup) {
  const auto law = SizeLaw();
  const Table whole = ModelsTable(0.01);
  const Table some = whole.Rows(whole.Where(Expression::Parse("G == 32 or N < 1.5e8")));
  const ChowTest test = Chow(*law, some, FitSettings(), "model");
  EXPECT_EQ(test.dropped, std::vector<std::string>{"log(N)"});
  ASSERT_EQ(test.shared_coefficients.size(), 10u);
  EXPECT_EQ(test.shared_coefficients[1].name, "log(G)");
}

TEST(ModelGroups, OfANonlinearLawAreTestedByIteration) {
  const auto law = MakeFormula("E + A * log2(B)^beta", {{"E", {0, kInfinity}}, {"A", {0, kInfinity}}, {"beta", {0, 0}}});
  const ChowTest other = Chow(*law, ModelsTable(0.01), FitSettings(), "model");
  ASSERT_EQ(other.why_none, "");
  EXPECT_EQ(other.chow.df1, 3 * 7);
  EXPECT_EQ(other.chow.df2, 96 - 3 * 8);
  EXPECT_LT(other.chow.p, 1e-6);
  EXPECT_EQ(other.why_no_shared, "the formula is not linear in its parameters, nor is its logarithm");
  const ChowTest same = Chow(*law, ModelsTable(0.01), FitSettings(), "G");
  ASSERT_EQ(same.why_none, "");
  EXPECT_GT(same.chow.p, 0.01);
}

TEST(DeltaIntervals, OfAnAmplitudeAreThoseOfItsLogarithm) {
  const auto law = SizeLaw();
  const Table table = ModelsTable(0.3);
  const LawFit fit = FitLaw(*law, table, FitSettings());
  const UncertaintyReport report = DeltaIntervals(*law, *fit.ols, 0.9);
  const OlsCoefficient& log_a = fit.ols_detail->coefficients[0];
  const double t = StudentQuantile(0.9, 92);
  EXPECT_NEAR(report.quantities[0].independent.low, std::exp(log_a.value - t * log_a.standard_error), 1e-9);
  EXPECT_NEAR(report.quantities[0].independent.high / std::exp(log_a.value + t * log_a.standard_error), 1, 1e-12);
  const OlsCoefficient& alpha = fit.ols_detail->coefficients[1];
  EXPECT_NEAR(report.quantities[1].independent.low, alpha.value - t * alpha.standard_error, 1e-12);
}

// Of every iterative method, and of a bounded exponent as of an amplitude.
TEST(DeltaIntervals, StayWithinBounds) {
  const auto law = MakeFormula("E + A * N^-alpha * log2(B)^beta",
                               {{"E", {0, kInfinity}}, {"A", {0, kInfinity}}, {"alpha", {0, 0.31}}, {"beta", {-1.01, 0}}});
  for (const double noise : {0.1, 0.4}) {
    const LawFit fit = FitLaw(*law, ModelsTable(noise), FitSettings());
    ASSERT_TRUE(fit.least_squares.has_value());
    const UncertaintyReport report = DeltaIntervals(*law, *fit.least_squares, 0.9);
    for (size_t j = 0; j < 4; ++j) {
      const LawParameter& parameter = law->parameters()[j];
      for (const Interval& interval : {report.quantities[j].delta, report.quantities[j].independent}) {
        if (std::isnan(interval.low)) continue;
        EXPECT_GE(interval.low, parameter.min) << parameter.name;
        EXPECT_LE(interval.high, parameter.max) << parameter.name;
      }
    }
  }
}

TEST(ProfileIntervals, OfAParameterAtItsBoundBeginThere) {
  const auto law = MakeFormula("A * N^alpha * log2(B)^beta * G^delta",
                               {{"A", {0, kInfinity}}, {"alpha", {0, 0}}, {"beta", {-0.8, 3}}, {"delta", {0, 0}}});
  const Table table = ModelsTable(0.3);
  const LawFit fit = FitLaw(*law, table, FitSettings());
  ASSERT_TRUE(fit.least_squares.has_value());
  ASSERT_EQ(fit.least_squares->parameters[2].note, "at its bound");
  const FitProblem problem(*law, table, FitSettings(), FitProcedure());
  const auto intervals = ProfileIntervals(problem, *fit.least_squares, 0.9, 0);
  EXPECT_EQ(intervals[2].low, -0.8);
  EXPECT_GT(intervals[2].high, -0.8);
  EXPECT_LT(intervals[2].high, 0);
}

std::vector<std::unique_ptr<Law>> One(std::unique_ptr<Law> law) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(std::move(law));
  return laws;
}

std::vector<std::unique_ptr<Law>> HoldParameters(std::vector<std::unique_ptr<Law>> laws,
                                                 const std::vector<HeldValue>& fix) {
  CheckHeldNames(laws, fix);
  for (auto& law : laws) law = HoldIn(std::move(law), fix);
  return laws;
}

std::vector<HeldValue> Parsed(const std::vector<std::string>& texts) {
  std::vector<HeldValue> held;
  for (const std::string& text : texts) held.push_back(ParseHeldValue(text));
  return held;
}

TEST(HeldParameters, AreFittedWithoutAndSaidInTheFormula) {
  const auto laws = HoldParameters(One(SizeLaw()), Parsed({"alpha=-0.3", " delta = 0.07 "}));
  EXPECT_EQ(laws[0]->formula_text(), "A * N^alpha * log2(B)^beta * G^delta with alpha = -0.3, delta = 0.07");
  ASSERT_EQ(laws[0]->parameters().size(), 2u);
  const LawFit fit = FitLaw(*laws[0], ModelsTable(0.01), FitSettings());
  ASSERT_TRUE(fit.ols.has_value());
  // The same by hand: the held factors go to the other side.
  const auto by_hand =
      MakeFormula("A * N^(-0.3) * log2(B)^beta * G^0.07", {{"A", {0, kInfinity}}, {"beta", {0, 0}}});
  const LawFit other = FitLaw(*by_hand, ModelsTable(0.01), FitSettings());
  for (size_t j = 0; j < 2; ++j) {
    EXPECT_NEAR(fit.ols->parameters[j].value / other.ols->parameters[j].value, 1, 1e-10);
    EXPECT_NEAR(fit.least_squares->parameters[j].value / other.least_squares->parameters[j].value, 1, 1e-7);
  }
}

TEST(HeldParameters, ComeFromALawFileToo) {
  Value given, map, a = Value::Map{}, alpha = Value::Map{};
  alpha.Set("fix", -0.3);
  map.Set("A", std::move(a));
  map.Set("alpha", std::move(alpha));
  given.Set("formula", "A * N^alpha");
  given.Set("parameters", std::move(map));
  const auto laws = HoldParameters(
      One(std::make_unique<FormulaLaw>("file", FormulaLaw::Schema().Resolve(given, "law 'formula'"))), Parsed({}));
  ASSERT_EQ(laws[0]->parameters().size(), 1u);
  EXPECT_EQ(laws[0]->formula_text(), "A * N^alpha with alpha = -0.3");
}

std::string Refusal(const std::vector<std::string>& fix) {
  try {
    HoldParameters(One(MakeFormula("A * N^alpha", {{"A", {0, 10}}, {"alpha", {-2, 0}}})), Parsed(fix));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(HeldParameters, AreRefusedWhereTheyMakeNoSense) {
  EXPECT_EQ(Refusal({"alpha"}), "fix 'alpha' is not of the form name=number: write alpha=0.34.");
  EXPECT_EQ(Refusal({"alpha=-0.3x"}), "fix 'alpha=-0.3x' is not of the form name=number: write alpha=0.34.");
  EXPECT_EQ(Refusal({"alpha=nan"}), "fix 'alpha=nan' is not of the form name=number: write alpha=0.34.");
  EXPECT_EQ(Refusal({"gamma=1"}), "fix: no law has a parameter 'gamma'. Parameters: A, alpha.");
  EXPECT_EQ(Refusal({"alpha=1"}),
            "fix: alpha = 1 is outside the bounds [-2, 0] of law 'test'. Give a value within them.");
  EXPECT_EQ(Refusal({"alpha=-1", "A=3"}),
            "law 'test': all of its parameters are fixed, so there is nothing to fit. Leave one free.");
}

std::string FixRefusal(Value fix) {
  Value given;
  given.Set("fix", std::move(fix));
  try {
    ReadFitSettings(given);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(HeldParameters, OfAStudyAreAMapToNumbers) {
  Value fix = Value::Map{}, given;
  fix.Set("alpha", 0.34);
  fix.Set("E", 2);
  given.Set("fix", fix);
  const FitSettings settings = ReadFitSettings(given);
  ASSERT_EQ(settings.fix.size(), 2u);
  EXPECT_EQ(settings.fix[0].name, "alpha");
  EXPECT_EQ(settings.fix[0].value, 0.34);
  EXPECT_EQ(settings.fix[1].name, "E");
  EXPECT_EQ(settings.fix[1].value, 2);
  Value text = Value::Map{};
  text.Set("alpha", "x");
  EXPECT_EQ(FixRefusal(text), "fit: 'fix.alpha' is 'x', not a number. Write fix: {alpha: 0.34}.");
  EXPECT_EQ(FixRefusal(Value("alpha=0.34")),
            "fit: 'fix' is 'alpha=0.34', not a map from parameters to numbers. Write fix: {alpha: 0.34}.");
}

TEST(HeldParameters, NeedBeInOneOfSeveralLawsOnly) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(MakeFormula("A * N^alpha", {{"A", {0, 10}}, {"alpha", {-2, 0}}}));
  laws.push_back(MakeFormula("A * B^beta", {{"A", {0, 10}}, {"beta", {-2, 0}}}));
  laws = HoldParameters(std::move(laws), Parsed({"beta=-1"}));
  EXPECT_EQ(laws[0]->formula_text(), "A * N^alpha");
  EXPECT_EQ(laws[1]->formula_text(), "A * B^beta with beta = -1");
}

TEST(HeldValues, AreTestedAgainstTheLawWithThemFree) {
  const Table table = ModelsTable(0.05);
  for (const auto& [value, is_true] : {std::pair{"beta=-1", true}, std::pair{"beta=-0.5", false}}) {
    const auto laws = HoldParameters(One(SizeLaw()), Parsed({value}));
    FitSettings settings;
    settings.bootstrap = 0;
    const FitReport fits = FitLaws(laws, table, settings);
    const AnalysisReport analysis = Analyze(laws, table, settings, fits);
    ASSERT_EQ(analysis.laws[0].held.size(), 1u);
    const NestedTest& test = analysis.laws[0].held[0];
    EXPECT_EQ(test.df1, 1);
    EXPECT_GT(test.small_objective, test.large_objective);
    EXPECT_NEAR(test.value, 96 * std::log(test.small_objective / test.large_objective), 1e-9 * test.value);
    EXPECT_EQ(test.p > 0.01, is_true) << test.small << " p " << test.p;
  }
}

TEST(HeldValues, MayBeAllOfALaw) {
  const auto law = SizeLaw();
  const Table table = ModelsTable(0.05);
  const NestedTest test = TestParameters(*law, table, FitSettings(), {300, -0.3, -1, 0.07});
  EXPECT_EQ(test.df1, 4);
  EXPECT_EQ(test.small, "A = 300, alpha = -0.3, beta = -1, delta = 0.07");
  EXPECT_GT(test.small_objective, test.large_objective);
}

}  // namespace
}  // namespace bitlaw
