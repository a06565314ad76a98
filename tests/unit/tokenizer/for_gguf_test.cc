// What a GGUF file is to say of a tokenizer. What is read of it again encodes alike, by the tokenizers' digests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;

// A tokenizer of the parity tests, with or without the added tokens that have flags.
std::unique_ptr<ByteLevelBpe> Open(const std::string& name, bool has_flags) {
  const std::string path = std::string(BITLAW_SOURCE_DIR) + "/tests/parity/tokenization/" + name + ".tokenizer.json";
  std::ifstream file(path);
  nlohmann::json json = nlohmann::json::parse(file);
  nlohmann::json kept = nlohmann::json::array();
  SpecialTokenIds special;
  for (const nlohmann::json& token : json["added_tokens"]) {
    if (token["content"] == "<s>") special.bos = token["id"].get<int32_t>();
    const bool has_flag = token["lstrip"] || token["rstrip"] || token["single_word"] || token["normalized"];
    if (has_flags || !has_flag) kept.push_back(token);
  }
  json["added_tokens"] = kept;
  return ByteLevelBpe::FromTokenizerJsonText(json.dump(), name, special);
}

std::string Refusal(const Tokenizer& tokenizer) {
  try {
    dynamic_cast<const ByteLevelBpe&>(tokenizer).ForGguf(0);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(ForGguf, NamesThePatternByWhichWordsAreCut) {
  for (const auto& [name, pre] : {std::pair("gpt2", "gpt-2"), {"smollm", "smollm"}, {"llama3", "llama-bpe"}, {"qwen2", "qwen2"}}) {
    EXPECT_EQ(Open(name, false)->ForGguf(0).pre, pre) << name;
  }
}

// Three tokens, "a" and a space; token 2 is added, and two rows of the matrices are no tokens.
TEST(ForGguf, WritesTokensInLettersAndRowsWithoutTokensByNumber) {
  const std::string text =
      R"({"added_tokens":[{"id":2,"content":"<end>","special":true,"normalized":false,"single_word":false,"lstrip":false,)"
      R"("rstrip":false}],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
      R"("post_processor":null,"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"Ġ":1,"<end>":2,"Ġa":3},)"
      R"("merges":["Ġ a"]}})";
  const auto tokenizer = ByteLevelBpe::FromTokenizerJsonText(text, "here", {{}, 2, {2, 0}, ""});
  const GgufTokenizer gguf = tokenizer->ForGguf(6);
  EXPECT_EQ(gguf.model, "gpt2");
  EXPECT_EQ(gguf.tokens, (std::vector<std::string>{"a", "Ġ", "<end>", "Ġa", "[PAD4]", "[PAD5]"}));
  EXPECT_EQ(gguf.token_types, (std::vector<int32_t>{1, 1, 3, 1, 5, 5}));
  EXPECT_EQ(gguf.merges, (std::vector<std::string>{"Ġ a"}));
  EXPECT_EQ(gguf.eos, 2);
  EXPECT_EQ(gguf.stop, (std::vector<int32_t>{0}));
  EXPECT_FALSE(gguf.add_bos);
}

TEST(ForGguf, RefusesWhatTheFormatCannotSay) {
  EXPECT_THAT(Refusal(*Open("characters/llama2", true)), HasSubstr("its tokens are characters, and the format joins these by "
                                                                   "scores"));
  for (const auto& [name, has_flags] : {std::pair("gpt2", true), {"removed", false}}) {
    EXPECT_THAT(Refusal(*Open(name, has_flags)),
                HasSubstr("none of the patterns that tokenizer.ggml.pre names cuts its words, or its added tokens have flags"))
        << name;
  }
}

}  // namespace
}  // namespace bitlaw
