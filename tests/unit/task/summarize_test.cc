#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/api/task.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

TEST(Summarize, AccuracyIsTheMeanWithItsStandardError) {
  const std::vector<ItemScore> scores = {{"0", {{1, 1}}, 0.25}, {"1", {{0, 1}}, 0.25}, {"2", {{1, 1}}, 0.5}};
  const MetricSummary summary = Summarize({"acc", MetricKind::kAccuracy, true}, 0, scores);
  EXPECT_EQ(summary.name, "acc");
  EXPECT_DOUBLE_EQ(summary.value, 2.0 / 3);
  EXPECT_DOUBLE_EQ(summary.standard_error, 1.0 / 3);  // Sample variance 1/3, over 3 items: sqrt(1/9).
  EXPECT_DOUBLE_EQ(summary.chance, 1.0 / 3);
  EXPECT_EQ(summary.items, 3);
}

TEST(Summarize, PerplexityWeighsWindowsByTheirTokens) {
  // L = (2 + 8) / (2 + 3) = 2; residuals 2 - 2*2 = -2 and 8 - 2*3 = 2; sqrt(8 * 2/1) / 5 = 0.8.
  const std::vector<ItemScore> scores = {{"0", {{2, 2}}, 0}, {"1", {{8, 3}}, 0}};
  const MetricSummary summary = Summarize({"perplexity", MetricKind::kPerplexity, false}, 0, scores);
  EXPECT_DOUBLE_EQ(summary.value, std::exp(2.0));
  EXPECT_DOUBLE_EQ(summary.standard_error, 0.8 * std::exp(2.0));
}

TEST(Summarize, LeavesOutItemsToWhichAMetricDoesNotApply) {
  const double nan = std::nan("");
  const std::vector<ItemScore> scores = {{"0", {{nan, 1}, {3, 1}}, 0.5}, {"1", {{1, 1}, {5, 1}}, 0.25}};
  EXPECT_EQ(Summarize({"acc", MetricKind::kAccuracy, true}, 0, scores).items, 1);
  EXPECT_DOUBLE_EQ(Summarize({"acc", MetricKind::kAccuracy, true}, 0, scores).chance, 0.25);
  EXPECT_DOUBLE_EQ(Summarize({"x", MetricKind::kMean, true}, 1, scores).value, 4.0);
}

TEST(Summarize, KnowsNoStandardErrorOfOneItem) {
  const std::vector<ItemScore> one = {{"0", {{1, 1}}, 0}};
  EXPECT_DOUBLE_EQ(Summarize({"acc", MetricKind::kAccuracy, true}, 0, one).value, 1.0);
  EXPECT_TRUE(std::isnan(Summarize({"acc", MetricKind::kAccuracy, true}, 0, one).standard_error));
  EXPECT_TRUE(std::isnan(Summarize({"acc", MetricKind::kAccuracy, true}, 0, {}).value));
  EXPECT_THROW(Summarize({"acc", MetricKind::kAccuracy, true}, 1, one), InternalError);
}

}  // namespace
}  // namespace bitlaw
