#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/sdk/expression/expression.h"
#include "report/analysis_tables.h"
#include "report/page/front_page.h"
#include "report/page/sentences.h"
#include "report/pictures/best_laws.h"

namespace bitlaw {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kLogarithm = "-log(acc_adj)";

LawFit Fitted(const std::string& law, const std::string& response, double mae_kept_out) {
  LawFit fit;
  fit.law = law, fit.response = response, fit.formula = "A * N^alpha", fit.stratum = "KA";
  MethodFit method;
  method.procedure.loss = FitProcedure::Loss::kBinomial;
  method.rows = 40, method.quality.adjusted_r2 = 0.75;
  method.on_held_out.accuracy_rows = 8, method.on_held_out.accuracy_mae = mae_kept_out;
  ParameterEstimate amplitude, alpha;
  amplitude.name = "A", amplitude.value = 480;
  alpha.name = "alpha", alpha.value = -0.4429;
  method.parameters = {amplitude, alpha};
  fit.binomial = method;
  return fit;
}

ValidationResult Errors(const std::string& scheme, double mae, double rmse, double r2) {
  ValidationResult errors;
  errors.scheme = scheme, errors.accuracy_rows = 8;
  errors.accuracy_mae = mae, errors.accuracy_rmse = rmse, errors.accuracy_r2 = r2;
  return errors;
}

Uncertainty Quantity(const std::string& name, Interval delta, Interval percentile) {
  Uncertainty quantity;
  quantity.name = name, quantity.delta = delta, quantity.percentile = percentile;
  return quantity;
}

LawAnalysis Examined(const std::string& law, double mae_sizes, double mae_bits) {
  LawAnalysis analysis;
  analysis.law = law, analysis.stratum = "KA";
  analysis.validation = {Errors("5-fold", 0.02, 0.03, 0.9), Errors("hold out N == 2e9", mae_sizes, 0.1, 0.72),
                         Errors("hold out B == 2", mae_bits, 0.2, -3)};
  analysis.uncertainty.quantities = {Quantity("A", {164.6, 1399}, {11.99, 87680}),
                                     Quantity("alpha", {-0.5424, -0.3433}, {-0.8463, -0.1422})};
  return analysis;
}

ComparedLaw Compared(const std::string& law, double delta, double rmse_folds) {
  ComparedLaw one;
  one.law = law, one.delta_aicc = delta;
  one.in_sample = Errors("in sample", 0.01, 0.01, 1);
  one.folds = Errors("5-fold", 0.02, rmse_folds, 0.9);
  return one;
}

// `near` is better than `far` by QAICc, and worse over the folds.
StudyResults TwoLaws() {
  StudyResults results;
  results.fits.settings.confidence = 0.9;
  results.observations.AddNumbers("N", {1e9});  // Something is recorded.
  results.fits.strata.push_back({"KA", {"arc"}, 40, {}});
  results.fits.fits = {Fitted("far", kLogarithm, 0.2), Fitted("near", kLogarithm, 0.1)};
  results.analysis.laws = {Examined("far", 0.3, 0.4), Examined("near", 0.05, 0.15)};
  LawComparison comparison;
  comparison.stratum = "KA", comparison.response = kLogarithm, comparison.dispersion = 3;
  comparison.laws = {Compared("near", 0, 0.04), Compared("far", 12.5, 0.03)};
  results.analysis.comparisons = {comparison};
  return results;
}

// The same with a law of another response, which is better than both over the folds.
StudyResults ThreeLaws(double rmse_other) {
  StudyResults results = TwoLaws();
  results.fits.fits.push_back(Fitted("other", "acc", 0.3));
  LawComparison comparison;
  comparison.stratum = "KA", comparison.has_several_responses = true;
  comparison.laws = {Compared("far", kUnset, 0.03), Compared("near", kUnset, 0.04),
                     Compared("other", kUnset, rmse_other)};
  results.analysis.comparisons.push_back(comparison);
  return results;
}

std::vector<std::string> Names(const std::vector<StratumLaw>& laws) {
  std::vector<std::string> names;
  for (const StratumLaw& one : laws) names.push_back(one.law);
  return names;
}

TEST(RankedLaws, OfOneResponseAreInTheOrderOfTheirCriterion) {
  const StudyResults results = TwoLaws();
  const std::vector<StratumLaw> laws = RankedLaws(results, "KA");
  EXPECT_THAT(Names(laws), ElementsAre("near", "far"));
  EXPECT_EQ(laws[0].within + " " + laws[1].within, "QAICc QAICc");
  EXPECT_EQ(laws[1].above_best, 12.5);
  EXPECT_EQ(laws[0].across, "");
  EXPECT_EQ(ChoiceText(laws[0]), " by QAICc");
}

// Over the folds `far` is better than `near`: that is no reason to take it once `other` is there.
TEST(RankedLaws, KeepTheirOrderBesideALawOfAnotherResponse) {
  const StudyResults worse = ThreeLaws(0.05), better = ThreeLaws(0.02);
  const std::vector<StratumLaw> first = RankedLaws(worse, "KA"), second = RankedLaws(better, "KA");
  EXPECT_THAT(Names(first), ElementsAre("near", "far", "other"));
  EXPECT_THAT(Names(second), ElementsAre("other", "near", "far"));
  EXPECT_NEAR(second[1].above_best, 0.02, 1e-12);  // 0.04 - 0.02
  EXPECT_EQ(second[2].above_best, 12.5);
  EXPECT_EQ(second[2].across, "");
  EXPECT_EQ(ChoiceText(first[0]),
            " by QAICc among laws of its response and by RMSE of acc_adj, 5-fold, against the best of other responses");
  EXPECT_EQ(ChoiceText(second[0]), " by RMSE of acc_adj, 5-fold, against the best of other responses");
  EXPECT_THAT(
      FindingsSection(worse).bullets,
      Contains(HasSubstr("near is the best of 3 laws by QAICc among laws of its response and by RMSE of acc_adj")));
}

TEST(LawsTable, HasEveryFittedLawWithItsErrors) {
  StudyResults results = TwoLaws();
  LawFit none;
  none.law = "none", none.response = kLogarithm, none.stratum = "KA", none.why_no_least_squares = "G does not vary.";
  results.fits.fits.push_back(none);
  const ReportTable table = LawsTable(results);
  EXPECT_EQ(RenderCsv(table),
            "stratum,law,method,rows,adj. R2,ranked by,above the best,largest size: MAE acc_adj,largest size: R2,"
            "fewest bits: MAE acc_adj,fewest bits: R2,kept out: MAE acc_adj,kept-out rows\n"
            "KA,near,binomial,40,0.75,QAICc,0,0.05,0.72,0.15,-3,0.1,8\n"
            "KA,far,binomial,40,0.75,QAICc,12.5,0.3,0.72,0.4,-3,0.2,8\n");
  EXPECT_THAT(table.notes,
              AllOf(Contains("KA: none is not fitted: G does not vary."),
                    Contains("Laws of one response are ranked by QAICc, the lowest first (QAICc: counts "
                             "scatter more than binomial ones)."),
                    Contains("Each left out of a fit and then predicted by it: N = 2G weights, B = 2 bits."),
                    Not(Contains(HasSubstr("different rows")))));
  results.fits.fits[0].binomial->rows = 30;
  EXPECT_THAT(LawsTable(results).notes, Contains(HasSubstr("fitted to different rows")));
  EXPECT_THAT(LawsTable(ThreeLaws(0.05)).header, Contains("response"));
  EXPECT_THAT(LawsTable(ThreeLaws(0.05)).notes,
              Contains(HasSubstr("Likelihoods of different responses cannot be compared")));
}

TEST(ParameterTables, HaveIntervalsOrSayWhyNot) {
  StudyResults results = TwoLaws();
  std::vector<ReportTable> tables = ParameterTables(results);
  ASSERT_EQ(tables.size(), 1u);
  EXPECT_EQ(tables[0].name + ": " + tables[0].title,
            "parameters_near: Parameters of near where it is the best law, with 90 % intervals");
  EXPECT_EQ(tables[0].rows[0][2].text, "-0.443 [-0.542, -0.343]");
  EXPECT_THAT(tables[0].notes, ElementsAre());
  // Without errors over units the bootstrap's intervals stand in; a parameter that has neither is named.
  results.fits.fits[1].binomial->unit = "model", results.fits.fits[1].binomial->why_no_robust = "there is one model";
  results.analysis.laws[1].uncertainty.quantities = {Quantity("A", {}, {}), Quantity("alpha", {}, {-0.8463, -0.1422})};
  results.fits.fits[1].binomial->parameters[0].note = "at its bound";
  tables = ParameterTables(results);
  EXPECT_EQ(tables[0].rows[0][1].text + ", " + tables[0].rows[0][2].text, "480, -0.443 [-0.846, -0.142]");
  EXPECT_THAT(
      tables[0].notes,
      ElementsAre("KA: intervals of alpha are the bootstrap's: there is no error over model, for there is one model.",
                  "KA: no interval of A (at its bound): there is no error over model, for there is one model."));
}

// A law that is not linear has parameters all the same.
TEST(StrataOfALaw, ThatAreNotRankedHaveTheirParameters) {
  StudyResults results = TwoLaws();
  StrataTests tests;
  tests.law = "near", tests.why_none = "the formula is not linear";
  results.analysis.strata = {tests};
  results.analysis.shared_over_strata.resize(1);
  results.analysis.laws[1].uncertainty.quantities[1].value = -0.44;
  results.analysis.laws[1].uncertainty.quantities[1].delta_error = 0.04;
  const ReportSection section = StrataSection(results.analysis);
  ASSERT_FALSE(section.tables.empty());
  const ReportTable& table = section.tables.front();
  EXPECT_EQ(table.title, "near: parameters of each stratum, which are not ranked");
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_EQ(
      table.rows[1][0].text + " " + table.rows[1][1].text + " " + table.rows[1][2].text + " " + table.rows[1][3].text,
      "alpha KA -0.440 (0.040) [-0.5424, -0.3433]");
  EXPECT_THAT(table.notes, ElementsAre("Not ranked, and not tested against each other: the formula is not linear."));
  EXPECT_THAT(FindingsSection(results).bullets,
              Contains("Whether strata differ in the parameters of near was not tested: the formula is not linear."));
}

// One standard error above chance is still at chance; a quantized trial and a perplexity are not asked.
TEST(BaselinesAtChance, NameTasksAndModels) {
  StudyResults results;
  results.observations = ParseCsv(
      "trial,model,quantizer,task,metric_kind,primary,value,standard_error,chance\n"
      "1,a,none,walk,accuracy,1,0.29,0.04,0.25\n"
      "1,a,none,hop,accuracy,1,0,0,0\n"
      "1,a,none,fact,accuracy,1,0.3,0.04,0.25\n"
      "1,a,none,text,perplexity,1,0.1,0.04,0.25\n"
      "2,b,none,walk,accuracy,1,0.2,0.04,0.25\n"
      "2,b,none,hop,accuracy,1,0.5,0.04,0\n"
      "2,b,none,hop,accuracy,0,0,0,0\n"
      "3,a,gptq,fact,accuracy,1,0.25,0.04,0.25\n",
      "observations.csv", {ObservationTextColumns()});
  EXPECT_EQ(
      BaselinesAtChance(results),
      "Unquantized, within one standard error of chance or below it: walk (every model), hop (a). What quantization "
      "costs cannot be seen there.");
  results.observations = results.observations.Rows(results.observations.Where(Expression::Parse("task == 'fact'")));
  EXPECT_EQ(BaselinesAtChance(results), "");
}

}  // namespace
}  // namespace bitlaw
