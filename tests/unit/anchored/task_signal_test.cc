#include "fit/table/task_signal.h"

#include <gtest/gtest.h>

#include <cmath>

#include "fit/table/strata_data.h"

namespace bitlaw {
namespace {

// Task a: acc_adj 0.2, 0.4, 0.6, variance 0.04; errors of the accuracy 0.075 at chance 0.25, of acc_adj 0.1: 0.01. Task b
// does not vary.
Table Observations() {
  Table table("observations");
  table.AddTexts("trial", {"1", "2", "3", "1", "2", "3", "1"});
  table.AddTexts("task", {"a", "a", "a", "b", "b", "b", "c"});
  table.AddTexts("stratum", {"KM", "KM", "KM", "KM", "KM", "KM", "KR"});
  table.AddTexts("metric_kind", {"accuracy", "accuracy", "accuracy", "accuracy", "accuracy", "accuracy", "accuracy"});
  table.AddNumbers("acc_adj", {0.2, 0.4, 0.6, 0.5, 0.5, 0.5, 0.1});
  table.AddNumbers("value", {0.4, 0.55, 0.7, 0.625, 0.625, 0.625, 0.325});
  table.AddNumbers("chance", std::vector<double>(7, 0.25));
  table.AddNumbers("standard_error", std::vector<double>(7, 0.075));
  table.AddNumbers("items", std::vector<double>(7, 40));
  return table;
}

TEST(TaskSignals, AreVarianceOverTrialsBeyondThatOfItems) {
  const auto signals = TaskSignals(Observations());
  ASSERT_EQ(signals.size(), 3u);
  EXPECT_EQ(signals[0].task, "a");
  EXPECT_EQ(signals[0].trials, 3u);
  EXPECT_NEAR(signals[0].sampling, 0.01, 1e-15);
  EXPECT_NEAR(signals[0].between, 0.03, 1e-15);
  EXPECT_NEAR(signals[0].signal_to_noise, 3, 1e-12);
  EXPECT_EQ(signals[1].signal_to_noise, 0);
  EXPECT_TRUE(std::isnan(signals[2].signal_to_noise));
}

TEST(TaskSignals, AreAColumnOfTheRowsOfFits) {
  const StrataData by_task = SplitStrata(Observations(), false);
  ASSERT_EQ(by_task.strata[0].name, "KM");
  EXPECT_NEAR(by_task.strata[0].table.NumberAt("signal_to_noise", 0), 3, 1e-12);
  EXPECT_EQ(by_task.strata[0].table.NumberAt("signal_to_noise", 3), 0);
  EXPECT_NEAR(SplitStrata(Observations()).strata[0].table.NumberAt("signal_to_noise", 0), 1.5, 1e-12);
}

}  // namespace
}  // namespace bitlaw
