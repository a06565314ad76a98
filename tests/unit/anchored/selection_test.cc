// A law chosen on inner hold-outs and judged on outer ones.
#include "fit/examine/selection/nested_selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "fit/examine/analysis.h"
#include "fit/output/fit_output.h"
#include "report/analysis_tables.h"
#include "support/planted_study.h"
#include "support/shipped_laws.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Six models at 2, 3, 4, 5 and 8 bits of one stratum, on anchored_logistic but for `noise` in acc_adj. The accuracies of
// rows for which `spoils` holds are 0.02.
StratumData Planted(double noise, const std::function<bool(double size, double bits)>& spoils = {},
                    bool holds_out_largest = false) {
  Rng rng(5);
  std::vector<Configuration> rows;
  std::vector<std::string> model;
  std::vector<double> accuracy, baseline, hold_out;
  for (int m = 0; m < 6; ++m) {
    const double size = 1e8 * std::pow(3, m), sixteen = 0.4 + 0.08 * m;
    for (const Configuration& one : FullGrid({size}, {2, 3, 4, 5, 8}, {8, 128}, {32, 128})) {
      rows.push_back(one);
      model.push_back("m" + std::to_string(m));
      baseline.push_back(sixteen);
      hold_out.push_back(holds_out_largest && m == 5 ? 1 : 0);
      const double odds = std::exp(15 - 0.6 * std::log(size) - 2.5 * std::log(std::pow(2, one.bits) - 1) -
                                   0.7 * std::log(std::log2(one.samples)) + 0.5 * std::log(one.group));
      const double exact = sixteen / (1 + odds) + noise * rng.Normal();
      accuracy.push_back(spoils && spoils(size, one.bits) ? 0.02 : exact);
    }
  }
  StratumData stratum;
  stratum.name = "KM";
  stratum.table = Table("t");
  AddConfigurations(stratum.table, rows);
  stratum.table.AddTexts("model", model);
  stratum.table.AddNumbers("acc_adj", accuracy);
  stratum.table.AddNumbers("baseline_acc_adj", baseline);
  stratum.table.AddNumbers("hold_out", hold_out);
  return stratum;
}

class NestedSelections : public ::testing::Test {
 protected:
  NestedSelections() {
    for (const char* name : {"anchored_logistic", "stratified_power"}) laws_.push_back(ShippedLaw(name));
    for (const auto& law : laws_) pointers_.push_back(law.get());
    settings_.select = true;
    settings_.random_starts = 8;
  }
  std::vector<NestedSelection> Select(const StratumData& stratum) const {
    return SelectNested(pointers_, stratum, settings_);
  }
  std::vector<std::unique_ptr<Law>> laws_;
  std::vector<const Law*> pointers_;
  FitSettings settings_;
};

TEST_F(NestedSelections, ExtrapolateInsideAsTheyAreJudgedOutside) {
  const auto selections = Select(Planted(0.002));
  ASSERT_EQ(selections.size(), 2u);
  EXPECT_EQ(selections[0].outer, "N == 2.43e+10");
  EXPECT_THAT(selections[0].inner, ElementsAre("N == 8.1e+09", "N == 2.7e+09"));  // Three of five are left.
  EXPECT_EQ(selections[0].rows, 100u);
  EXPECT_EQ(selections[0].outer_rows, 20u);
  EXPECT_EQ(selections[1].outer, "B == 2");
  EXPECT_THAT(selections[1].inner, ElementsAre("B == 3", "B == 4"));
  for (const NestedSelection& one : selections) {
    ASSERT_NE(one.chosen(), nullptr);
    EXPECT_EQ(one.chosen()->law, "anchored_logistic") << one.outer;
    EXPECT_LT(one.chosen()->outer.accuracy_mae, 0.02) << one.outer;
    EXPECT_GT(one.candidates[1].outer.accuracy_mae, 2 * one.chosen()->outer.accuracy_mae) << one.outer;
    const Interval& interval = one.chosen()->outer.accuracy_mae_interval;
    EXPECT_LT(interval.low, one.chosen()->outer.accuracy_mae);
    EXPECT_GT(interval.high, one.chosen()->outer.accuracy_mae);
  }
  EXPECT_EQ(selections[1].chosen()->outer.interval_unit, "model");
  EXPECT_EQ(selections[1].chosen()->outer.interval_units, 6u);
}

TEST_F(NestedSelections, SeeNothingOfTheRowsThatTheyAreJudgedOn) {
  const auto clean = Select(Planted(0.002));
  const auto sizes = Select(Planted(0.002, [](double size, double) { return size > 2e10; }));
  const auto bits = Select(Planted(0.002, [](double, double b) { return b == 2; }));
  const auto expect_same_choice = [](const NestedSelection& a, const NestedSelection& b) {
    ASSERT_EQ(a.candidates.size(), b.candidates.size());
    for (size_t i = 0; i < a.candidates.size(); ++i) {
      EXPECT_EQ(a.candidates[i].law, b.candidates[i].law);
      EXPECT_EQ(a.candidates[i].inner_mae, b.candidates[i].inner_mae);
      EXPECT_EQ(a.candidates[i].outer.predicted_accuracy, b.candidates[i].outer.predicted_accuracy);
      EXPECT_GT(b.candidates[i].outer.accuracy_mae, 2 * a.candidates[i].outer.accuracy_mae);
    }
  };
  expect_same_choice(clean[0], sizes[0]);
  expect_same_choice(clean[1], bits[1]);
}

TEST_F(NestedSelections, JudgeOnRowsThatTheStudyHoldsOut) {
  const auto selections = Select(Planted(0.002, {}, true));
  ASSERT_EQ(selections.size(), 3u);
  EXPECT_EQ(selections[0].outer, "rows of hold_out");
  EXPECT_THAT(selections[0].inner, ElementsAre("N == 8.1e+09", "N == 2.7e+09"));
  EXPECT_EQ(selections[0].rows, 100u);
  EXPECT_EQ(selections[0].chosen()->outer.accuracy_rows, 20u);
  EXPECT_EQ(selections[1].outer, "N == 8.1e+09");
}

TEST_F(NestedSelections, NameALawThatCannotPredictAnInnerHoldOut) {
  StratumData stratum = Planted(0.002);
  std::vector<size_t> rows = stratum.table.Where(Expression::Parse("B == 2 or B == 3 or (B == 8 and Cb == 8 and G == 32)"));
  stratum.table = stratum.table.Rows(rows);
  const auto selections = Select(stratum);
  ASSERT_EQ(selections.size(), 2u);
  EXPECT_EQ(selections[1].outer, "B == 2");
  EXPECT_EQ(selections[1].why_none, "2 values are left of B, and an inner hold-out needs three");
  AnalysisReport report;
  report.selections = selections;
  EXPECT_THAT(RenderText(SelectionSection(report).tables[0]),
              HasSubstr("KM, B == 2: nothing is chosen, because 2 values are left of B, and an inner hold-out needs three."));
}

// More bits were measured with one calibration size alone: beyond 4 bits no law can say what Cb does.
TEST_F(NestedSelections, AreNotJudgedByAHoldOutThatNoLawPredicts) {
  StratumData stratum = Planted(0.002);
  stratum.table = stratum.table.Rows(stratum.table.Where(Expression::Parse("B <= 4 or Cb == 128")));
  const auto selections = Select(stratum);
  ASSERT_EQ(selections.size(), 2u);
  EXPECT_THAT(selections[1].inner, ElementsAre("B == 3"));
  EXPECT_THAT(selections[1].unpredicted, ElementsAre(HasSubstr("B == 4: Cb does not vary")));
  for (const SelectionCandidate& one : selections[1].candidates) EXPECT_EQ(one.inner.size(), 1u);
  ASSERT_NE(selections[1].chosen(), nullptr);
  EXPECT_EQ(selections[1].chosen()->law, "anchored_logistic");
  AnalysisReport report;
  report.selections = selections;
  EXPECT_THAT(RenderText(SelectionSection(report).tables[0]),
              HasSubstr("KM, B == 2: no law is judged by a hold-out that none predicts. B == 4: Cb does not vary"));
  // Where that leaves none, nothing is chosen.
  stratum.table = stratum.table.Rows(stratum.table.Where(Expression::Parse("B <= 3 or Cb == 128")));
  const auto without = Select(stratum);
  EXPECT_EQ(without[1].chosen(), nullptr);
  EXPECT_THAT(without[1].why_none, HasSubstr("no law can predict an inner hold-out (B == 3: Cb does not vary"));
}

TEST_F(NestedSelections, ChooseOneLawForAllStrataByTheMean) {
  NestedSelection a;
  a.stratum = "a", a.outer = "B == 2", a.inner = {"B == 3"}, a.outer_rows = 4;
  NestedSelection b = a;
  b.stratum = "b";
  const auto candidate = [](const char* law, double inner, double outer) {
    SelectionCandidate one;
    one.law = law, one.inner_mae = inner, one.outer.accuracy_mae = outer, one.outer.accuracy_rows = 4;
    return one;
  };
  a.candidates = {candidate("x", 0.01, 0.1), candidate("y", 0.02, 0.3)};
  b.candidates = {candidate("y", 0.02, 0.1), candidate("x", 0.05, 0.2)};
  const auto shared = SelectForAll(std::vector{a, b});
  ASSERT_EQ(shared.size(), 1u);
  EXPECT_EQ(shared[0].stratum, "all strata");
  EXPECT_EQ(shared[0].outer_rows, 8u);
  EXPECT_EQ(shared[0].chosen()->law, "y");
  EXPECT_DOUBLE_EQ(shared[0].chosen()->inner_mae, 0.02);
  EXPECT_DOUBLE_EQ(shared[0].chosen()->outer.accuracy_mae, 0.2);
  EXPECT_EQ(shared[0].best_afterwards()->law, "x");
}

TEST_F(NestedSelections, StandInTheReportAndTheJson) {
  const StratumData stratum = Planted(0.002);
  settings_.compare = false;
  settings_.bootstrap = 0;
  const FitReport fits = FitLaws(laws_, stratum.table, settings_);
  const AnalysisReport analysis = Analyze(laws_, stratum.table, settings_, fits);
  ASSERT_EQ(analysis.selections.size(), 2u);
  const Value json = AnalysisJson(analysis);
  const Value one = json.Find("selections")->AsList()[1];
  EXPECT_EQ(one.Find("outer")->AsString(), "B == 2");
  EXPECT_EQ(one.Find("chosen")->AsString(), "anchored_logistic");
  EXPECT_EQ(one.Find("candidates")->AsList()[0].Find("inner")->AsList().size(), 2u);
  const ReportTable table = SelectionSection(analysis).tables[0];
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(table.rows[1][3].text, "anchored_logistic");
  EXPECT_EQ(table.rows[1][8].text, "model (6)");
  settings_.select = false;
  EXPECT_TRUE(Analyze(laws_, stratum.table, settings_, fits).selections.empty());
}

}  // namespace
}  // namespace bitlaw
