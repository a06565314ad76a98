// Laws with the accuracy of the unquantized model as a covariate.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "fit/data/row_selection.h"
#include "fit/estimate/fit_laws.h"
#include "fit/examine/uncertainty.h"
#include "fit/refit/refitter.h"
#include "fit/table/baseline.h"
#include "support/planted_study.h"
#include "support/shipped_laws.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<double> kTheta = {12, -0.6, 2.5, -0.7, 0.5};  // c, a, k, g, d

double SixteenBits(int model) { return 0.3 + 0.12 * model; }

// Six models at 2, 3, 4 and 8 bits, and each unquantized, exactly on anchored_logistic. `without`: a model whose
// unquantized row is missing; `noise`: quantized rows are off by up to so much of themselves.
Table Study(bool with_quantizer = true, int without = -1, double noise = 0) {
  std::vector<Configuration> rows;
  std::vector<std::string> model, quantizer;
  std::vector<double> accuracy;
  for (int m = 0; m < 6; ++m) {
    const double size = 1e8 * std::pow(3, m);
    if (m != without) {
      rows.push_back({size, 16, 128, 64});
      model.push_back("m" + std::to_string(m)), quantizer.push_back("none"), accuracy.push_back(SixteenBits(m));
    }
    for (const Configuration& one : FullGrid({size}, {2, 3, 4, 8}, {8, 128}, {32, 128})) {
      rows.push_back(one);
      model.push_back("m" + std::to_string(m)), quantizer.push_back("gptq");
      const double odds = std::exp(kTheta[0]) * std::pow(size, kTheta[1]) *
                          std::pow(std::pow(2, one.bits) - 1, -kTheta[2]) *
                          std::pow(std::log2(one.samples), kTheta[3]) * std::pow(one.group, kTheta[4]);
      accuracy.push_back(SixteenBits(m) / (1 + odds) * (1 + noise * std::sin(3.0 * accuracy.size())));
    }
  }
  Table table("t.csv");
  AddConfigurations(table, rows);
  table.AddTexts("model", model);
  if (with_quantizer) table.AddTexts("quantizer", quantizer);
  table.AddNumbers("acc_adj", accuracy);
  return table;
}

FitReport FitTo(const Table& table) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(ShippedLaw("anchored_logistic"));
  FitSettings settings;
  settings.nulls = false;
  return FitLaws(laws, table, settings);
}

TEST(AnchoredLaws, FindTheUnquantizedModelsAmongTheRows) {
  for (const bool with_quantizer : {true, false}) {  // Without the column by their 16 bits.
    const FitReport report = FitTo(Study(with_quantizer));
    const LawFit& fit = report.fits[0];
    EXPECT_EQ(fit.used, 96u);
    ASSERT_EQ(fit.excluded.size(), 1u);
    EXPECT_EQ(fit.excluded[0].reason, "the unquantized model itself, which the law is anchored on");
    EXPECT_EQ(fit.excluded[0].rows, 6u);
    EXPECT_THAT(fit.warnings, IsEmpty());
    ASSERT_TRUE(fit.least_squares) << fit.why_no_least_squares;
    for (size_t j = 0; j < kTheta.size(); ++j)
      EXPECT_NEAR(fit.least_squares->parameters[j].value / kTheta[j], 1, 1e-6) << j;
  }
}

TEST(AnchoredLaws, NameTheModelsWithoutAnUnquantizedOne) {
  const FitReport report = FitTo(Study(true, 2));
  EXPECT_EQ(report.fits[0].used, 80u);
  EXPECT_THAT(report.fits[0].warnings,
              ElementsAre("no row has the accuracy of the unquantized model (baseline_acc_adj) of m2. Add a trial "
                          "`quantizer: none` of it; rows without one are left out"));
  const Table table = Study();
  std::vector<size_t> two_quantized = {1, 2, 18, 19};
  EXPECT_EQ(FitTo(table.Rows(two_quantized)).fits[0].unusable,
            "law 'anchored_logistic' needs the accuracy of each unquantized model (baseline_acc_adj), and t.csv has no "
            "row of one (quantizer 'none', or 16 bits). Add them, a trial `quantizer: none` a model, or the column: "
            "--map baseline_acc_adj=COLUMN");
  Table unknown = table.Rows(two_quantized);
  unknown.AddNumbers("baseline_acc_adj", std::vector<double>(4, kUnset));
  EXPECT_EQ(FitTo(unknown).fits[0].unusable,
            "law 'anchored_logistic': no row has the accuracy of the unquantized model (baseline_acc_adj) of m0, m1. Add "
            "a trial `quantizer: none` of each");
}

TEST(AnchoredLaws, LeaveOutModelsThatKnowNothingUnquantized) {
  Table table("t.csv");
  const Table study = Study();
  for (TableColumn column : study.columns()) {
    if (column.name == "acc_adj") column.numbers[0] = -0.01;
    table.Add(column);
  }
  const LawFit fit = FitTo(table).fits[0];
  EXPECT_EQ(fit.used, 80u);
  ASSERT_EQ(fit.excluded.size(), 2u);
  EXPECT_EQ(fit.excluded[1].reason, "the unquantized model is at or below chance");
  EXPECT_EQ(fit.excluded[1].example, "row 2: baseline_acc_adj = -0.01");
}

TEST(WithBaseline, TakesRowsOfTheSameTaskAndMeansOfSeveral) {
  Table table("t");
  table.AddTexts("model", {"a", "a", "a", "a", "b"});
  table.AddTexts("task", {"x", "x", "y", "x", "x"});
  table.AddTexts("quantizer", {"none", "none", "none", "gptq", "gptq"});
  table.AddNumbers("acc_adj", {0.4, 0.6, 0.9, 0.3, 0.2});
  const std::vector<double>& baseline = WithBaseline(table).Numbers("baseline_acc_adj");
  EXPECT_DOUBLE_EQ(baseline[3], 0.5);
  EXPECT_DOUBLE_EQ(baseline[2], 0.9);
  EXPECT_TRUE(std::isnan(baseline[4]));
  // Observations bring the value of the same items.
  table.AddTexts("trial", {"1", "1", "1", "2", "3"});
  table.AddNumbers("baseline_value", {0.5, 0.5, 0.5, 0.5, 0.5});
  EXPECT_EQ(WithBaseline(table).Find("baseline_acc_adj"), nullptr);
}

// acc_adj / baseline_acc_adj is all that the law is about: if every accuracy, the unquantized ones too, is 0.9 of what it
// was, the parameters are what they were.
TEST(Refitter, MovesTheUnquantizedAccuracyWithTheOthers) {
  const auto law = ShippedLaw("anchored_logistic");
  const Table table = WithBaseline(Study(true, -1, 0.01));
  FitSettings settings;
  const LawFit fit = FitLaw(*law, table, settings);
  ASSERT_TRUE(fit.least_squares);
  const std::vector<double> found = fit.least_squares->theta();
  const Refitter refitter(*law, table, settings, *fit.least_squares);
  EXPECT_EQ(refitter.ExplainFixedAnchor(), "");
  std::vector<double> accuracy = table.Numbers("acc_adj"), theta(5);
  for (double& one : accuracy) one *= 0.9;
  ASSERT_TRUE(refitter.RefitAccuracies(accuracy, theta));
  for (size_t j = 0; j < 5; ++j) EXPECT_NEAR(theta[j] / found[j], 1, 1e-5) << j;

  // Without their rows it cannot, and says so.
  std::vector<size_t> quantized;
  for (size_t row = 0; row < table.rows(); ++row) {
    if (table.TextAt("quantizer", row) != "none") quantized.push_back(row);
  }
  const Table others = table.Rows(quantized);
  const LawFit same = FitLaw(*law, others, settings);
  const Refitter fixed(*law, others, settings, *same.least_squares);
  EXPECT_EQ(fixed.ExplainFixedAnchor(),
            "96 of 96 rows take the accuracy of their unquantized model as exact, since its row is not in the table");
  accuracy = others.Numbers("acc_adj");
  for (double& one : accuracy) one *= 0.9;
  ASSERT_TRUE(fixed.RefitAccuracies(accuracy, theta));
  EXPECT_GT(std::fabs(theta[2] / found[2] - 1), 0.05);
}

// Each unquantized model is drawn once, with its own counts: without noise in the quantized rows the parameters scatter as
// its binomial error says.
TEST(Refitter, DrawsTheItemsOfUnquantizedModelsToo) {
  const auto law = ShippedLaw("anchored_logistic");
  Table table = WithBaseline(Study());
  std::vector<double> errors;
  for (size_t row = 0; row < table.rows(); ++row)
    errors.push_back(table.TextAt("quantizer", row) == "none" ? 0.02 : 1e-9);
  table.AddNumbers("standard_error", errors);
  FitSettings settings;
  const LawFit fit = FitLaw(*law, table, settings);
  ASSERT_TRUE(fit.least_squares);
  const Refitter refitter(*law, table, settings, *fit.least_squares);
  BootstrapOptions options;
  options.unit = "items";
  options.replicates = 200;
  const UncertaintyReport report = Bootstrap(refitter, table, *fit.least_squares, options);
  EXPECT_GT(report.quantities[2].bootstrap_error, 0.01);
}

}  // namespace
}  // namespace bitlaw
