#include "fit/study/degradation.h"

#include <gmock/gmock.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "fit/solve/least_squares.h"
#include "fit/study/power.h"
#include "report/paired_table.h"

namespace bitlaw {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Goldens: scipy 1.17.1 (binomtest, combine_pvalues), statsmodels 0.15.0 (multipletests, power), Python 3.11.

const std::vector<BenchmarkFlips> kFour = {
    {"a", "KM", 100, 9, 2}, {"b", "KM", 100, 3, 3}, {"c", "KR", 200, 12, 5}, {"d", "KR", 50, 0, 1}};

TEST(CoinTail, IsTheUpperTailOfTheBinomial) {
  EXPECT_NEAR(CoinTail(9, 11), 0.03271484375, 1e-15);  // binomtest(9, 11, 0.5, alternative='greater')
  EXPECT_NEAR(CoinTail(5100, 10000), 0.023292763852473225, 1e-14);
  EXPECT_NEAR(CoinTail(700, 900) / 5.845882883617788e-66, 1, 1e-10);
  EXPECT_EQ(CoinTail(0, 0), 1);
  EXPECT_EQ(CoinTail(0, 5), 1);
  EXPECT_EQ(CoinTail(6, 5), 0);
}

TEST(AdjustedByHolm, IsWhatStatsmodelsGives) {
  const std::vector<double> p = {0.01, 0.04, 0.03, 0.005, 0.6};
  EXPECT_THAT(AdjustedByHolm(p), ElementsAre(DoubleNear(0.04, 1e-15), DoubleNear(0.09, 1e-15), DoubleNear(0.09, 1e-15),
                                             DoubleNear(0.025, 1e-15), DoubleNear(0.6, 1e-15)));
  // What has no p is no member of the family.
  const std::vector<double> two = {0.03, std::nan(""), 0.2};
  EXPECT_NEAR(AdjustedByHolm(two)[0], 0.06, 1e-15);
  EXPECT_TRUE(std::isnan(AdjustedByHolm(two)[1]));
}

TEST(Degradation, PoolsItemsAsOneExactTest) {
  EXPECT_NEAR(TestDegradation(kFour).pooled_p, 0.020479795755818493, 1e-14);  // 24 lost, 11 gained
}

TEST(Degradation, WorstBenchmarkHasTheExactChanceOfTheSmallestP) {
  // By enumeration of every outcome of 11, 6, 17 and 1 fair coins: P(smallest p <= 0.0327) = 0.0712, where 1 - (1 - p)^4
  // would be 0.125.
  const DegradationTest test = TestDegradation(kFour);
  EXPECT_EQ(test.worst_task, "a");
  EXPECT_NEAR(test.worst_p, 0.07117674744222313, 1e-14);
  const std::vector<BenchmarkFlips> one = {{"a", "", 100, 9, 2}};
  EXPECT_NEAR(TestDegradation(one).worst_p, 0.03271484375, 1e-15);
}

// 5 of 5 lost: p = 1/32. The other benchmark has four flips, so that its p is 1/16 or more: it cannot be so small.
TEST(Degradation, WorstBenchmarkCountsWhatOthersCouldHaveShown) {
  const std::vector<BenchmarkFlips> two = {{"a", "KM", 100, 5, 0}, {"b", "KM", 100, 2, 2}};
  EXPECT_NEAR(TestDegradation(two).worst_p, 1.0 / 32, 1e-12);
}

TEST(Degradation, FishersMethodIsThatOfScipy) {
  EXPECT_NEAR(TestDegradation(kFour).fisher_p, 0.11351434197952105, 1e-13);
}

TEST(Degradation, AnyIsBonferroniOfPooledAndWorst) {
  const DegradationTest test = TestDegradation(kFour);
  EXPECT_NEAR(test.Combined(CombineBenchmarks::kAny), 2 * 0.020479795755818493, 1e-14);
  EXPECT_EQ(test.Combined(CombineBenchmarks::kWorst), test.worst_p);
  EXPECT_EQ(test.Combined(CombineBenchmarks::kFisher), test.fisher_p);
}

TEST(Degradation, NothingFlippedIsNoEvidence) {
  const std::vector<BenchmarkFlips> none = {{"a", "", 100, 0, 0}, {"b", "", 100, 0, 0}};
  const DegradationTest test = TestDegradation(none);
  EXPECT_EQ(test.pooled_p, 1);
  EXPECT_EQ(test.worst_p, 1);
  EXPECT_EQ(test.fisher_p, 1);
  EXPECT_EQ(test.worst_task, "");
}

TEST(Degradation, BoundOfTheLossIsThatOfAgrestiAndMin) {
  EXPECT_NEAR(LossAtMost(1200, 38, 24, 0.95), 0.022494770532223277, 1e-12);
  EXPECT_GT(LossAtMost(100, 0, 0, 0.95), 0.01) << "no flip among 100 items leaves a loss open";
  EXPECT_EQ(LossAtMost(1000, 0, 500, 0.95), 0) << "a loss, not a gain";
}

TEST(Degradation, VerdictsHoldForTheWholeFamilyOfTrials) {
  // p of pooled items 0.0205: below 5 % alone, not among three trials of which the others show nothing.
  const TrialFlips four{"t1", "rtn bits=4", "m", "rtn", kFour}, none{"t2", "rtn bits=8", "m", "rtn", {{"a", "", 100, 1, 1}}};
  const DegradationSettings pooled{0.95, CombineBenchmarks::kPooled};
  const std::vector<TrialFlips> alone = {four}, three = {four, none, none};
  EXPECT_TRUE(JudgeDegradation(alone, pooled)[0].degraded);
  const auto verdicts = JudgeDegradation(three, pooled);
  EXPECT_FALSE(verdicts[0].degraded);
  EXPECT_NEAR(verdicts[0].p_holm, 3 * 0.020479795755818493, 1e-13);
  EXPECT_EQ(verdicts[0].items, 450);
  EXPECT_DOUBLE_EQ(verdicts[0].change, -13.0 / 450);
  EXPECT_FALSE(verdicts[1].degraded);
}

TEST(Degradation, TrialWithoutAccuraciesHasNoVerdictAndIsNoMemberOfTheFamily) {
  const std::vector<TrialFlips> trials = {{"t1", "rtn bits=4", "m", "rtn", kFour}, {"t2", "x", "m", "rtn", {}}};
  const DegradationSettings pooled{0.95, CombineBenchmarks::kPooled};
  const auto verdicts = JudgeDegradation(trials, pooled);
  EXPECT_TRUE(verdicts[0].degraded);
  EXPECT_FALSE(verdicts[1].degraded);
  EXPECT_TRUE(std::isnan(verdicts[1].p_holm));
  const ReportTable table = VerdictTable(verdicts, pooled);
  EXPECT_EQ(table.rows[0][1].text, "degraded");
  EXPECT_EQ(table.rows[1][1].text, "-");
  EXPECT_THAT(table.notes[0], HasSubstr("1 of 2 trials degraded"));
}

TEST(Degradation, NamesOfCombinationsAreChecked) {
  EXPECT_EQ(ParseCombineBenchmarks("fisher"), CombineBenchmarks::kFisher);
  try {
    ParseCombineBenchmarks("pooledd");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "combine 'pooledd' is not known. Did you mean 'pooled'? Known: pooled, worst, fisher, any.");
  }
}

TEST(Power, OneBenchmarkFollowsTheClosedForm) {
  // (1.959964 + 0.841621) sqrt(0.1 / 1000)
  const PlannedComparison one[] = {{1000, 0.1}};
  EXPECT_NEAR(DetectableAccuracy(one, {}), 0.028015852181, 1e-10);
}

TEST(Power, ItemsForAnEffectAreThoseOfStatsmodels) {
  // statsmodels.stats.power.normal_sample_size_one_tail(effect, 0.8, 0.025, std_null=sqrt(discordance)), rounded up.
  const PlannedComparison tenth[] = {{0, 0.1}}, fiftieth[] = {{0, 0.02}}, third[] = {{0, 0.3}};
  EXPECT_EQ(ItemsForEffect(tenth, 0.01, {}), 7849);      // 7848.880
  EXPECT_EQ(ItemsForEffect(fiftieth, 0.01, {}), 1570);   // 1569.776
  EXPECT_EQ(ItemsForEffect(third, 0.05, {}), 942);       // 941.866
}

TEST(Power, ModelsCannotDifferByMoreThanTheyDisagree) {
  // Of 100 items, 2 % of disagreement: the formula alone says 0.0396. 2.8015852^2 / 100:
  const PlannedComparison few[] = {{100, 0.02}};
  EXPECT_NEAR(DetectableAccuracy(few, {}), 0.0784887973, 1e-9);
  EXPECT_EQ(ItemsForEffect(few, 0.0784888, {}), 100);
}

TEST(Power, MeansOverBenchmarksAverageTheirNoise) {
  // Four alike: half of one's. Of unequal ones the variances add.
  const PlannedComparison four[] = {{1000, 0.1}, {1000, 0.1}, {1000, 0.1}, {1000, 0.1}}, two[] = {{1000, 0.1}, {500, 0.2}};
  EXPECT_NEAR(DetectableAccuracy(four, {}), 0.028015852181 / 2, 1e-10);
  EXPECT_NEAR(DetectableAccuracy(two, {}), 2.8015852181 * std::sqrt(0.0001 + 0.0004) / 2, 1e-10);
  EXPECT_EQ(ItemsForEffect(four, 0.01, {}), 1963);  // 7848.880 / 4
  EXPECT_TRUE(std::isnan(DetectableAccuracy({}, {})));
}

}  // namespace
}  // namespace bitlaw
