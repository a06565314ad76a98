// Splitting and windows, against lm-evaluation-harness itself (goldens.json, made by make_goldens.py).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"
#include "evaluate/encode.h"
#include "support/toy_model.h"

namespace bitlaw {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(BITLAW_SOURCE_DIR) / "tests/parity";

nlohmann::json Goldens() { return nlohmann::json::parse(std::ifstream(kFolder / "encode_pair/goldens.json")); }

class EncodePairParity : public ::testing::TestWithParam<const char*> {};

TEST_P(EncodePairParity, SplitsEveryPairAsThePublicHarness) {
  const nlohmann::json golden = Goldens().at("pairs").at(GetParam());
  SpecialTokenIds special;
  if (!golden.at("bos").is_null()) special.bos = golden.at("bos").get<int32_t>();
  special.eos = golden.at("eos").get<int32_t>();
  const auto tokenizer = ByteLevelBpe::FromTokenizerJson(
      kFolder / "tokenization" / (std::string(GetParam()) + ".tokenizer.json"), special);
  ASSERT_EQ(golden.at("cases").size(), 39u);
  for (const nlohmann::json& wanted : golden.at("cases")) {
    SCOPED_TRACE(wanted.dump());
    const EncodedPair pair = EncodePair(*tokenizer, wanted.at("context").get<std::string>(),
                                        wanted.at("continuation").get<std::string>());
    EXPECT_EQ(pair.context, wanted.at("context_ids").get<std::vector<int32_t>>());
    EXPECT_EQ(pair.continuation, wanted.at("continuation_ids").get<std::vector<int32_t>>());
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, EncodePairParity, ::testing::Values("llama3", "smollm", "gpt2"));

TEST(RollingWindowParity, CutsTextsAsThePublicHarness) {
  const testing::ToyTokenizer tokenizer;  // One byte, one token; BOS is 259, which the goldens write as -1.
  const nlohmann::json golden = Goldens();
  for (const nlohmann::json& wanted : golden.at("windows")) {
    SCOPED_TRACE(wanted.dump());
    std::string text;
    for (int i = 0; i < wanted.at("tokens").get<int>(); ++i) text += static_cast<char>(i);
    const auto window = wanted.at("window").get<int64_t>();
    const auto windows =
        MakeWindows(tokenizer, RollingRequest{text, WindowConvention::kRolling, window, 0}, window, "text");
    ASSERT_EQ(windows.size(), wanted.at("windows").size());
    for (size_t i = 0; i < windows.size(); ++i) {
      std::vector<int32_t> input = wanted.at("windows")[i][0].get<std::vector<int32_t>>();
      const auto targets = wanted.at("windows")[i][1].get<std::vector<int32_t>>();
      for (int32_t& id : input) id = id < 0 ? 259 : id;
      const auto context = static_cast<int64_t>(input.size());
      input.insert(input.end(), targets.begin(), targets.end() - 1);
      EXPECT_EQ(windows[i].input, input);
      EXPECT_EQ(windows[i].targets, targets);
      EXPECT_EQ(windows[i].first_scored, context - 1);
    }
  }
}

}  // namespace
}  // namespace bitlaw
