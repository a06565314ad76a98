#include "run/schedule/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "run/schedule/shares.h"

namespace bitlaw {
namespace {

TEST(ListSchedule, TakesTheLongestFirst) {
  EXPECT_EQ(ListSchedule({}, {1, 2, 3, 6}, 1), 12);
  EXPECT_EQ(ListSchedule({}, {1, 2, 3, 6}, 2), 6);
  EXPECT_EQ(ListSchedule({}, {1, 2, 3, 6}, 9), 6);
  // Graham's example for two workers: 3 3 | 2 2 2 has a best order of 6, and this one of 7.
  EXPECT_EQ(ListSchedule({}, {2, 3, 2, 3, 2}, 2), 7);
  // One worker is busy for 5: the other takes both.
  EXPECT_EQ(ListSchedule({5}, {2, 2}, 2), 5);
  EXPECT_EQ(ListSchedule({}, {}, 3), 0);
}

TEST(TimeLeft, IsNotKnownBeforeATrialWas) {
  StageSeconds ten;
  ten[Stage::kEvaluate] = 10;
  MeasuredCosts costs({{"a", "m", "q", ten}, {"b", "m", "q", ten}, {"c", "m", "q", ten}, {"d", "m", "q", ten}}, 1);
  EXPECT_TRUE(std::isnan(TimeLeftOf(costs, {}, {0, 1}, 1).work_s));
  costs.AddWhole(0, 20);
  // 15 of 20 s are left of one, 20 each of two others; two workers.
  const TimeLeft left = TimeLeftOf(costs, {{1, 5}}, {2, 3}, 2);
  EXPECT_DOUBLE_EQ(left.work_s, 55);
  EXPECT_DOUBLE_EQ(left.remaining_s, 35);
  EXPECT_TRUE(std::isnan(TimeLeftOf(costs, {}, {2, 3}, 0).remaining_s));
  EXPECT_DOUBLE_EQ(TimeLeftOf(costs, {}, {2, 3}, 0).work_s, 40);
}

/// `models` of as many trials each: the unquantized one, then `per_text` on each of `texts`, round about as a plan lists
/// them, model after model. Larger models take longer.
std::vector<ScheduledTrial> Grid(size_t models, size_t texts, size_t per_text, bool shared) {
  std::vector<ScheduledTrial> trials;
  for (size_t model = 0; model < models; ++model) {
    const double seconds = 10.0 * static_cast<double>(model + 1);
    ScheduledTrial none;
    none.weight = {"model " + std::to_string(model), "", seconds};
    none.seconds = seconds;
    trials.push_back(none);
    for (size_t i = 0; i < texts * per_text; ++i) {
      ScheduledTrial trial = none;
      trial.weight.subgroup = "text " + std::to_string(i % texts);
      trial.calibrates = trial.collects_statistics = true;
      trial.statistics_s = seconds / 2;
      if (shared) trial.shared_statistics = trial.weight.group + trial.weight.subgroup;
      trials.push_back(trial);
    }
  }
  return trials;
}

// Three models, two texts: one worker changes its model three times, draws six texts, and collects statistics of each
// trial, or of each text once where they are those of the unquantized model.
TEST(Schedule, OfOneWorkerDoesNothingTwice) {
  const Schedule exact = PlaySchedule(Grid(3, 2, 4, /*shared=*/true), 1);
  EXPECT_EQ(exact.opened, 27u);
  EXPECT_EQ(exact.model_changes, 3u);
  EXPECT_EQ(exact.texts, 6u);
  EXPECT_EQ(exact.statistics, 6u);
  // 9 trials of 10, 20 and 30 s, of which 6 each are spared half.
  EXPECT_DOUBLE_EQ(exact.work_s, 9 * 60 - 6 * 30);
  EXPECT_DOUBLE_EQ(exact.finish_s, exact.work_s);
  EXPECT_DOUBLE_EQ(exact.longest_s, 30);
  const Schedule sequential = PlaySchedule(Grid(3, 2, 4, /*shared=*/false), 1);
  EXPECT_EQ(sequential.texts, 6u);
  EXPECT_EQ(sequential.statistics, 24u);
  EXPECT_DOUBLE_EQ(sequential.work_s, 9 * 60);
}

// The second worker begins another model, and at the end the two share one: at most a change and a text a worker more.
TEST(Schedule, OfTwoWorkersRepeatsLittle) {
  const Schedule two = PlaySchedule(Grid(3, 2, 4, /*shared=*/true), 2);
  EXPECT_EQ(two.opened, 27u);
  EXPECT_LE(two.model_changes, 3u + 1u);
  EXPECT_LE(two.texts, 6u + 2u);
  EXPECT_LE(two.statistics, 6u + 2u);
  EXPECT_GE(two.statistics, 6u);
  EXPECT_LT(two.finish_s, 0.65 * 360);
  EXPECT_GE(two.finish_s, two.work_s / 2);
}

TEST(Schedule, OfMoreWorkersThanTrialsIsTheLongest) {
  const Schedule many = PlaySchedule(Grid(2, 1, 1, false), 50);
  EXPECT_EQ(many.opened, 4u);
  EXPECT_DOUBLE_EQ(many.finish_s, 20);
}

TEST(DeviceOfWorker, TakesDevicesInTurn) {
  const std::vector<std::string> devices = {"cuda:0", "cuda:2"};
  EXPECT_EQ(DeviceOfWorker(devices, 0), "cuda:0");
  EXPECT_EQ(DeviceOfWorker(devices, 1), "cuda:2");
  EXPECT_EQ(DeviceOfWorker(devices, 2), "cuda:0");
  EXPECT_EQ(DeviceOfWorker({"cpu"}, 5), "cpu");
}

TEST(ThreadsOfWorker, AreSharedOutAndOneAtLeast) {
  EXPECT_EQ(ThreadsOfWorker(8, 1), 8);
  EXPECT_EQ(ThreadsOfWorker(8, 3), 2);
  EXPECT_EQ(ThreadsOfWorker(2, 4), 1);
}

TEST(Oversubscription, IsExplainedWhereThereAreTooFewCores) {
  EXPECT_EQ(ExplainOversubscription(2, 4, 8), "");
  EXPECT_EQ(ExplainOversubscription(4, 1, 2),
            "4 workers with 1 thread each on 2 cores: they wait for each other, and each trial takes longer. Give "
            "--workers 2 or fewer.");
  EXPECT_EQ(ExplainOversubscription(1, 16, 2),
            "1 worker with 16 threads each on 2 cores: they wait for each other, and each trial takes longer. Give "
            "--threads 2.");
}

}  // namespace
}  // namespace bitlaw
