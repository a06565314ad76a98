// What items tell beside accuracies, as columns of the rows of fits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "fit/data/constant_covariate.h"
#include "fit/data/row_selection.h"
#include "fit/estimate/fit_laws.h"
#include "fit/table/strata_data.h"
#include "support/planted_study.h"
#include "support/shipped_laws.h"

namespace bitlaw {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNan;

// Two trials of tasks a and b with choices, and of c, which generates.
Table Observations() {
  const double kNone = std::nan("");
  Table table("observations");
  table.AddTexts("trial", {"1", "1", "1", "2", "2", "2"});
  table.AddTexts("task", {"a", "b", "c", "a", "b", "c"});
  table.AddTexts("stratum", std::vector<std::string>(6, "KM"));
  table.AddTexts("metric_kind", std::vector<std::string>(6, "accuracy"));
  table.AddNumbers("acc_adj", std::vector<double>(6, 0.5));
  table.AddNumbers("value", std::vector<double>(6, 0.5));
  table.AddNumbers("chance", std::vector<double>(6, 0));
  table.AddNumbers("standard_error", std::vector<double>(6, 0.1));
  table.AddNumbers("items", std::vector<double>(6, 25));
  table.AddNumbers("B", {4, 4, 4, 2, 2, 2});
  table.AddNumbers("kl_choices", {0.1, 0.3, kNone, 0.5, 0.7, kNone});
  table.AddNumbers("kl_choices_error", {0.03, 0.04, kNone, 0.06, 0.08, kNone});
  table.AddNumbers("answer_characters", {kNone, kNone, 5, kNone, kNone, kNone});
  return table;
}

TEST(ItemResponsesOfStrata, AreMeansOverTheTasksThatTellThem) {
  const Table km = SplitStrata(Observations()).strata[0].table;
  EXPECT_NEAR(km.NumberAt("kl_choices", 0), 0.2, 1e-15);
  EXPECT_NEAR(km.NumberAt("kl_choices", 1), 0.6, 1e-15);
  EXPECT_NEAR(km.NumberAt("kl_choices_error", 0), 0.025, 1e-15);  // sqrt(0.03^2 + 0.04^2) / 2
  EXPECT_NEAR(km.NumberAt("kl_choices_error", 1), 0.05, 1e-15);
  EXPECT_THAT(km.Numbers("kl_choices_tasks"), ElementsAre(2, 2));
  EXPECT_THAT(km.Numbers("answer_characters"), ElementsAre(5, IsNan()));  // The other trial lacks the task's.
  EXPECT_THAT(km.Numbers("answer_characters_tasks"), ElementsAre(1, 1));
  EXPECT_EQ(km.Find("bits_per_byte"), nullptr);
}

TEST(ItemResponsesOfStrata, LeaveRowsOfTasksAsTheyAre) {
  const Table rows = SplitStrata(Observations(), false).strata[0].table;
  EXPECT_THAT(rows.Numbers("kl_choices"), ElementsAre(0.1, 0.3, IsNan(), 0.5, 0.7, IsNan()));
}

TEST(ItemResponsesOfStrata, WarnWhereSomeTasksDoNotTellThem) {
  const Table km = SplitStrata(Observations()).strata[0].table;
  const auto warnings = [&](const std::string& response) {
    const Value::Map given = {{"formula", "A * B^-k"}, {"response", response}};
    const FormulaLaw law("mine", FormulaLaw::Schema().Resolve(given, "law 'formula'"));
    return SelectRows(law, km, {}).warnings;
  };
  EXPECT_THAT(warnings("kl_choices"),
              Contains("kl_choices is of 2 of the 3 tasks; no items of the others tell it"));
  EXPECT_TRUE(warnings("acc_adj").empty());
  try {
    warnings("bits_per_byte");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("observations lacks it. Observations have it of the items of records: give the "
                                        "study's file in place of its folder"));
  }
}

// A study on a law: N, 2, 3, 4 and 8 bits; every trial has the response of the law's formula.
Table Planted(const std::string& law, const std::vector<double>& theta, const std::string& response,
              const std::string& baseline) {
  const auto planted = ShippedLaw(law);
  std::vector<Configuration> rows;
  std::vector<double> values, before;
  for (int m = 0; m < 5; ++m) {
    for (const Configuration& one : FullGrid({1e8 * std::pow(3, m)}, {2, 3, 4, 8}, {8, 128}, {32, 128})) {
      rows.push_back(one);
      before.push_back(1 + 0.1 * m);
      std::vector<double> x;
      for (const std::string& name : planted->covariates()) {
        x.push_back(name == "N"    ? one.size
                    : name == "B"  ? one.bits
                    : name == "Cb" ? one.samples
                    : name == "G"  ? one.group
                                   : before.back());
      }
      values.push_back(planted->Predict(theta, x, {}));
    }
  }
  Table table("t.csv");
  AddConfigurations(table, rows);
  table.AddNumbers(response, values);
  if (!baseline.empty()) table.AddNumbers(baseline, before);
  return table;
}

void ExpectFound(const std::string& law, const std::vector<double>& theta, const Table& table) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(ShippedLaw(law));
  FitSettings settings;
  settings.nulls = false;
  const FitReport report = FitLaws(laws, table, settings);
  ASSERT_EQ(report.fits.size(), 1u);
  ASSERT_FALSE(report.fits[0].Methods().empty()) << report.fits[0].unusable;
  const std::vector<double> found = report.fits[0].Methods().front()->theta();
  for (size_t j = 0; j < theta.size(); ++j)
    EXPECT_NEAR(found[j], theta[j], 1e-4 * std::abs(theta[j])) << law << " " << j;
}

TEST(LawsOfItemResponses, LeaveOutUnquantizedModelsAndTakeOneAnchorOfAll) {
  Table table("t.csv");
  table.AddTexts("quantizer", {"none", "rtn", "rtn"});
  table.AddNumbers("N", {1e6, 1e6, 2e6});
  table.AddNumbers("B", {16, 3, 4});
  table.AddNumbers("answer_characters", {4, 6, 5});
  table.AddNumbers("baseline_answer_characters", {4, 4, 4});
  const LawRows rows = SelectRows(*ShippedLaw("answer_length"), table, {});
  EXPECT_THAT(rows.fit_index, ElementsAre(1, 2));
  ASSERT_EQ(rows.excluded.size(), 1u);
  EXPECT_EQ(rows.excluded[0].reason, "the unquantized model itself, which the law is anchored on");
  EXPECT_EQ(ExplainConstantCovariate(*ShippedLaw("answer_length"), rows.fit), "");
}

TEST(LawsOfItemResponses, FindWhatWasPlanted) {
  const std::vector<double> noise = {40, -0.25, 2, -0.4, 0.5};
  ExpectFound("kl_power", noise, Planted("kl_power", noise, "kl_choices", ""));
  ExpectFound("added_bits_power", noise, Planted("added_bits_power", noise, "added_bits_per_byte", ""));
  ExpectFound("anchored_bits", noise, Planted("anchored_bits", noise, "bits_per_byte", "baseline_bits_per_byte"));
  const std::vector<double> length = {-2, -0.1, 1.5};
  ExpectFound("answer_length", length,
              Planted("answer_length", length, "answer_characters", "baseline_answer_characters"));
}

}  // namespace
}  // namespace bitlaw
