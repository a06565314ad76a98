#include "fit/study/degradation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "fit/study/power.h"

namespace bitlaw {
namespace {

// A study of quantized models on four benchmarks of different sizes. On `discordance` of the items the two models disagree;
// of benchmark b, `drop[b]` of all items are lost beyond those that are gained.
struct Simulated {
  std::vector<int64_t> items = {100, 250, 500, 1000};
  double discordance = 0.1;
  std::vector<double> drop = {0, 0, 0, 0};
};

TrialFlips Draw(const Simulated& study, std::mt19937_64& random) {
  TrialFlips trial{"t", "t", "m", "q", {}};
  for (size_t b = 0; b < study.items.size(); ++b) {
    std::binomial_distribution<int64_t> flips(study.items[b], study.discordance);
    const int64_t n = flips(random);
    std::binomial_distribution<int64_t> lost(n, (1 + study.drop[b] / study.discordance) / 2);
    const int64_t l = lost(random);
    trial.benchmarks.push_back({std::to_string(b), "", study.items[b], l, n - l});
  }
  return trial;
}

// The share of `studies` studies of `trials` trials in which at least one is called degraded.
double Alarms(const Simulated& study, CombineBenchmarks combine, int trials, int studies) {
  std::mt19937_64 random(20261128);
  int alarms = 0;
  for (int s = 0; s < studies; ++s) {
    std::vector<TrialFlips> drawn;
    for (int t = 0; t < trials; ++t) drawn.push_back(Draw(study, random));
    bool any = false;
    for (const DegradationVerdict& one : JudgeDegradation(drawn, {0.95, combine})) any |= one.degraded;
    alarms += any;
  }
  return static_cast<double>(alarms) / studies;
}

constexpr CombineBenchmarks kAll[] = {CombineBenchmarks::kPooled, CombineBenchmarks::kWorst, CombineBenchmarks::kFisher,
                                      CombineBenchmarks::kAny};

// 4,000 studies: the standard deviation of a share of 0.05 is 0.0034.
TEST(DegradationSize, FalseAlarmsAreNoMoreThanTheLevel) {
  for (const CombineBenchmarks combine : kAll)
    EXPECT_LE(Alarms({}, combine, 1, 4000), 0.05 + 3 * 0.0034) << static_cast<int>(combine);
}

TEST(DegradationSize, IsNotSoCarefulThatItSeesNothing) {
  // Exact tests of counts stay below their level; these by no more than a half.
  EXPECT_GE(Alarms({}, CombineBenchmarks::kPooled, 1, 4000), 0.03);
  EXPECT_GE(Alarms({}, CombineBenchmarks::kWorst, 1, 4000), 0.03);
  EXPECT_GE(Alarms({}, CombineBenchmarks::kAny, 1, 4000), 0.025);
}

TEST(DegradationSize, HolmHoldsTheLevelOverTwentyTrials) {
  for (const CombineBenchmarks combine : kAll)
    EXPECT_LE(Alarms({}, combine, 20, 800), 0.05 + 3 * 0.0077) << static_cast<int>(combine);
}

TEST(DegradationPower, PooledItemsFindWhatThePlanSays) {
  // 1,850 items at 10 %; the verdict of a single trial is one-sided at 5 %: 90 % two-sided.
  PairedSettings settings;
  settings.confidence = 0.9;
  const PlannedComparison all[] = {{1850, 0.1}};
  const double detectable = DetectableAccuracy(all, settings);
  EXPECT_NEAR(detectable, (1.6448536 + 0.8416212) * std::sqrt(0.1 / 1850), 1e-7);
  const Simulated shared{{100, 250, 500, 1000}, 0.1, std::vector<double>(4, detectable)};
  EXPECT_NEAR(Alarms(shared, CombineBenchmarks::kPooled, 1, 2000), 0.8, 0.04);
  const Simulated half{{100, 250, 500, 1000}, 0.1, std::vector<double>(4, detectable / 2)};
  EXPECT_LT(Alarms(half, CombineBenchmarks::kPooled, 1, 2000), 0.4);
}

TEST(DegradationPower, EachCombinationFindsWhatItIsMadeFor) {
  // A loss that all share is found by pooling, one that a single small benchmark has is not: `worst` and `any` see it.
  const Simulated shared{{100, 250, 500, 1000}, 0.1, {0.02, 0.02, 0.02, 0.02}};
  const Simulated single{{100, 250, 500, 1000}, 0.1, {0, 0.08, 0, 0}};
  EXPECT_GT(Alarms(shared, CombineBenchmarks::kPooled, 1, 1000), Alarms(shared, CombineBenchmarks::kWorst, 1, 1000) + 0.1);
  EXPECT_GT(Alarms(single, CombineBenchmarks::kWorst, 1, 1000), Alarms(single, CombineBenchmarks::kPooled, 1, 1000) + 0.2);
  EXPECT_GT(Alarms(shared, CombineBenchmarks::kAny, 1, 1000), 0.7);
  EXPECT_GT(Alarms(single, CombineBenchmarks::kAny, 1, 1000), 0.7);
}

}  // namespace
}  // namespace bitlaw
