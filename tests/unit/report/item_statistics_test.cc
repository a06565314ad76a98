#include "fit/study/item_statistics.h"

#include <gmock/gmock.h>

#include <cmath>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

std::vector<ItemScore> Scores(const std::vector<double>& values) {
  std::vector<ItemScore> scores;
  for (size_t i = 0; i < values.size(); ++i) scores.push_back({std::to_string(i), {{values[i], 1}}, 0.25});
  return scores;
}

const MetricCard kAccuracy = {"acc", MetricKind::kAccuracy, true};

TEST(McNemar, IsTheExactTwoSidedBinomialP) {
  // scipy 1.x, stats.binomtest(k, n, 0.5).pvalue
  EXPECT_NEAR(McNemarP(3, 10), 0.09228515625, 1e-12);
  EXPECT_NEAR(McNemarP(10, 3), 0.09228515625, 1e-12);
  EXPECT_NEAR(McNemarP(0, 5), 0.0625, 1e-12);
  EXPECT_NEAR(McNemarP(40, 60), 0.05688793364098089, 1e-10);
  EXPECT_EQ(McNemarP(4, 4), 1);
  EXPECT_EQ(McNemarP(0, 0), 1);
}

TEST(PairedDifference, CancelsWhatTheItemsHaveInCommon) {
  // Differences 0, -1, -1, 0, 1: mean -0.2; sample variance 0.7.
  const auto before = Scores({1, 1, 1, 0, 0}), after = Scores({1, 0, 0, 0, 1});
  const PairedDifference paired = ComparePaired(kAccuracy, 0, before, after);
  EXPECT_EQ(paired.items, 5);
  EXPECT_DOUBLE_EQ(paired.first, 0.6);
  EXPECT_DOUBLE_EQ(paired.second, 0.4);
  EXPECT_DOUBLE_EQ(paired.difference, -0.2);
  EXPECT_NEAR(paired.standard_error, std::sqrt(0.7 / 5), 1e-12);
  EXPECT_EQ(paired.only_first, 2);
  EXPECT_EQ(paired.only_second, 1);
  EXPECT_EQ(paired.mcnemar_p, 1);
  EXPECT_NEAR(paired.detectable, 2.8015852181 * paired.standard_error, 1e-9);
  EXPECT_LT(paired.low, paired.difference);
  EXPECT_GT(paired.high, paired.difference);
}

TEST(PairedDifference, IntervalIsAboutTwoStandardErrorsWide) {
  std::vector<double> before(400, 1), after(400, 1);
  for (size_t i = 0; i < 400; i += 5) after[i] = 0;
  const PairedDifference paired = ComparePaired(kAccuracy, 0, Scores(before), Scores(after));
  EXPECT_DOUBLE_EQ(paired.difference, -0.2);
  EXPECT_NEAR(paired.standard_error, 0.02, 1e-4);
  EXPECT_NEAR(paired.high - paired.low, 2 * 1.96 * 0.02, 0.006);
  const PairedDifference again = ComparePaired(kAccuracy, 0, Scores(before), Scores(after));
  EXPECT_EQ(again.low, paired.low) << "the draw is seeded";
}

TEST(PairedDifference, PairsByIdAndCountsTheRest) {
  auto before = Scores({1, 0, 1}), after = Scores({1, 1, 1});
  before[0].id = "only here";
  after[2].values[0].value = std::nan("");
  const PairedDifference paired = ComparePaired(kAccuracy, 0, before, after);
  EXPECT_EQ(paired.items, 1);     // "1"
  EXPECT_EQ(paired.unpaired, 3);  // "only here", "0", "2"
  EXPECT_DOUBLE_EQ(paired.difference, 1);
  EXPECT_TRUE(std::isnan(paired.standard_error));
}

TEST(PairedDifference, OfPerplexitiesIsTheLogarithmOfTheirRatio) {
  const MetricCard perplexity = {"perplexity", MetricKind::kPerplexity, false};
  const std::vector<ItemScore> before = {{"0", {{2, 2}}, 0}, {"1", {{8, 3}}, 0}};
  const std::vector<ItemScore> after = {{"0", {{3, 2}}, 0}, {"1", {{12, 3}}, 0}};
  const PairedDifference paired = ComparePaired(perplexity, 0, before, after);
  EXPECT_DOUBLE_EQ(paired.first, std::exp(2.0));
  EXPECT_DOUBLE_EQ(paired.second, std::exp(3.0));
  EXPECT_DOUBLE_EQ(paired.difference, 1.0);  // ln of the ratio, a token.
  // Residuals 1 - 2 and 4 - 3: sqrt(2 * 2 / 1) / 5.
  EXPECT_DOUBLE_EQ(paired.standard_error, 0.4);
  EXPECT_TRUE(std::isnan(paired.mcnemar_p));
}

TEST(DetectableDifference, ShrinksWithTheRootOfTheItems) {
  EXPECT_NEAR(DetectableDifference(0.5, 100), 2.8015852181 * 0.05, 1e-9);
  EXPECT_NEAR(DetectableDifference(0.5, 400), 2.8015852181 * 0.025, 1e-9);
}

TEST(Parts, ArePooledAsThePublicHarnessDoes) {
  std::vector<PartSummary> parts(2);
  parts[0] = {"a", {"acc", 0.5, 0.1, 20, 0.25}};
  parts[1] = {"b", {"acc", 1.0, 0.2, 5, 0.5}};
  const MetricSummary pooled = PoolParts(parts);
  EXPECT_DOUBLE_EQ(pooled.value, 0.6);
  EXPECT_DOUBLE_EQ(pooled.chance, 0.3);
  EXPECT_EQ(pooled.items, 25);
  // lm_eval 0.4.13, pooled_sample_stderr([0.1, 0.2], [20, 5])
  EXPECT_NEAR(pooled.standard_error, 0.08944271909999159, 1e-12);
}

TEST(Parts, AreTheGroupsOfTheItems) {
  auto scores = Scores({1, 0, 1, 1});
  EXPECT_TRUE(SummarizeParts(kAccuracy, 0, scores).empty());
  scores[0].group = scores[1].group = "law";
  scores[2].group = scores[3].group = "art";
  const auto parts = SummarizeParts(kAccuracy, 0, scores);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].part, "art");
  EXPECT_DOUBLE_EQ(parts[0].summary.value, 1);
  EXPECT_DOUBLE_EQ(parts[1].summary.value, 0.5);
}

TEST(StratumScore, IsWhatTheNamedAggregateSays) {
  const std::vector<MetricSummary> members = {{"acc", 0.5, 0.03, 300, 0.25}, {"acc", 0.7, 0.04, 100, 0.5}};
  const StratumScore adjusted = AggregateStratum(members, ParseStratumAggregate("adjusted"));
  EXPECT_NEAR(adjusted.value, (1.0 / 3 + 0.4) / 2, 1e-12);
  EXPECT_NEAR(adjusted.standard_error, std::hypot(0.04, 0.08) / 2, 1e-12);
  EXPECT_EQ(adjusted.members, 2);
  EXPECT_EQ(adjusted.items, 400);
  EXPECT_NEAR(AggregateStratum(members, ParseStratumAggregate("accuracy")).value, 0.6, 1e-12);
  // Accuracy 0.55 and chance 0.3125 over all items.
  EXPECT_NEAR(AggregateStratum(members, ParseStratumAggregate("items")).value, 0.2375 / 0.6875, 1e-12);
  EXPECT_NEAR(AggregateStratum(members, ParseStratumAggregate("worst")).value, 1.0 / 3, 1e-12);
  EXPECT_TRUE(std::isnan(AggregateStratum({}, StratumAggregate::kAdjusted).value));
  try {
    ParseStratumAggregate("median");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "aggregate 'median' is not known. Known: adjusted, accuracy, items, worst.");
  }
}

}  // namespace
}  // namespace bitlaw
