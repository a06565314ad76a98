#include "cost/trial_cost.h"

#include <gtest/gtest.h>

#include <fstream>

#include "bitlaw/base/error.h"
#include "cost/rates.h"
#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

// One block of width 4: q, k, v read 4 and write 4, 2, 2; o 4 -> 4; gate and up 4 -> 8; down 8 -> 4.
ModelSummary OneBlock() {
  ModelSummary summary;
  const auto site = [&](const char* name, SiteRole role, int64_t in, std::vector<int64_t> outs) {
    SiteShape shape;
    shape.name = name;
    shape.role = role;
    for (const int64_t out : outs) {
      shape.readers.push_back({name + std::to_string(shape.readers.size()), 0, in, out});
      summary.linears.push_back(shape.readers.back());
      summary.parameters_quantizable += in * out;
    }
    summary.sites.push_back(shape);
  };
  site("attention.in", SiteRole::kAttentionIn, 4, {4, 2, 2});
  site("attention.out", SiteRole::kAttentionOut, 4, {4});
  site("feed.in", SiteRole::kFeedForwardIn, 4, {8, 8});
  site("feed.out", SiteRole::kFeedForwardOut, 8, {4});
  summary.num_blocks = 1;
  summary.hidden_size = 4;
  summary.vocab_size = 10;
  summary.parameters_total = summary.parameters_active = summary.parameters_quantizable + 40;
  return summary;
}

// By hand: 16 + 8 + 8 + 16 + 32 + 32 + 32 = 144 weights.
TEST(ModelWork, CountsOperationsAndNumbersOfABlock) {
  const ModelWork work = WorkOf(OneBlock());
  EXPECT_EQ(work.weights, 144);
  EXPECT_EQ(work.token_flop, 288);
  EXPECT_EQ(work.edge_flop, 2 * (4 + 4 + 4 + 4 + 8 + 8 + 8));
  EXPECT_EQ(work.head_flop, 80);
  EXPECT_EQ(work.moment_flop, 3 * 4 * 5 + 8 * 9);
  // C_in^3 of four inputs, 2 C_in^2 C_out of seven layers.
  EXPECT_EQ(work.solver_flop, 3 * 64 + 512 + 2 * (16 * (4 + 2 + 2 + 4 + 8 + 8) + 64 * 4));
  EXPECT_EQ(work.layers, 7);
  EXPECT_EQ(work.kv_numbers, 4);      // k and v of 2 each.
  EXPECT_EQ(work.stage_moments, 64);  // Of the input of down.
  EXPECT_EQ(work.block_moments, 3 * 16 + 64);
}

TEST(ModelWork, CountsTheExpertsThatATokenGoesTo) {
  ModelSummary summary;
  for (int expert = 0; expert < 4; ++expert) {
    const LinearShape layer = {"up" + std::to_string(expert), 0, 4, 8, /*is_expert=*/true};
    summary.linears.push_back(layer);
    summary.sites.push_back({"in", 0, {layer}, "", /*is_expert=*/true});
  }
  summary.parameters_total = 128;
  summary.parameters_active = 32;  // One of four.
  const ModelWork work = WorkOf(summary);
  EXPECT_EQ(work.token_flop, 2 * 32);
  EXPECT_EQ(work.stage_moments, 4 * 16);  // All of them are in memory.
  EXPECT_EQ(work.solver_flop, 4 * (64 + 2 * 16 * 8));
}

/// A study of OneBlock() and one task, at rates that a reader can divide by.
class Costs : public ::testing::Test {
 protected:
  Costs() {
    plan_.models.push_back({{}, OneBlock(), ""});
    plan_.models.front().spec.name = "m";
    plan_.study.tasks.resize(1);
    TaskWork task;
    task.items = 10;
    task.tokens = 100;
    task.scored = 20;
    tasks_ = {{task}};
    rates_.float32_flops = 1000;
    rates_.half_width = 4;
    rates_.solver_share = 0.5;
    rates_.weight_s = rates_.layer_s = rates_.token_s = rates_.step_layer_s = 0;
    rates_.trial_s = 1;
    rates_.record_s = 0.25;
  }
  Trial Quantized(int64_t sequences, int64_t tokens, const Value& recipe = {}) const {
    Trial trial;
    trial.id = "a";
    trial.quantizer = "gptq";
    trial.bits_per_weight = 4;
    trial.recipe = recipe;
    trial.needs.second_moment = true;
    trial.calibration = CalibrationSpec{"text", sequences, tokens, 0};
    return trial;
  }
  TrialCost Of(const Trial& trial) const { return CostModel(plan_, {}, tasks_, rates_).Of(trial); }

  Plan plan_;
  std::vector<std::vector<TaskWork>> tasks_;
  Rates rates_;
};

TEST_F(Costs, AreOperationsOverRates) {
  const StageSeconds seconds = Of(Quantized(5, 10)).seconds;
  const double token = (288 + 4 * 80) / 1000.0;  // Twice as long where a side is as narrow as half_width.
  EXPECT_DOUBLE_EQ(seconds[Stage::kCalibrate], 50 * token + 50 * 132 / 1000.0);
  EXPECT_DOUBLE_EQ(seconds[Stage::kQuantize], (704 + 2 * 704) / (0.5 * 1000));
  EXPECT_DOUBLE_EQ(seconds[Stage::kEvaluate], 100 * token + 20 * 80 / 1000.0);
  EXPECT_DOUBLE_EQ(seconds[Stage::kRecord], 1 + 2 * 0.25);  // The quantization's record and the task's.
}

TEST_F(Costs, OfTheUnquantizedModelAreItsEvaluation) {
  Trial trial;
  trial.quantizer = "none";
  const TrialCost cost = Of(trial);
  EXPECT_EQ(cost.seconds[Stage::kCalibrate], 0);
  EXPECT_EQ(cost.seconds[Stage::kQuantize], 0);
  EXPECT_EQ(cost.codes_bytes, 0);
  EXPECT_GT(cost.seconds[Stage::kEvaluate], 0);
}

TEST_F(Costs, ReadTheTextTwiceForBlocksAndOnceMoreForTransforms) {
  const double once = Of(Quantized(5, 10)).seconds[Stage::kCalibrate] - 50 * 0.132;
  const Value block = Value::Map{{"sequential", "block"}};
  const Value turned = Value::Map{{"sequential", "block"}, {"transforms", Value::List{}}};
  EXPECT_DOUBLE_EQ(Of(Quantized(5, 10, block)).seconds[Stage::kCalibrate], 2 * once + 50 * 0.132);
  EXPECT_DOUBLE_EQ(Of(Quantized(5, 10, turned)).seconds[Stage::kCalibrate], 3 * once + 50 * 0.132);
}

TEST_F(Costs, ShareStatisticsOfTheUnquantizedModelAlone) {
  const Value none = Value::Map{{"sequential", "none"}};
  const std::string shared = Of(Quantized(5, 10, none)).shared_statistics;
  EXPECT_FALSE(shared.empty());
  EXPECT_EQ(Of(Quantized(5, 10, none)).shared_statistics, shared);
  EXPECT_NE(Of(Quantized(6, 10, none)).shared_statistics, shared);
  EXPECT_EQ(Of(Quantized(5, 10)).shared_statistics, "");
}

TEST_F(Costs, MemoryGrowsWithTheTextAndWithMoments) {
  const double few = Of(Quantized(100, 1000)).memory_bytes, many = Of(Quantized(200, 1000)).memory_bytes;
  // Hidden states [Cb T, 4] and inputs of the widest stage [Cb T, 8] in float32.
  EXPECT_DOUBLE_EQ(many - few, 100'000 * (4 + 8) * 4);
  Trial trial = Quantized(200, 1000);
  trial.needs.second_moment = false;
  EXPECT_DOUBLE_EQ(many - Of(trial).memory_bytes, 2 * 64 * 4);
}

TEST_F(Costs, GenerationReadsAllWeightsEachStep) {
  Trial trial;
  trial.quantizer = "none";
  const double before = Of(trial).seconds[Stage::kEvaluate];
  tasks_[0][0].steps = 3;
  rates_.memory_bytes_per_s = 100;
  EXPECT_NEAR(Of(trial).seconds[Stage::kEvaluate] - before, 3 * 184 * 4 / 100.0, 1e-9);
}

TEST_F(Costs, CodesAreWeightsTimesBits) { EXPECT_EQ(Of(Quantized(5, 10)).codes_bytes, 144 * 4 / 8); }

class MachineFile : public TemporaryFolder {
 protected:
  Rates Read(const std::string& text) const {
    std::ofstream(folder_ / "m.yaml") << text;
    return ReadRates(folder_ / "m.yaml");
  }
};

TEST_F(MachineFile, SaysRatesInTheirUnits) {
  const Rates rates = Read("name: H200\nfloat32_gflops: 50000\nbfloat16_gflops: 690000\nhalf_width: 2000\nmemory_gib: 2\n");
  EXPECT_EQ(rates.float32_flops, 5e13);
  EXPECT_EQ(rates.flops(Dtype::kBFloat16), 6.9e14);
  EXPECT_EQ(rates.half_width, 2000);
  EXPECT_EQ(rates.memory_bytes, 2.0 * (1 << 30));
  EXPECT_EQ(rates.solver_share, Rates().solver_share);
  EXPECT_EQ(rates.source, "of H200, by " + (folder_ / "m.yaml").string());
}

TEST_F(MachineFile, SaysAllThatIsWrongWithIt) {
  try {
    Read("name: H200\nfloat32_gflop: 50000\nbfloat16_gflops: 0\n");
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("m.yaml:2:1: 'float32_gflop' is not an option of machine file 'm'. Did you mean 'float32_gflops'?"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("m.yaml:3:"), std::string::npos) << text;
  }
  EXPECT_THROW(Read("[1]"), Error);
}

TEST(MachineFiles, ThatCameAlongAreRead) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(BITLAW_SOURCE_DIR "/configs/machines")) {
    if (entry.path().extension() != ".yaml") continue;
    EXPECT_GT(ReadRates(entry.path()).bfloat16_flops, 1e12) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 1);
}

TEST(MachineMemory, IsKnown) { EXPECT_GT(MachineMemoryBytes(), 1e8); }

}  // namespace
}  // namespace bitlaw
