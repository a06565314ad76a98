// What a GGUF file is to say of a tokenizer. What is read of it again encodes alike, by the tokenizers' digests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

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

// Files that transformers saves again name one, though byte-level tokens leave nothing unknown but bytes without a token.
TEST(ForGguf, NamesTheUnknownToken) {
  const std::string text =
      R"({"added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
      R"("post_processor":null,"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","unk_token":"b","vocab":{"a":0,"b":1},)"
      R"("merges":[]}})";
  const GgufTokenizer gguf = ByteLevelBpe::FromTokenizerJsonText(text, "here", {})->ForGguf(2);
  EXPECT_EQ(gguf.unknown, 1);
  EXPECT_EQ(gguf.pre, "gpt-2");
}

// Tokens 0 to 2 have roles, 3 to 258 are bytes, then a mark, "a", "b" and what they make: mark a, ab, mark ab.
nlohmann::json OfCharacters() {
  nlohmann::json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
  int next = 259;
  for (const char* token : {"\u2581", "a", "b", "\u2581ab", "ab", "\u2581a"}) vocabulary[token] = next++;
  nlohmann::json added = nlohmann::json::array();
  for (const char* token : {"<unk>", "<s>", "</s>"}) {
    added.push_back({{"id", added.size()}, {"content", token}, {"special", true}, {"normalized", false},
                     {"single_word", false}, {"lstrip", false}, {"rstrip", false}});
  }
  const nlohmann::json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
  return {{"added_tokens", added},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", {{{"type", "Prepend"}, {"prepend", "\u2581"}}, replace}}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}},
              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model",
           {{"type", "BPE"}, {"unk_token", "<unk>"}, {"fuse_unk", true}, {"byte_fallback", true}, {"vocab", vocabulary},
            {"merges", {"\u2581 a", "a b", "\u2581a b", "\u2581 ab"}}}}};
}

std::unique_ptr<ByteLevelBpe> OpenJson(const nlohmann::json& json) {
  return ByteLevelBpe::FromTokenizerJsonText(json.dump(), "here", {1, 2, {}, ""});
}

TEST(ForGguf, GivesCharactersScoresInTheOrderOfMerges) {
  const GgufTokenizer gguf = OpenJson(OfCharacters())->ForGguf(266);
  EXPECT_EQ(gguf.model, "llama");
  EXPECT_TRUE(gguf.add_space_prefix);
  EXPECT_TRUE(gguf.merges.empty());
  EXPECT_EQ(gguf.tokens[261], "b");
  EXPECT_EQ(gguf.tokens[262], "\u2581ab");
  const std::vector<float> scores(gguf.scores.begin() + 259, gguf.scores.end());
  EXPECT_EQ(scores, (std::vector<float>{0, 0, 0, -3, -2, -1, 0}));  // mark, a, b, mark ab, ab, mark a, a row without a token
  EXPECT_EQ(std::vector<int32_t>(gguf.token_types.begin(), gguf.token_types.begin() + 4), (std::vector<int32_t>{2, 3, 3, 6}));
  EXPECT_EQ(gguf.token_types[265], 5);
  EXPECT_EQ(gguf.unknown, 0);
}

TEST(ForGguf, RefusesMergesThatNoScoresSay) {
  nlohmann::json json = OfCharacters();
  json["model"]["merges"] = {"\u2581 a", "a b", "\u2581a b"};
  EXPECT_THAT(Refusal(*OpenJson(json)),
              HasSubstr("its tokens '\u2581' and 'ab' make a third that no merge makes, and readers of scores would join them."));
  json["model"]["merges"] = {"\u2581 a", "\u2581a b", "a b", "\u2581 ab"};
  EXPECT_THAT(Refusal(*OpenJson(json)),
              HasSubstr("merges of 'ab' stand among those of '\u2581ab', and a token has one score."));
}

TEST(ForGguf, RefusesWhiteSpaceThatReadersOfScoresWriteInAnotherWay) {
  nlohmann::json json = OfCharacters();
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "first"}, {"split", false}};
  EXPECT_THAT(Refusal(*OpenJson(json)), HasSubstr("Of Metaspace, prepend_scheme first is not said."));
  json = OfCharacters();
  json["model"]["vocab"].erase("<0x07>");
  EXPECT_THAT(Refusal(*OpenJson(json)), HasSubstr("some bytes have none to fall back to."));
}

TEST(ForGguf, RefusesWhatTheFormatCannotSay) {
  EXPECT_THAT(Refusal(*Open("characters/llama2", true)), HasSubstr("it looks for added tokens in normalized text"));
  for (const auto& [name, has_flags] : {std::pair("gpt2", true), {"removed", false}}) {
    EXPECT_THAT(Refusal(*Open(name, has_flags)),
                HasSubstr("none of the patterns that tokenizer.ggml.pre names cuts its words, or its added tokens have flags"))
        << name;
  }
}

}  // namespace
}  // namespace bitlaw
