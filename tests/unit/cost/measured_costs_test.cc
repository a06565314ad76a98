#include "cost/measured_costs.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

StageSeconds Seconds(double load, double calibrate, double quantize, double evaluate, double record) {
  StageSeconds seconds;
  seconds.of = {load, calibrate, quantize, evaluate, record};
  return seconds;
}

/// Trials 0, 1: small gptq; 2: small rtn; 3: large gptq; 4: large rtn. All are estimated alike.
class Measured : public TemporaryFolder {
 protected:
  MeasuredCosts Costs() const {
    const StageSeconds same = Seconds(1, 10, 4, 6, 2);
    return MeasuredCosts({{"a", "small", "gptq", same},
                          {"b", "small", "gptq", same},
                          {"c", "small", "rtn", same},
                          {"d", "large", "gptq", same},
                          {"e", "large", "rtn", same}},
                         /*tasks=*/2);
  }
  void Write(const std::string& digest, const std::string& json) const {
    const auto folder = folder_ / "timings" / digest.substr(0, 2);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / (digest + ".json")) << json;
  }
  void Quantized(const std::string& digest, const std::string& trial) const {
    Write(digest, "{\"trial\": \"" + trial +
                      "\", \"host\": \"node1\", \"open_s\": 2, \"forward_s\": 3, \"statistics_s\": 2, \"total_s\": 17}");
  }
  void Evaluated(const std::string& digest, const std::string& trial, const std::string& task, double seconds) const {
    Write(digest, "{\"trial\": \"" + trial + "\", \"task\": \"" + task + "\", \"elapsed_s\": " + std::to_string(seconds) + "}");
  }
};

TEST_F(Measured, AreTheEstimateBeforeAnythingIsMeasured) {
  MeasuredCosts costs = Costs();
  costs.AddTimings(folder_, 100);
  EXPECT_FALSE(costs.IsMeasured());
  EXPECT_EQ(costs.Of(0).sum(), 23);
}

TEST_F(Measured, ScaleEachStageByWhatItTook) {
  Quantized("aa1", "a");  // Load twice, calibrate half, quantize (17 - 5) / 4 = 3 times the estimate.
  Evaluated("aa2", "a", "t1", 5);
  Evaluated("bb1", "a", "t2", 7);  // 12 in place of 6.
  MeasuredCosts costs = Costs();
  costs.AddTimings(folder_, 100);
  EXPECT_TRUE(costs.IsMeasured());
  EXPECT_EQ(costs.trials_seen(), 1u);
  EXPECT_EQ(costs.hosts(), std::set<std::string>{"node1"});
  const StageSeconds seconds = costs.Of(1);
  EXPECT_DOUBLE_EQ(seconds[Stage::kLoad], 2);
  EXPECT_DOUBLE_EQ(seconds[Stage::kCalibrate], 5);
  EXPECT_DOUBLE_EQ(seconds[Stage::kQuantize], 12);
  EXPECT_DOUBLE_EQ(seconds[Stage::kEvaluate], 12);
  // Records are slower as all stages together are: (2 + 5 + 12 + 2 * 12) / (1 + 10 + 4 + 2 * 6).
  EXPECT_DOUBLE_EQ(seconds[Stage::kRecord], 2 * 43.0 / 27);
}

TEST_F(Measured, GoByTheTrialsThatAreMostAlike) {
  Quantized("aa1", "a");
  Write("aa2", "{\"trial\": \"e\", \"open_s\": 1, \"total_s\": 40}");  // The large one, rounded to nearest: 10 times.
  MeasuredCosts costs = Costs();
  costs.AddTimings(folder_, 100);
  EXPECT_DOUBLE_EQ(costs.Of(1)[Stage::kQuantize], 12);  // Of model and quantizer.
  EXPECT_DOUBLE_EQ(costs.Of(2)[Stage::kQuantize], 40);  // Of its quantizer, on the other model.
  EXPECT_DOUBLE_EQ(costs.Of(3)[Stage::kQuantize], 12);
  EXPECT_DOUBLE_EQ(costs.Of(3)[Stage::kLoad], 1);       // Of its model.
  EXPECT_DOUBLE_EQ(costs.Of(2)[Stage::kLoad], 2);
}

TEST_F(Measured, WaitForAllTasksOfAModel) {
  Evaluated("aa1", "a", "t1", 5);
  MeasuredCosts costs = Costs();
  costs.AddTimings(folder_, 100);
  EXPECT_EQ(costs.Of(0)[Stage::kEvaluate], 6);
  Evaluated("aa2", "b", "t2", 9);  // Of another trial.
  costs.AddTimings(folder_, 100);
  EXPECT_EQ(costs.Of(0)[Stage::kEvaluate], 14);
  EXPECT_EQ(costs.Of(3)[Stage::kEvaluate], 14);  // Of the only model that is known.
}

// What is read is counted once, however often it is asked for; so many new files a call.
TEST_F(Measured, ReadEachFileOnce) {
  Quantized("aa1", "a");
  MeasuredCosts costs = Costs();
  costs.AddTimings(folder_, 100);
  const double once = costs.Of(1)[Stage::kQuantize];
  Write("aa2", "{\"trial\": \"b\", \"open_s\": 1, \"total_s\": 40}");
  costs.AddTimings(folder_, 1);
  EXPECT_EQ(costs.trials_seen(), 2u);
  EXPECT_DOUBLE_EQ(costs.Of(1)[Stage::kQuantize], (once + 40) / 2);  // Both were estimated at the same.
  costs.AddTimings(folder_, 100);
  EXPECT_DOUBLE_EQ(costs.Of(1)[Stage::kQuantize], (once + 40) / 2);
}

TEST_F(Measured, PassOverForeignAndDamagedFiles) {
  Write("aa1", "{\"trial\": \"of another study\", \"total_s\": 99}");
  Write("aa2", "{\"trial\": \"a\", \"total_s\": ");
  Write("aa3", "[1, 2]");
  Write("aa4", "{\"total_s\": 99}");
  MeasuredCosts costs = Costs();
  costs.AddTimings(folder_, 100);
  EXPECT_FALSE(costs.IsMeasured());
}

// Of 41 s the stages hold 31.
TEST_F(Measured, AddWhatWholeTrialsTookBeyondTheirStages) {
  Quantized("aa1", "a");
  Evaluated("aa2", "a", "t1", 5);
  Evaluated("bb1", "a", "t2", 7);
  MeasuredCosts costs = Costs();
  costs.AddTimings(folder_, 100);
  costs.AddWhole(0, 41);
  EXPECT_DOUBLE_EQ(costs.Of(1)[Stage::kRecord], 10);
  EXPECT_DOUBLE_EQ(costs.Of(1).sum(), 41);
  EXPECT_DOUBLE_EQ(costs.Of(4)[Stage::kRecord], 10);
  EXPECT_DOUBLE_EQ(costs.Of(4)[Stage::kEvaluate], 12);
  costs.AddWhole(1, 20);  // Less than its stages.
  costs.AddWhole(1, 20);
  EXPECT_DOUBLE_EQ(costs.Of(1)[Stage::kRecord], 0);
}

TEST_F(Measured, TakeWholeTrialsWhereNothingElseWasTimed) {
  MeasuredCosts costs = Costs();
  costs.AddWhole(0, 46);  // Twice 23.
  EXPECT_TRUE(costs.IsMeasured());
  EXPECT_DOUBLE_EQ(costs.Of(1).sum(), 46);
  EXPECT_DOUBLE_EQ(costs.Of(4).sum(), 46);
  costs.AddWhole(4, 230);  // Of the large one, ten times.
  EXPECT_DOUBLE_EQ(costs.Of(1).sum(), 46);
  EXPECT_DOUBLE_EQ(costs.Of(3).sum(), 230);
  EXPECT_DOUBLE_EQ(costs.Of(2).sum(), 46);
}

}  // namespace
}  // namespace bitlaw
