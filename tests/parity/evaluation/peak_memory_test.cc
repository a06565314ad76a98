// The promise of docs/evaluation.md on a real model: weights, keys and values, and 1 GiB for all else.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

namespace bitlaw {
namespace {

using Json = nlohmann::json;

constexpr double kMiB = 1 << 20;
constexpr int64_t kParameters = 134515008;  // Of SmolLM2-135M.

class PeakMemory : public ::testing::TestWithParam<int64_t> {};

TEST_P(PeakMemory, OfAnEvaluationIsWeightsBudgetAndOneGiBAtMost) {
  const int64_t kv_bytes = GetParam();
  const char *weights = std::getenv("BITLAW_SMOLLM2"), *data = std::getenv("BITLAW_DATA");
  if (weights == nullptr || data == nullptr) {
    GTEST_SKIP() << "needs BITLAW_SMOLLM2 and BITLAW_DATA, as evaluation_parity_test.cc says.";
  }
  // Long windows, long prompts with many rows behind a header, generation, and texts of several choices.
  std::string command = std::string("'") + BITLAW_PROGRAM + "' evaluate '" + weights + "' --data '" + data +
                        "' --threads 2 --json - --kv-bytes " + std::to_string(kv_bytes) +
                        " --task wikitext2,mmlu_5shot,triviaqa_5shot,hellaswag";
  for (const char* option : {"wikitext2.max_windows=1", "mmlu_5shot.limit=24", "triviaqa_5shot.limit=24",
                             "triviaqa_5shot.max_new_tokens=8", "hellaswag.limit=8"}) {
    command += std::string(" --option ") + option;
  }
  FILE* program = ::popen(command.c_str(), "r");
  ASSERT_NE(program, nullptr);
  std::string out;
  for (char piece[4096]; const size_t got = std::fread(piece, 1, sizeof piece, program);) out.append(piece, got);
  ASSERT_EQ(::pclose(program), 0) << command;
  const auto peak = Json::parse(out).at("peak_memory_bytes").get<int64_t>();
  const int64_t allowed = kParameters * 4 + kv_bytes + (int64_t{1} << 30);
  std::printf("budget %.0f MiB: peak %.0f MiB of %.0f\n", kv_bytes / kMiB, peak / kMiB, allowed / kMiB);
  EXPECT_LE(peak, allowed);
  EXPECT_GT(peak, kParameters * 4) << "the peak is not that of a program which held the weights";
}

INSTANTIATE_TEST_SUITE_P(Budgets, PeakMemory, ::testing::Values(int64_t{32} << 20, int64_t{1} << 30));

}  // namespace
}  // namespace bitlaw
