// The first page of a report, on results that each sentence follows from.
#include "report/page/front_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "report/study_report.h"
#include "sample_report.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(FrontPage, SaysWhatWasLeftOutAndWhatMayNotBeConcluded) {
  ReportDocument page;
  page.sections = FrontPage(SampleReport());
  ASSERT_FALSE(page.sections[0].tables.empty());
  EXPECT_EQ(page.sections[0].tables[0].name, LawsTable(SampleReport()).name);
  const std::string text = RenderText(page);
  EXPECT_THAT(text, HasSubstr("- KA (knowledge application): power_n_b is the law (adjusted R2 1.00 over 8 rows).\n"));
  EXPECT_THAT(
      text,
      HasSubstr("- power_n_b says -log(acc_adj) = A * N^alpha * log2(B)^beta. N: Parameters without input embedding"));
  EXPECT_THAT(
      text,
      HasSubstr("- Not fitted, accuracy at or below chance (acc_adj <= 0): 1 row in KM (the first: b gptq bits=3: "
                "acc_adj = 0).\n- 1 trial failed.\n"));
  EXPECT_THAT(text, HasSubstr("- Anything outside of what the laws were fitted to: N 1G to 2G weights, B 3 to 16 "
                              "bits.\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "- Other families of models: all of these are toy.\n- Other quantizers: the laws were fitted to gptq.\n"));
}

// The quantizer of rows that no law was fitted to is not among them.
TEST(FrontPage, NamesTheQuantizersThatLawsSaw) {
  StudyResults report = SampleReport();
  Table observations("observations");
  for (TableColumn column : report.observations.columns()) {
    for (size_t row = 0; column.name == "quantizer" && row < column.size(); ++row) {
      if (report.observations.TextAt("label", row) == "b gptq bits=3") column.texts[row] = "rtn";
    }
    observations.Add(std::move(column));
  }
  report.observations = observations;
  for (size_t row = 0; row < report.predictions.rows(); ++row)
    ASSERT_FALSE(report.predictions.TextAt("name", row).empty());
  ReportDocument page;
  page.sections = FrontPage(report);
  // In KA the row was fitted.
  EXPECT_THAT(RenderText(page), HasSubstr("the laws were fitted to gptq, rtn.\n"));
  report.predictions = report.predictions.Rows(report.predictions.Where(Expression::Parse("name != 'b gptq bits=3'")));
  page.sections = FrontPage(report);
  EXPECT_THAT(RenderText(page), HasSubstr("the laws were fitted to gptq.\n"));
}

TEST(FrontPage, SaysWhyThereIsNoLaw) {
  StudyResults report = SampleReport(1e9);
  ReportDocument page;
  page.sections = FrontPage(report);
  EXPECT_THAT(RenderText(page),
              HasSubstr("- KA (knowledge application): no law could be fitted. power_n_b: N does not vary: it is "
                        "1e+09 in all 8 rows"));
  report.fits = FitReport();
  report.fits.strata.resize(1);
  page.sections = FrontPage(report);
  EXPECT_THAT(RenderText(page), HasSubstr("The study names no law, so none was fitted: scores are in the appendix.\n"));
  EXPECT_EQ(SummaryLines(report).front(), "4 warnings, listed in the report");
}

// Trials 1 and 2 are a at 3 and 4 bits, 5 and 6 those of b.
TEST(FrontPage, BeginsWithTheVerdicts) {
  StudyResults report = SampleReport();
  const auto flips = [](const char* trial, int64_t lost, int64_t gained) {
    return TrialFlips{trial, trial, "a", "gptq", {{"arc", "KA", 500, lost, gained}}};
  };
  const std::vector<TrialFlips> trials = {flips("000000000001", 90, 10), flips("000000000002", 12, 8),
                                          flips("000000000005", 80, 10), flips("000000000006", 60, 5)};
  report.verdicts = JudgeDegradation(trials);
  report.verdict_notes = {"2 results have no unquantized model to compare with"};
  EXPECT_THAT(
      FindingsSection(report).bullets.front(),
      HasSubstr(
          "3 of 4 quantized trials have got worse than the unquantized model by more than chance, over all benchmarks "
          "together: 2 of 2 at B = 3, 1 of 2 at B = 4. The chance that one or more of these verdicts is a false alarm "
          "is at most 5 % (exact McNemar tests, Holm over trials). Of the other 1 no loss is shown, which is no proof "
          "that there is none: up to 2.3 % of the items may be lost (one-sided, 95 %, each trial by itself)."));
  EXPECT_NEAR(LossAtMost(500, 12, 8, 0.95), 0.0231, 0.0005);
  EXPECT_EQ(SummaryLines(report).front(), "3 of 4 quantized trials got worse by more than chance");
  const std::string text = RenderText(StudyDocument(report));
  EXPECT_THAT(
      text,
      HasSubstr("\nDegraded or not\n---------------\n- No part of the verdicts: 2 results have no unquantized model to "
                "compare with.\n"));
  EXPECT_THAT(text, HasSubstr("3 of 4 trials degraded"));
}

// The only fit of a law to a stratum, and what examines it.
LawFit& FitOf(StudyResults& report, const std::string& law, const std::string& stratum) {
  for (LawFit& fit : report.fits.fits) {
    if (fit.law == law && fit.stratum == stratum) return fit;
  }
  throw InternalError("no fit of " + law + " to " + stratum);
}

LawAnalysis AnalysisOf(const std::string& law, const std::string& stratum) {
  LawAnalysis analysis;
  analysis.law = law, analysis.stratum = stratum;
  return analysis;
}

ValidationResult HeldOut(const std::string& condition, double accuracy_mae, double accuracy_r2) {
  ValidationResult result;
  result.scheme = "hold out " + condition;
  result.validation_rows = result.accuracy_rows = 4;
  result.mae = 0.3, result.r2 = 0.2;
  result.accuracy_mae = accuracy_mae, result.accuracy_r2 = accuracy_r2;
  return result;
}

std::string PageText(const StudyResults& report) {
  ReportDocument page;
  page.sections = FrontPage(report);
  return RenderText(page);
}

TEST(FrontPage, SaysEverythingThatIsNoPartOfTheFits) {
  StudyResults report = SampleReport();
  const std::string before = PageText(report);
  EXPECT_THAT(before, HasSubstr("- 1 cell of the grid cannot be: the appendix says why.\n"));
  EXPECT_THAT(before, HasSubstr("- Only the first items were scored of 1 task.\n"));
  EXPECT_THAT(before, Not(HasSubstr("Kept out of every fit")));
  report.description.models[1].hold_out = true;
  report.fit_faults = {{ErrorKind::kSpec, "law 'five' needs the column D, which the table lacks"}};
  const std::string after = PageText(report);
  EXPECT_THAT(after, HasSubstr("- Kept out of every fit by the study: b.\n"));
  EXPECT_THAT(after, HasSubstr("- law 'five' needs the column D, which the table lacks.\n"));
}

// Errors are in points of adjusted accuracy where they can be; R2 says whether a law may be used beyond its rows.
TEST(FrontPage, SaysHowFarLawsAreOffWhereTheyWereNotFitted) {
  StudyResults report = SampleReport();
  report.analysis.laws = {AnalysisOf("power_n_b", "KA")};
  report.analysis.laws[0].validation = {HeldOut("N == 2000000000", 0.065, -0.4), HeldOut("B == 3", 0.12, -2)};
  LawFit& fit = FitOf(report, "power_n_b", "KA");
  ASSERT_EQ(fit.Methods().front(), &*fit.binomial);
  fit.binomial->on_held_out = {6, 0.2, 0.3, 6, 0.031, 0.04};
  report.description.models[1].hold_out = true;
  const std::string text = PageText(report);
  EXPECT_THAT(text, HasSubstr("- KA (knowledge application): power_n_b is the law (adjusted R2 1.00 over 8 rows). "
                              "Of what it was not fitted to, it is off by 6.5 points on the largest size (N = 2G "
                              "weights), by 12.0 points on the fewest bits (B = 3 bits) and by 3.1 points on what "
                              "is kept out of all fits (b).\n"));
  EXPECT_THAT(text, HasSubstr("Accuracy is adjusted for guessing"));
  EXPECT_THAT(text, HasSubstr("- How accurate models are at fewer bits than were fitted (KA): laws fitted without B "
                              "= 3 bits are further off there than the mean accuracy of those rows is.\n"));
  EXPECT_THAT(text, HasSubstr("- How accurate larger models are (KA): laws fitted without N = 2G weights are "
                              "further off there than the mean accuracy of those rows is.\n"));
  EXPECT_EQ(SummaryLines(report).front(),
            "KA: power_n_b, off by 6.5 points of accuracy on the largest size, 12.0 on the fewest bits, 3.1 on what is "
            "kept out of all fits");

  report.analysis.laws[0].validation = {HeldOut("N == 2000000000", 0.065, 0.4), HeldOut("B == 3", 0.12, 0.2)};
  EXPECT_THAT(PageText(report), Not(HasSubstr("further off there")));
}

TEST(FrontPage, SaysHowSureItIs) {
  StudyResults report = SampleReport();
  report.analysis.laws = {AnalysisOf("power_n_b", "KA")};
  UncertaintyReport& of = report.analysis.laws[0].uncertainty;
  of.level = 0.9, of.independent = "model", of.independent_units = 2, of.is_clustered = true;
  LawComparison scattered, even;
  scattered.stratum = "KA", scattered.dispersion = 3.2;
  even.stratum = "KM", even.dispersion = 1.5;
  report.analysis.comparisons = {scattered, even};
  const std::string few = "That is few, whatever the number of rows";
  EXPECT_THAT(PageText(report),
              HasSubstr("- Intervals of exponents are at 90 % and count each model as one independent observation, "
                        "of which there are 2. " + few));
  EXPECT_THAT(PageText(report), HasSubstr("so they miss something that differs between trials: 3.2 times in KA.\n"));
  report.analysis.laws[0].uncertainty.independent_units = 8;
  EXPECT_THAT(PageText(report), Not(HasSubstr(few)));
}

TEST(FrontPage, SaysWhichStratumDependsMostAndWhereAccuracyIsLost) {
  StudyResults report = SampleReport();
  SensitivityRanking ranking;
  ranking.parameter = "alpha";
  ranking.places.resize(2);
  ranking.places[0].stratum = "KM", ranking.places[0].value = -0.31;
  ranking.places[1].stratum = "KA", ranking.places[1].value = -0.15;
  ranking.pairs.resize(1);
  ranking.pairs[0].a = "KA", ranking.pairs[0].b = "KM", ranking.pairs[0].p_holm = 0.2;
  StrataTests tests;
  tests.law = "power_n_b";
  tests.rankings = {ranking};
  report.analysis.strata = {tests};
  const std::string ranked = "- The exponent alpha is furthest from zero in KM (-0.31) and nearest to it in KA "
                             "(-0.15); ";
  EXPECT_THAT(PageText(report), HasSubstr(ranked + "the two cannot be told apart (p = 0.2 after Holm).\n"));
  report.analysis.strata[0].rankings[0].pairs[0].p_holm = 0.01;
  EXPECT_THAT(PageText(report), HasSubstr(ranked + "the two differ (p = 0.01 after Holm).\n"));
  report.analysis.strata[0].rankings[0].pairs.clear();
  EXPECT_THAT(PageText(report), HasSubstr(ranked + "whether they differ was not tested.\n"));

  report.analysis.laws = {AnalysisOf("power_n_b", "KA"), AnalysisOf("power_n_b", "KM"), AnalysisOf("four", "KA")};
  Zone lost, gap, kept;
  lost.name = "B == 3", lost.kept = 0.32, lost.flags = {"gap", "precision collapse"};
  gap.name = "B == 3", gap.kept = 0.7, gap.flags = {"gap"};
  kept.name = "B == 8", kept.kept = 0.99;
  report.analysis.laws[0].zones = {lost, kept};
  report.analysis.laws[1].zones = {gap};
  report.analysis.laws[2].zones = {lost};
  EXPECT_THAT(LostZones(report, "power_n_b"),
              ElementsAre("At B = 3 bits accuracy is lost beyond what power_n_b explains: KA keeps 32 % of the "
                          "unquantized accuracy (precision collapse: smaller groups do not visibly help), KM keeps "
                          "70 % of the unquantized accuracy."));
  EXPECT_THAT(PageText(report), HasSubstr("- At B = 3 bits accuracy is lost beyond what power_n_b explains: KA "
                                          "keeps 32 %"));
}

// What was held out is outside of what the laws were fitted to.
TEST(FrontPage, SaysWhatLawsWereFittedToAndThatTheyAreNoCauses) {
  StudyResults report = SampleReport();
  EXPECT_THAT(PageText(report), HasSubstr("- That a factor causes what an exponent says of it"));
  TableColumn set = *report.predictions.Find("set"), model = *report.predictions.Find("N");
  Table predictions("predictions");
  for (TableColumn column : report.predictions.columns()) {
    for (size_t row = 0; column.name == "set" && row < column.size(); ++row) {
      if (model.numbers[row] == 2e9) column.texts[row] = "held out";
    }
    predictions.Add(std::move(column));
  }
  report.predictions = predictions;
  EXPECT_THAT(PageText(report), HasSubstr("what the laws were fitted to: N 1G to 1G weights"));
  report.fits = FitReport();
  EXPECT_THAT(PageText(report), Not(HasSubstr("causes")));
}

}  // namespace
}  // namespace bitlaw
