#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/sdk/machine/torch_threads.h"
#include "golden_logits.h"
#include "support/models.h"

// Logits against transformers. The goldens say what made them, from which seed, and why this tolerance.

namespace bitlaw {
namespace {

using Json = nlohmann::json;

std::string Golden(const std::string& name) { return BITLAW_SOURCE_DIR "/tests/parity/logits/" + name; }

Json ReadJson(const std::string& name) {
  std::ifstream file(Golden(name));
  return Json::parse(file);
}

class TinyCheckpoint : public testing::TestWithParam<const char*> {};

TEST_P(TinyCheckpoint, GivesTheLogitsOfThePublicImplementation) {
  const std::string name = GetParam();
  const auto model = MakeModelBackend("hf")->Open(Golden(name), {});
  const double error = LargestRelativeError(*model, ReadJson(name + "_logits.json"));
  RecordProperty("largest_relative_error", std::to_string(error));
  EXPECT_LT(error, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Logits, TinyCheckpoint,
                         testing::Values("tiny_llama", "tiny_llama3", "tiny_qwen2", "tiny_qwen3", "tiny_qwen3_moe"),
                         [](const auto& tested) { return std::string(tested.param); });

class LabRung : public testing::TestWithParam<const char*> {};

TEST_P(LabRung, GivesTheTokensAndLogitsOfThePublicImplementation) {
  const std::string name = GetParam();
  if (!std::ifstream(Golden(name + "_logits.json"))) {
    GTEST_SKIP() << "the rung is not shipped: examples/knowledge-lab/train.sh makes it, make_goldens.py lab its golden";
  }
  const auto model = MakeModelBackend("hf")->Open(BITLAW_SOURCE_DIR "/examples/knowledge-lab/models/" + name, {});
  const Json golden = ReadJson(name + "_logits.json");
  for (size_t i = 0; i < golden.at("texts").size(); ++i) {
    EXPECT_EQ(model->tokenizer().Encode(golden.at("texts")[i].get<std::string>(), true),
              golden.at("prompts")[i].at("ids").get<std::vector<int32_t>>());
  }
  EXPECT_LT(LargestRelativeError(*model, golden), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Logits, LabRung, testing::Values("lab-llama-123k", "lab-qwen3-123k", "lab-moe-518k"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(TinyGguf, GivesTheLogitsOfThePublicImplementation) {
  const auto model = MakeModelBackend("gguf")->Open(Golden("tiny.gguf"), {});
  EXPECT_LT(LargestRelativeError(*model, ReadJson("tiny_gguf_logits.json")), 1e-4);
}

TEST(TinyGguf, NamesAndOrdersLayersAsItsHuggingFaceTwin) {
  const auto gguf = MakeModelBackend("gguf")->Open(Golden("tiny.gguf"), {});
  const auto hf = MakeModelBackend("hf")->Open(Golden("tiny_llama"), {});
  ASSERT_EQ(gguf->summary().linears.size(), 14u);
  EXPECT_EQ(gguf->summary().parameters_total, hf->summary().parameters_total);
  for (int stage = 0; stage < 4; ++stage) {
    for (size_t i = 0; i < hf->block(0).stage_linears(stage).size(); ++i) {
      const Linear &ours = *gguf->block(0).stage_linears(stage)[i], &twin = *hf->block(0).stage_linears(stage)[i];
      EXPECT_EQ(ours.shape().name, twin.shape().name);
      // Four-bit storage moves a weight by a few percent of the matrix's size; other rows would move it by all of it.
      const double moved = ((ours.weight() - twin.weight()).norm() / twin.weight().norm()).item<double>();
      EXPECT_LT(moved, 0.15) << ours.shape().name;
    }
  }
}

TEST(TinyGguf, SaysThatItsBaselineIsDequantized) {
  const ModelSummary summary = MakeModelBackend("gguf")->Inspect(Golden("tiny.gguf"));
  EXPECT_EQ(summary.baseline_note, "weights were stored as Q8_0, Q5_0, Q4_1, Q5_1, Q4_0 and are dequantized");
  EXPECT_EQ(summary.name, "tiny");
  EXPECT_EQ(summary.architecture, "llama");
}

TEST(TinyGguf, TokenizesAsItsHuggingFaceTwin) {
  const auto gguf = MakeModelBackend("gguf")->OpenTokenizer(Golden("tiny.gguf"));
  const auto hf = MakeModelBackend("hf")->OpenTokenizer(Golden("tiny_llama"));
  for (const char* text : {"The quick brown dog forgets a little.", "quantization of weights\n\n", "na\xC3\xAFve"}) {
    EXPECT_EQ(gguf->Encode(text, true), hf->Encode(text, true)) << text;
  }
  EXPECT_EQ(gguf->eos_id(), 0);
  EXPECT_EQ(hf->eos_id(), 0);
}

TEST(SmolLm2, GivesTheLogitsOfThePublicImplementation) {
  const char* path = std::getenv("BITLAW_SMOLLM2");
  if (path == nullptr) {
    GTEST_SKIP() << "BITLAW_SMOLLM2 does not name SmolLM2-135M-Instruct.Q4_1.gguf (98 MB, not in this repository; "
                    "examples/smollm2 says where it comes from).";
  }
  SetTorchThreads(0);
  const auto model = MakeModelBackend("gguf")->Open(path, {});
  const double error = LargestRelativeError(*model, ReadJson("smollm2_logits.json"));
  std::printf("SmolLM2 float32: largest relative error %.3g\n", error);
  EXPECT_LT(error, 1e-4);
  const auto rounded = MakeModelBackend("gguf")->Open(path, {.dtype = Dtype::kBFloat16, .device = "cpu"});
  const double rounding = LargestRelativeError(*rounded, ReadJson("smollm2_logits.json"));
  std::printf("SmolLM2 bfloat16: largest relative error %.3g\n", rounding);
  EXPECT_LT(rounding, 0.2) << "bfloat16 keeps 8 bits; this catches faults, not rounding";
}

}  // namespace
}  // namespace bitlaw
