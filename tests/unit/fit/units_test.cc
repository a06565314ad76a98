// What counts as independent: models where the table names them, in every section of an analysis.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/examine/analysis.h"
#include "laws_for_tests.h"
#include "report/analysis_tables.h"
#include "report/law_tables.h"
#include "support/planted_study.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<size_t> AllRows(const Table& table) {
  std::vector<size_t> rows(table.rows());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  return rows;
}

// `models` models, each off by `effect` and every row by `noise`, of 60 N^-.25 log2(B)^-1 log2(Cb)^-.05 G^.07.
Table Models(int models, double effect, double noise, uint64_t seed) {
  Rng rng(seed);
  std::vector<Configuration> rows;
  std::vector<std::string> model;
  std::vector<double> accuracy;
  const auto law = FourFactorLaw();
  for (int m = 0; m < models; ++m) {
    const double off = effect * rng.Normal();
    for (const Configuration& one : FullGrid({1.35e8 * std::pow(2.0, m)}, {3, 4, 8}, {8, 128}, {32, 128})) {
      rows.push_back(one);
      model.push_back("m" + std::to_string(m));
      accuracy.push_back(
          std::exp(-PredictAt(*law, {60, -.25, -1, -.05, .07}, one) * std::exp(off + noise * rng.Normal())));
    }
  }
  Table table("models");
  AddConfigurations(table, rows);
  table.AddTexts("model", model);
  table.AddNumbers("acc_adj", accuracy);
  return table;
}

TEST(UnitsOf, AreTheModelsWhereTheTableNamesThem) {
  const Table table = Models(8, 0.1, 0.05, 1);
  const RowUnits units = UnitsOf(table, "auto", AllRows(table));
  EXPECT_EQ(units.name, "model");
  EXPECT_EQ(units.size(), 8u);
  EXPECT_EQ(units.note, "");
  EXPECT_TRUE(units.is_clustered());
  EXPECT_EQ(units.Members()[7].size(), 12u);
  EXPECT_EQ(UnitsOf(table, "trials", AllRows(table)).size(), 96u);
  EXPECT_EQ(UnitsOf(table, "B", AllRows(table)).labels, (std::vector<std::string>{"3", "4", "8"}));
}

TEST(UnitsOf, SayWhyRowsOfATableWithoutModelsCountAsIndependent) {
  Table table("t");
  table.AddNumbers("N", {1, 1, 1, 2, 2, 2});
  const RowUnits units = UnitsOf(table, "auto", AllRows(table));
  EXPECT_EQ(units.name, "trials");
  EXPECT_FALSE(units.is_clustered());
  EXPECT_EQ(units.note,
            "there is no column 'model', so every row counts as independent; its 6 rows have 2 values of N: if rows of "
            "one N are of one model, give --unit N (or the column that names the model)");
}

TEST(UnitsOf, AreRowsWhereAllAreOfOneModelOrEachOfItsOwn) {
  Table one("t");
  one.AddTexts("model", {"a", "a", "a"});
  EXPECT_EQ(UnitsOf(one, "auto", AllRows(one)).size(), 3u);
  EXPECT_EQ(UnitsOf(one, "auto", AllRows(one)).note,
            "all rows are of one model: its rows count as independent, and nothing is said of others");
  Table own("t");
  own.AddTexts("model", {"a", "b", "c"});
  EXPECT_EQ(UnitsOf(own, "auto", AllRows(own)).name, "trials");
  // Rows without a name are not all of one nameless model.
  Table some("t");
  some.AddTexts("model", {"a", "", "", "a"});
  EXPECT_THAT(UnitsOf(some, "auto", AllRows(some)).labels, ElementsAre("a", "(row 2)", "(row 3)"));
}

TEST(UnitsOf, RefuseAColumnThatIsNotThere) {
  Table table("t.csv");
  table.AddNumbers("N", {1});
  EXPECT_THROW(UnitsOf(table, "modle", AllRows(table)), Error);
}

TEST(ExpandedLevels, WidenAsTheNumberOfUnitsFalls) {
  // Phi(-t_{0.95, 7} sqrt(8 / 7)) = Phi(-1.8946 * 1.0690)
  EXPECT_NEAR(ExpandedLevels(0.9, 8).low, 0.02141, 1e-5);
  EXPECT_NEAR(ExpandedLevels(0.9, 8).high, 1 - 0.02141, 1e-5);
  EXPECT_NEAR(ExpandedLevels(0.9, 1000000).low, 0.05, 1e-6);
}

// Models off by 10 %, rows by 1 %: errors of alpha come from eight points, those of beta from differences within
// models.
TEST(FitLaw, HasErrorsOverModelsBesideThoseOfIndependentRows) {
  const Table table = Models(8, 0.1, 0.01, 2);
  const LawFit fit = FitLaw(*FourFactorLaw(), table, FitSettings());
  for (const MethodFit* method : fit.Methods()) {
    EXPECT_EQ(method->unit, "model");
    ASSERT_NE(method->robust, nullptr) << method->method();
    EXPECT_GT(method->parameters[1].robust_error, 2 * method->parameters[1].standard_error) << method->method();
    EXPECT_LT(method->parameters[2].robust_error, 0.5 * method->parameters[2].standard_error) << method->method();
  }
  EXPECT_NEAR(fit.ols->parameters[2].robust_df, 7, 1e-6);  // A balanced design: models less one.
  EXPECT_LT(fit.ols->parameters[1].robust_df, 7);
  const UncertaintyReport report = DeltaIntervals(*FourFactorLaw(), *fit.ols, 0.9);
  EXPECT_THAT(report.warnings, IsEmpty());
  EXPECT_EQ(report.independent_units, 8u);
  EXPECT_NEAR(report.quantities[2].delta.high - report.quantities[2].value,
              1.8946 * fit.ols->parameters[2].robust_error, 1e-4 * fit.ols->parameters[2].robust_error);
}

TEST(FitLaw, KeepsTheErrorsOfIndependentRowsWhereAskedTo) {
  const Table table = Models(8, 0.1, 0.01, 2);
  FitSettings settings;
  settings.bootstrap_unit = "trials";
  const LawFit fit = FitLaw(*FourFactorLaw(), table, settings);
  EXPECT_EQ(fit.ols->robust, nullptr);
  const UncertaintyReport report = DeltaIntervals(*FourFactorLaw(), *fit.ols, 0.9);
  EXPECT_EQ(report.quantities[1].delta_error, fit.ols->parameters[1].standard_error);
  EXPECT_EQ(report.quantities[1].degrees_of_freedom, 91);
}

TEST(DeltaIntervals, SayThatModelsAreFewAndWhatTheyDoNotGive) {
  const Table five = Models(5, 0.1, 0.01, 3);
  const LawFit fit = FitLaw(*FourFactorLaw(), five, FitSettings());
  EXPECT_THAT(DeltaIntervals(*FourFactorLaw(), *fit.ols, 0.9).warnings,
              ElementsAre("only 5 units of 'model': errors are corrected for it (CR2, degrees of freedom of each "
                          "quantity), but what varies only between units rests on 5 points; --groups model gives each "
                          "its own amplitude with shared exponents"));
  // Two models determine A and alpha exactly: nothing is left to judge them by. beta still varies within both.
  const Table two = Models(2, 0.1, 0.01, 4);
  const LawFit pair = FitLaw(*FourFactorLaw(), two, FitSettings());
  const UncertaintyReport report = DeltaIntervals(*FourFactorLaw(), *pair.ols, 0.9);
  EXPECT_TRUE(std::isnan(report.quantities[1].delta.low));
  EXPECT_TRUE(std::isfinite(report.quantities[2].delta.low));
  EXPECT_EQ(report.warnings[0],
            "no error of A, alpha: 2 units of 'model' are no more than what varies only between them");
}

// An amplitude with min: 0 has its interval on the logarithm: ends are factors of the value, above 0.
TEST(DeltaIntervals, OfAnAmplitudeAreFactors) {
  const Table table = Models(5, 0.5, 0.2, 5);
  const LawFit fit = FitLaw(*FourFactorLaw(), table, FitSettings());
  const Uncertainty amplitude = DeltaIntervals(*FourFactorLaw(), *fit.ols, 0.9).quantities[0];
  EXPECT_GT(amplitude.delta.low, 0);
  EXPECT_GT(amplitude.independent.low, 0);
  EXPECT_NEAR(amplitude.delta.low * amplitude.delta.high, amplitude.value * amplitude.value,
              1e-9 * amplitude.value * amplitude.value);
}

TEST(DeltaIntervals, PointToTheBootstrapWhereAHuberLossLeavesNoExpansion) {
  Table table = Models(8, 0.1, 0.05, 6);
  // A knee of 0.001 with residuals of 0.1: nearly all rows lie beyond it.
  Value given, map;
  given.Set("formula", "A * N^alpha * log2(B)^beta");
  for (const char* name : {"A", "alpha", "beta"}) {
    Value one = Value::Map{};
    if (name[0] == 'A') one.Set("min", 0.0);
    map.Set(name, std::move(one));
  }
  Value procedure;
  procedure.Set("loss", "huber");
  procedure.Set("space", "log");
  procedure.Set("delta", 0.001);
  given.Set("parameters", std::move(map));
  given.Set("procedure", std::move(procedure));
  const FormulaLaw law("test", FormulaLaw::Schema().Resolve(given, "law 'formula'"));
  const LawFit fit = FitLaw(law, table, FitSettings());
  ASSERT_TRUE(fit.own.has_value()) << fit.why_no_own;
  const UncertaintyReport report = DeltaIntervals(law, *fit.own, 0.9);
  EXPECT_TRUE(std::isnan(report.quantities[1].delta_error));
  EXPECT_EQ(
      report.warnings[0],
      "no errors over model, because fewer than a quarter of the rows lie within the knee of the Huber loss: read "
      "the bootstrap over model");
}

TEST(RandomFolds, KeepModelsTogether) {
  const Table table = Models(8, 0.1, 0.05, 7);
  const auto law = FourFactorLaw();
  const LawFit fit = FitLaw(*law, table, FitSettings());
  const Refitter refitter(*law, table, FitSettings(), *fit.ols);
  const RowUnits units = UnitsOf(table, "auto", refitter.cases());
  const std::vector<int> folds = RandomFolds(refitter, 5, 0, &units);
  std::set<std::pair<std::string, int>> pairs;
  for (size_t row = 0; row < table.rows(); ++row) pairs.emplace(table.Find("model")->texts[row], folds[row]);
  EXPECT_EQ(pairs.size(), 8u);
  EXPECT_EQ(FoldsName(5, units), "5-fold by model");
  EXPECT_EQ(FoldsName(8, units), "leave one model out");
  const ValidationResult held = Validate(refitter, "x", folds, 0.9, 0, 1, &units);
  EXPECT_EQ(held.interval_unit, "model");
  EXPECT_EQ(held.interval_units, 8u);
  // Eight models off by 10 %: whole models drawn scatter more than rows do.
  const ValidationResult by_row = Validate(refitter, "x", folds, 0.9, 0, 1);
  EXPECT_GT(held.accuracy_mae_interval.high - held.accuracy_mae_interval.low,
            1.5 * (by_row.accuracy_mae_interval.high - by_row.accuracy_mae_interval.low));
  // The largest N is one model: its rows say nothing of how models scatter.
  const ValidationResult one = Validate(refitter, "n", HoldOut(refitter, table, "N > 1e10"), 0.9, 0, 1, &units);
  EXPECT_EQ(one.interval_units, 1u);
  EXPECT_TRUE(std::isnan(one.accuracy_mae_interval.low));
  EXPECT_TRUE(std::isfinite(one.accuracy_mae));
}

// Two strata whose models deviate by themselves: 10 % of a model, other in each stratum, is what their alphas differ
// by.
Table TwoStrata(int models) {
  Table tables[2] = {Models(models, 0.15, 0.01, 8), Models(models, 0.15, 0.01, 9)};
  Table both("strata");
  for (const TableColumn& column : tables[0].columns()) {
    TableColumn stacked = column;
    const TableColumn& below = *tables[1].Find(column.name);
    stacked.numbers.insert(stacked.numbers.end(), below.numbers.begin(), below.numbers.end());
    stacked.texts.insert(stacked.texts.end(), below.texts.begin(), below.texts.end());
    both.Add(std::move(stacked));
  }
  std::vector<std::string> stratum(both.rows(), "KM");
  std::fill(stratum.begin() + static_cast<std::ptrdiff_t>(both.rows() / 2), stratum.end(), "KR");
  both.AddTexts("stratum", stratum);
  return both;
}

TEST(RankStrata, TestsDifferencesOverTheUnits) {
  const Table table = TwoStrata(6);
  FitSettings settings;
  settings.bootstrap = 200;
  const StrataTests by_model = RankStrata(*FourFactorLaw(), SplitStrata(table), settings);
  ASSERT_EQ(by_model.why_none, "");
  EXPECT_EQ(by_model.unit, "model");
  EXPECT_EQ(by_model.units, 6u);
  ASSERT_EQ(by_model.methods.size(), 2u);
  EXPECT_EQ(by_model.methods[1].stratum, "KR");
  EXPECT_EQ(by_model.methods[1].method, "ols");
  settings.bootstrap_unit = "trials";
  const StrataTests by_row = RankStrata(*FourFactorLaw(), SplitStrata(table), settings);
  const auto &model = by_model.rankings[0].pairs[0], &row = by_row.rankings[0].pairs[0];
  EXPECT_EQ(model.difference, row.difference);
  EXPECT_GT(model.standard_error, 1.4 * row.standard_error);
  EXPECT_GT(model.bootstrap_error, 1.4 * row.bootstrap_error);
  EXPECT_LT(model.degrees_of_freedom, 6);
  EXPECT_GT(model.p, row.p);
  // The table of intervals and the ranking say the same.
  const LawFit fit = FitLaw(*FourFactorLaw(), SplitStrata(table).strata[0].table, FitSettings());
  const Uncertainty alpha = DeltaIntervals(*FourFactorLaw(), *fit.Methods()[0], 0.9).quantities[1];
  for (const auto& place : by_model.rankings[0].places) {
    if (place.stratum != "KM") continue;
    EXPECT_EQ(place.value, alpha.value);
    EXPECT_EQ(place.standard_error, alpha.delta_error);
    EXPECT_EQ(place.interval.low, alpha.delta.low);
  }
}

// 100 replicates show no p below 1/101; t of this difference is far beyond.
TEST(StrataSection, PrintsNoPBelowWhatTheReplicatesCanShow) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  const Table table = TwoStrata(6);
  Table steeper(table.origin());
  for (TableColumn column : table.columns()) {
    for (size_t row = table.rows() / 2; column.name == "acc_adj" && row < table.rows(); ++row)
      column.numbers[row] = std::exp(std::log(column.numbers[row]) * std::log2(table.Numbers("B")[row]) / 2);
    steeper.Add(std::move(column));
  }
  FitSettings settings;
  settings.bootstrap = 100;
  settings.permutations = 0;
  settings.bootstrap_unit = "trials";
  const FitReport report = FitLaws(laws, steeper, settings);
  const AnalysisReport analysis = Analyze(laws, steeper, settings, report);
  ASSERT_LT(analysis.strata[0].rankings[1].pairs[0].p, 1e-9);
  const std::string text = RenderText(FitDocument(report, analysis, "t"));
  EXPECT_THAT(text, HasSubstr("< 1/101"));
  EXPECT_THAT(text, Not(HasSubstr("e-1")));
}

// One name for a method in every table and note, and F said to be of independent rows beside errors over models.
TEST(FitDocument, NamesMethodsAndWhatFTakesForIndependent) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  FitSettings settings;
  settings.bootstrap = 0;
  settings.permutations = 0;
  const Table table = TwoStrata(6);
  const FitReport report = FitLaws(laws, table, settings);
  const std::string text = RenderText(FitDocument(report, Analyze(laws, table, settings, report), "t"));
  EXPECT_THAT(text, HasSubstr("p(F), independent rows"));
  EXPECT_THAT(text, HasSubstr("KM: OLS, log, errors over model (6 units) by CR2"));
  EXPECT_THAT(text, HasSubstr("KM: OLS, log; KR: OLS, log."));
  EXPECT_THAT(text, Not(HasSubstr(": ols")));
  settings.bootstrap_unit = "trials";
  const FitReport rows = FitLaws(laws, table, settings);
  EXPECT_THAT(RenderText(FitDocument(rows, Analyze(laws, table, settings, rows), "t")),
              Not(HasSubstr("independent rows")));
}

TEST(ComparisonSection, NamesTheCriterionThatItsTableShows) {
  AnalysisReport analysis;
  LawComparison comparison;
  comparison.stratum = "KM";
  comparison.procedure.loss = FitProcedure::Loss::kBinomial;
  comparison.unit = "model";
  comparison.rows = 80;
  comparison.units = 5;
  comparison.is_clustered = true;
  comparison.dispersion = 3;
  analysis.comparisons.push_back(comparison);
  ReportDocument document;
  document.sections.push_back(ComparisonSection(analysis));
  EXPECT_THAT(RenderText(document), HasSubstr("  QAICc, its weights and BIC take the 80 rows for independent"));
}

TEST(Ablations, TestAFactorOverTheModels) {
  const Table table = Models(8, 0.1, 0.01, 10);
  const auto steps = Ablations(*FourFactorLaw(), table, FitSettings());
  ASSERT_EQ(steps.size(), 3u);
  // G^.07 is far beyond 1 % of a row, and lost in 10 % of a model where rows count as independent.
  EXPECT_EQ(steps[1].added.unit, "model");
  EXPECT_EQ(steps[1].added.over_units.why_none, "");
  EXPECT_LT(steps[1].added.over_units.p, 1e-3);
  EXPECT_GT(steps[1].added.p, steps[1].added.over_units.p);
}

TEST(CompareLaws, FoldsAndIntervalsAreByModel) {
  const Table table = Models(8, 0.1, 0.05, 11);
  const auto large = FourFactorLaw();
  const auto small =
      MakeFormula("A * N^alpha * log2(B)^beta", {{"A", {0, 1e300}}, {"alpha", {0, 0}}, {"beta", {0, 0}}});
  const std::vector<const Law*> laws = {small.get(), large.get()};
  const LawComparison comparison = CompareLaws(laws, table, FitSettings());
  EXPECT_EQ(comparison.unit, "model");
  EXPECT_EQ(comparison.units, 8u);
  EXPECT_EQ(comparison.laws[0].folds.scheme, "5-fold by model");
  EXPECT_EQ(comparison.laws[0].folds.interval_units, 8u);
  ASSERT_EQ(comparison.nested.size(), 1u);
  EXPECT_EQ(comparison.nested[0].over_units.df1, 2);
  EXPECT_NEAR(comparison.nested[0].over_units.df2, 6, 1e-6);  // 7 degrees of freedom less one.
}

// Eight families of two models each, alternately off by 20 %: rows say that they differ, models do not.
TEST(ChowTest, IsOverTheModelsToo) {
  Table table = Models(16, 0.1, 0.01, 12);
  std::vector<std::string> family;
  for (size_t row = 0; row < table.rows(); ++row) family.push_back(row / 12 % 2 == 0 ? "even" : "odd");
  table.AddTexts("family", family);
  const ChowTest test = Chow(*FourFactorLaw(), table, FitSettings(), "family");
  ASSERT_EQ(test.why_none, "");
  EXPECT_EQ(test.amplitudes.over_units.why_none, "");
  EXPECT_EQ(test.amplitudes.over_units.df1, 1);
  EXPECT_EQ(test.chow.over_units.df1, 5);
  EXPECT_GT(test.exponents.over_units.p, 1e-3);
}

// Of one parameter: the t of its robust error.
TEST(TestParameters, IsOverTheModelsToo) {
  const Table table = Models(8, 0.1, 0.01, 2);
  const auto law = FourFactorLaw();
  const NestedTest zero = TestParameters(*law, table, FitSettings(), {kUnset, kUnset, kUnset, kUnset, 0});
  const MethodFit fit = *FitLaw(*law, table, FitSettings()).ols;
  EXPECT_EQ(zero.unit, "model");
  EXPECT_NEAR(zero.over_units.p, fit.parameters[4].robust_p, 1e-9);
  const NestedTest planted = TestParameters(*law, table, FitSettings(), {kUnset, kUnset, kUnset, kUnset, 0.07});
  const ParameterEstimate& delta = fit.parameters[4];
  EXPECT_NEAR(planted.over_units.p, StudentP((delta.value - 0.07) / delta.robust_error, delta.robust_df), 1e-9);
}

class Quantizers : public ::testing::Test {
 protected:
  // rtn loses 30 % more; unquantized rows are of neither.
  static Table Study(const std::vector<std::string>& names) {
    Table table = Models(8, 0.05, 0.02, 13);
    std::vector<std::string> quantizer;
    Table changed(table.origin());
    for (size_t row = 0; row < table.rows(); ++row) quantizer.push_back(names[row % names.size()]);
    for (TableColumn column : table.columns()) {
      for (size_t row = 0; column.name == "acc_adj" && row < table.rows(); ++row) {
        if (quantizer[row] == "rtn") column.numbers[row] = std::pow(column.numbers[row], 1.3);
      }
      changed.Add(std::move(column));
    }
    changed.AddTexts("quantizer", quantizer);
    return changed;
  }
  static std::pair<LawAnalysis, std::string> Analyzed(const Table& table) {
    std::vector<std::unique_ptr<Law>> laws;
    laws.push_back(MakeFormula("A * N^alpha * log2(B)^beta * log2(Cb)^gamma",
                               {{"A", {0, 1e300}}, {"alpha", {0, 0}}, {"beta", {0, 0}}, {"gamma", {0, 0}}}));
    FitSettings settings;
    settings.bootstrap = 20;
    const FitReport report = FitLaws(laws, table, settings);
    const AnalysisReport analysis = Analyze(laws, table, settings, report);
    return {analysis.laws[0], RenderText(FitDocument(report, analysis, "t"))};
  }
};

TEST_F(Quantizers, ArePooledWithAWordATestAndALawEach) {
  const auto [analysis, text] = Analyzed(Study({"gptq", "gptq", "rtn"}));
  EXPECT_THAT(text, HasSubstr("all: ONE LAW OF 2 QUANTIZERS: gptq (64 rows), rtn (32 rows). Its exponents are those of "
                              "their mixture."));
  EXPECT_EQ(analysis.quantizers.groups, "quantizer");
  EXPECT_EQ(analysis.quantizers.why_none, "");
  EXPECT_LT(analysis.quantizers.amplitudes.p, 1e-3);
  ASSERT_EQ(analysis.by_quantizer.size(), 2u);
  EXPECT_EQ(analysis.by_quantizer[0].stratum, "gptq");
  EXPECT_EQ(analysis.by_quantizer[0].ols->rows, 64u);
  EXPECT_EQ(analysis.by_quantizer[1].ols->rows, 32u);
  EXPECT_THAT(text, HasSubstr("Each quantizer alone: exponents (standard error over model)"));
}

TEST_F(Quantizers, OfOneKindAreNotSplit) {
  for (const std::vector<std::string>& names :
       {std::vector<std::string>{"gptq"}, std::vector<std::string>{"gptq", "none"},
        std::vector<std::string>{"gptq", ""}}) {
    const auto [analysis, text] = Analyzed(Study(names));
    EXPECT_THAT(text, Not(HasSubstr("QUANTIZERS"))) << names.back();
    EXPECT_TRUE(analysis.by_quantizer.empty());
    EXPECT_EQ(analysis.quantizers.groups, "");
  }
}

class ZoneFlags : public ::testing::Test {
 protected:
  // Five models x bits x groups; accuracy of a model 0.5 to 0.9, times `kept` of its bits, with a little noise.
  static std::vector<Zone> Zones(const std::vector<std::pair<double, double>>& kept_of_bits, const std::string& formula,
                                 double noise, double floor = 0) {
    Rng rng(14);
    std::vector<Configuration> rows;
    std::vector<std::string> model;
    std::vector<double> accuracy;
    for (int m = 0; m < 5; ++m) {
      for (const auto& [bits, kept] : kept_of_bits) {
        for (const double group : {32.0, 64.0, 128.0}) {
          rows.push_back({1e8 * std::pow(4.0, m), bits, 128, group});
          model.push_back("m" + std::to_string(m));
          accuracy.push_back((0.5 + 0.1 * m) * kept * (1 + noise * rng.Normal()) - floor * (bits < 3));
        }
      }
    }
    Table table("zones");
    AddConfigurations(table, rows);
    table.AddTexts("model", model);
    table.AddNumbers("acc_adj", accuracy);
    std::vector<std::pair<std::string, std::pair<double, double>>> parameters = {{"A", {0, 1e300}}};
    for (const char* name : {"alpha", "beta", "delta"}) {
      if (formula.find(name) != std::string::npos) parameters.push_back({name, {0, 0}});
    }
    return Regimes(*MakeFormula(formula, parameters), table, FitSettings());
  }
};

// At 8 bits nothing is lost. A law of G alone explains nothing there: that is no collapse.
TEST_F(ZoneFlags, NeedAccuracyThatIsGone) {
  const auto zones = Zones({{3, 0.8}, {4, 0.98}, {8, 1}}, "A * N^alpha * log2(B)^beta * G^delta", 0.1);
  ASSERT_EQ(zones.size(), 3u);
  EXPECT_LT(zones[2].adjusted_r2, 0.9);
  EXPECT_NEAR(zones[2].kept, 1, 1e-9);  // Its own reference.
  EXPECT_THAT(zones[2].flags, IsEmpty());
  EXPECT_NEAR(zones[1].kept, 0.98, 0.06);
  EXPECT_THAT(zones[1].flags, IsEmpty());
  EXPECT_NEAR(zones[0].kept, 0.8, 0.06);
  EXPECT_THAT(zones[0].flags, ElementsAre("gap"));
  EXPECT_EQ(zones[0].why_not_judged, "");
}

TEST_F(ZoneFlags, OfALawWithoutAFactorLeftAreNoGap) {
  const auto zones = Zones({{3, 0.8}, {4, 0.98}, {8, 1}}, "A * log2(B)^beta", 0.01);
  ASSERT_EQ(zones.size(), 3u);
  EXPECT_THAT(zones[0].exponents, IsEmpty());
  EXPECT_THAT(zones[0].flags, IsEmpty());
}

TEST_F(ZoneFlags, AreNotGivenWhereTheLawExplainsTheLoss) {
  const auto zones = Zones({{3, 0.6}, {4, 0.98}, {8, 1}}, "A * N^alpha * log2(B)^beta", 0.001);
  EXPECT_GT(zones[0].adjusted_r2, 0.9);
  EXPECT_THAT(zones[0].flags, IsEmpty());
}

TEST_F(ZoneFlags, OfHalfTheAccuracyGoneAndNothingExplainedAreACollapse) {
  Table table("collapse");
  table.AddTexts("model", {"a", "b", "c", "d", "a", "b", "c", "d"});
  table.AddNumbers("N", {1, 2, 4, 8, 1, 2, 4, 8});
  table.AddNumbers("B", {8, 8, 8, 8, 2, 2, 2, 2});
  table.AddNumbers("acc_adj", {0.5, 0.6, 0.7, 0.8, 0.1, 0.12, 0.11, 0.1});
  const auto law = MakeFormula("A * N^alpha * log2(B)^beta", {{"A", {0, 1e300}}, {"alpha", {0, 0}}, {"beta", {0, 0}}});
  const auto zones = Regimes(*law, table, FitSettings());
  ASSERT_EQ(zones.size(), 2u);
  EXPECT_LT(zones[0].adjusted_r2, 0);
  EXPECT_THAT(zones[0].flags, ElementsAre("structural collapse"));
  EXPECT_THAT(zones[1].flags, IsEmpty());
}

// What a law without N leaves unexplained in a zone is how models differ, at 8 bits as at 2.
TEST_F(ZoneFlags, AreNotGivenByALawThatCannotTellTheModelsApart) {
  const auto zones = Zones({{2, 0.2}, {4, 0.98}, {8, 1}}, "A * log2(B)^beta * G^delta", 0.01);
  EXPECT_LT(zones[0].adjusted_r2, 0);
  EXPECT_NEAR(zones[0].kept, 0.2, 0.01);
  EXPECT_THAT(zones[0].flags, IsEmpty());
  EXPECT_EQ(zones[0].why_not_judged, "no covariate of the law tells the models apart");
  EXPECT_EQ(zones[2].why_not_judged, "");  // Nothing is lost there.
}

// 2 bits: one row, of half the accuracy. A row says nothing of what a law explains.
TEST_F(ZoneFlags, NeedRowsToJudgeBy) {
  Table table("few");
  table.AddTexts("model", {"a", "b", "c", "d", "a"});
  table.AddNumbers("N", {1, 2, 4, 8, 1});
  table.AddNumbers("B", {8, 8, 8, 8, 2});
  table.AddNumbers("acc_adj", {0.5, 0.6, 0.7, 0.8, 0.1});
  const auto law = MakeFormula("A * N^alpha * log2(B)^beta", {{"A", {0, 1e300}}, {"alpha", {0, 0}}, {"beta", {0, 0}}});
  const auto zones = Regimes(*law, table, FitSettings());
  ASSERT_EQ(zones.size(), 2u);
  EXPECT_NEAR(zones[0].kept, 0.2, 1e-12);
  EXPECT_THAT(zones[0].flags, IsEmpty());
  EXPECT_EQ(zones[0].why_not_judged, "1 row fitted or at chance, of at least 3 that are needed");
}

// acc_adj that nothing can have scored is no accuracy at chance, and no reference.
TEST_F(ZoneFlags, DoNotCountAccuraciesThatAreNone) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const double none : {-inf, inf, 1.27, -221.0}) {
    Table table("none");
    table.AddTexts("model", {"a", "b", "c", "a", "b", "c", "c"});
    table.AddNumbers("N", {1, 2, 4, 1, 2, 4, 4});
    table.AddNumbers("B", {8, 8, 8, 3, 3, 3, none < 0 ? 3.0 : 8.0});
    table.AddNumbers("acc_adj", {0.5, 0.6, 0.7, 0.4, 0.48, 0.56, none});
    const auto law = MakeFormula("A * N^alpha * log2(B)^beta", {{"A", {0, 1e300}}, {"alpha", {0, 0}}, {"beta", {0, 0}}});
    const auto zones = Regimes(*law, table, FitSettings());
    ASSERT_EQ(zones.size(), 2u) << none;
    EXPECT_EQ(zones[0].at_chance, 0u) << none;
    EXPECT_NEAR(zones[0].kept, 0.8, 1e-12) << none;  // 1.44 / 1.8
    EXPECT_NEAR(zones[1].kept, 1, 1e-12) << none;
  }
}

// All rows of 2 bits at or below chance: no fit has them, and the zone is there all the same.
TEST_F(ZoneFlags, OfRowsAtChanceAreACollapseThoughNoneIsFitted) {
  const auto zones = Zones({{2, 0.01}, {4, 0.98}, {8, 1}}, "A * N^alpha * log2(B)^beta", 0.001, 0.02);
  ASSERT_EQ(zones.size(), 3u);
  EXPECT_EQ(zones[0].name, "B == 2");
  EXPECT_EQ(zones[0].rows, 0u);
  EXPECT_EQ(zones[0].at_chance, 15u);
  EXPECT_EQ(zones[0].lost_share, 1);
  EXPECT_EQ(zones[0].why_none, "no row is fitted in it");
  EXPECT_THAT(zones[0].flags, ElementsAre("structural collapse"));
}

// Rows that the law is not about (no G) say nothing of its zones; the 16-bit ones among them are the reference.
TEST_F(ZoneFlags, AreOfTheRowsThatTheLawIsAbout) {
  Table table("zones");
  table.AddTexts("model", {"a", "a", "a", "a", "a", "a", "a", "a", "a"});
  table.AddNumbers("B", {16, 2, 2, 2, 2, 2, 3, 3, 3});
  table.AddNumbers("G", {kUnset, kUnset, 32, 64, 128, 256, 32, 64, 128});
  table.AddNumbers("acc_adj", {0.8, -0.1, 0.72, 0.73, 0.74, 0.73, 0.79, 0.80, 0.81});
  const auto law = MakeFormula("A * log2(B)^beta * G^delta", {{"A", {0, 1e300}}, {"beta", {0, 0}}, {"delta", {0, 0}}});
  const auto zones = Regimes(*law, table, FitSettings());
  ASSERT_EQ(zones.size(), 2u);
  EXPECT_EQ(zones[0].at_chance, 0u);
  EXPECT_NEAR(zones[0].kept, 2.92 / 3.2, 1e-12);
  EXPECT_THAT(zones[0].flags, IsEmpty());
  EXPECT_NEAR(zones[1].kept, 1, 1e-12);
}

}  // namespace
}  // namespace bitlaw
