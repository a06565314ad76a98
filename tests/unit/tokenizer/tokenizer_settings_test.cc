// What transformers 5.24.0 (tokenizers 0.23.3) gave for folders of the same kind: AutoTokenizer.from_pretrained with
// tokenizer_class PreTrainedTokenizerFast, a byte-level vocabulary, encode() and decode() with and without
// skip_special_tokens. The ids here are those of the smaller vocabulary below.
#include <gmock/gmock.h>
#include <unistd.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"

namespace bitlaw {
namespace {

using testing::ElementsAre;

using Files = std::map<std::string, std::string>;  // By name, beside tokenizer.json.

// a to d, space, "<e>" special (5), "<f>" not special (6); <g> (7) is in the vocabulary alone.
constexpr char kTokenizer[] = R"({
  "added_tokens": [{"id": 5, "content": "<e>", "special": true, "normalized": false},
                   {"id": 6, "content": "<f>", "special": false, "normalized": false, "rstrip": true}],
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
  "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "Ġ": 4, "<e>": 5, "<f>": 6, "<g>": 7},
            "merges": []}})";

// Of this process alone: tests run side by side.
std::string Folder() { return testing::TempDir() + "bitlaw_tokenizer_settings_" + std::to_string(::getpid()) + "/"; }

std::unique_ptr<ByteLevelBpe> Open(const Files& files, const SpecialTokenIds& special = {}) {
  const std::filesystem::path folder = Folder();
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "tokenizer.json") << kTokenizer;
  for (const auto& [name, text] : files) std::ofstream(folder / name) << text;
  return ByteLevelBpe::FromTokenizerJson(folder / "tokenizer.json", special);
}

std::unique_ptr<ByteLevelBpe> OpenConfig(const std::string& config) { return Open({{"tokenizer_config.json", config}}); }

std::string ErrorOf(const Files& files, const SpecialTokenIds& special = {}) {
  try {
    Open(files, special);
  } catch (const Error& error) {
    std::string text = error.what();
    const std::string folder = Folder();
    for (size_t at; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
    return text;
  }
  return "no error";
}

std::string Plain(const ByteLevelBpe& tokenizer, std::initializer_list<int32_t> ids) {
  return tokenizer.Decode(std::vector<int32_t>(ids), /*skip_special_tokens=*/true);
}

TEST(AddedTokensDecoder, BringsTokensThatTokenizerJsonLacks) {
  const auto tokenizer = OpenConfig(R"({"added_tokens_decoder": {
    "9": {"content": "<y>", "special": true}, "8": {"content": "<x>", "special": false, "normalized": false}}})");
  EXPECT_THAT(tokenizer->Encode("a<x>b<y>", false), ElementsAre(0, 8, 1, 9));
  EXPECT_EQ(Plain(*tokenizer, {0, 8, 9, 1}), "a<x>b");
  EXPECT_EQ(tokenizer->vocab_size(), 10);
}

TEST(AddedTokensDecoder, AnEntryOfTheVocabularyKeepsItsId) {
  const auto tokenizer = OpenConfig(R"({"added_tokens_decoder": {"7": {"content": "<g>", "normalized": false}}})");
  EXPECT_THAT(tokenizer->Encode("a<g>b", false), ElementsAre(0, 7, 1));
  EXPECT_EQ(Plain(*tokenizer, {0, 7, 1}), "a<g>b");
}

TEST(AddedTokensDecoder, ItsFlagsReplaceThoseOfTokenizerJson) {
  EXPECT_THAT(OpenConfig("{}")->Encode("a <f> b", false), ElementsAre(0, 4, 6, 1));
  const auto flags = [](const std::string& text) {
    return OpenConfig(R"({"added_tokens_decoder": {"6": {"content": "<f>", "normalized": false)" + text + "}}}");
  };
  EXPECT_THAT(flags("")->Encode("a <f> b", false), ElementsAre(0, 4, 6, 4, 1));
  EXPECT_THAT(flags(R"(, "lstrip": true)")->Encode("a <f> b", false), ElementsAre(0, 6, 4, 1));
  EXPECT_THAT(flags(R"(, "rstrip": true)")->Encode("a <f> b", false), ElementsAre(0, 4, 6, 1));
  EXPECT_THAT(flags(R"(, "single_word": true)")->Encode("<f> b", false), ElementsAre(6, 4, 1));
  EXPECT_THAT(flags(R"(, "single_word": true)")->Encode("a<f>b", false), ElementsAre(0, 1));  // '<', 'f', '>': no ids.
  EXPECT_EQ(Plain(*flags(""), {0, 6, 1}), "a<f>b");
  EXPECT_EQ(Plain(*flags(R"(, "special": true)"), {0, 6, 1}), "ab");
}

TEST(AddedTokensDecoder, ATokenThatIsSpecialStaysSpecial) {
  const auto tokenizer = OpenConfig(R"({"added_tokens_decoder": {"5": {"content": "<e>", "special": false}}})");
  EXPECT_EQ(Plain(*tokenizer, {0, 5, 1}), "ab");
}

TEST(AddedTokensDecoder, AnotherIdThanTokenizerJsonsIsAContradiction) {
  const auto refused = [](const std::string& entry) {
    return ErrorOf({{"tokenizer_config.json", R"({"added_tokens_decoder": {)" + entry + "}}"}});
  };
  EXPECT_EQ(refused(R"("9": {"content": "<f>"})"),
            "tokenizer_config.json: added_tokens_decoder['9'] gives '<f>' the id 9, not 6, which tokenizer.json gives it. "
            "The files contradict each other.");
  EXPECT_EQ(refused(R"("20": {"content": "<x>"})"),
            "tokenizer_config.json: added_tokens_decoder['20'] gives '<x>' the id 20, not 8, which is its own or the "
            "next free one in tokenizer.json. The files contradict each other.");
  EXPECT_EQ(refused(R"("5": {"content": "<x>"})"),
            "tokenizer_config.json: added_tokens_decoder['5'] gives '<x>' the id 5, not 8, which is its own or the "
            "next free one in tokenizer.json. The files contradict each other.");
}

TEST(AddedTokensDecoder, RefusesWhatIsNoTokenWithKeyAndValue) {
  const auto refused = [](const std::string& config) { return ErrorOf({{"tokenizer_config.json", config}}); };
  EXPECT_EQ(refused(R"({"added_tokens_decoder": {"x": {"content": "<x>"}}})"),
            "tokenizer_config.json: added_tokens_decoder['x']: the key must be a token id.");
  EXPECT_EQ(refused(R"({"added_tokens_decoder": {"8": {"special": true}}})"),
            "tokenizer_config.json: added_tokens_decoder['8'] is {special: true}. It must be the text of a token, or a "
            "map that holds it as 'content'.");
  EXPECT_EQ(refused(R"({"added_tokens_decoder": {"8": {"content": "<x>", "lstrip": 1}}})"),
            "tokenizer_config.json: added_tokens_decoder['8'].lstrip is 1. It must be true or false.");
  EXPECT_EQ(refused(R"({"eos_token": 5})"),
            "tokenizer_config.json: 'eos_token' is 5. It must be the text of a token, or a map that holds it as "
            "'content'.");
  EXPECT_EQ(refused(R"({"eos_token": "<e>", "eos_token": "<f>"})"),
            "tokenizer_config.json: not JSON at byte 40: the object that ends here has the key 'eos_token' twice.");
  EXPECT_EQ(refused("[]"), "tokenizer_config.json: the top level is not a map.");
}

TEST(TokenRoles, TheTokenizersOwnWinOverThoseOfTheModel) {
  SpecialTokenIds model;
  model.bos = 1, model.eos = 2, model.stop = {2, 3};
  const auto named = Open({{"tokenizer_config.json", R"({"bos_token": null, "eos_token": "<f>"})"}}, model);
  EXPECT_EQ(named->bos_id(), std::nullopt);
  EXPECT_EQ(named->eos_id(), 6);
  EXPECT_THAT(named->stop_ids(), ElementsAre(6, 2, 3));
  const auto only_bos = Open({{"tokenizer_config.json", R"({"bos_token": {"content": "<e>"}})"}}, model);
  EXPECT_EQ(only_bos->bos_id(), 5);
  EXPECT_EQ(only_bos->eos_id(), 2);  // Named by the model alone.
  EXPECT_THAT(only_bos->stop_ids(), ElementsAre(2, 3));
  const auto none = Open({{"tokenizer_config.json", R"({"bos_token": null, "model_max_length": 8})"}}, model);
  EXPECT_EQ(none->bos_id(), 1);
  EXPECT_EQ(none->eos_id(), 2);
}

TEST(TokenRoles, AnIdOfTheModelThatIsNotUsedIsNotChecked) {
  SpecialTokenIds model;
  model.bos = 900;
  EXPECT_EQ(Open({{"tokenizer_config.json", R"({"eos_token": "<e>"})"}}, model)->eos_id(), 5);
  model.where = "config.json";
  EXPECT_EQ(ErrorOf({}, model), "config.json: bos token id 900 is no token of the vocabulary, which has ids 0 to 7.");
}

TEST(TokenRoles, SpecialTokensMapCountsUnlessTheConfigurationHasADecoder) {
  const Files map = {{"special_tokens_map.json", R"({"eos_token": {"content": "<f>", "lstrip": false}})"}};
  EXPECT_EQ(Open(map)->eos_id(), 6);
  Files both = map;
  both["tokenizer_config.json"] = R"({"eos_token": "<e>", "bos_token": "<e>"})";
  EXPECT_EQ(Open(both)->eos_id(), 6);
  EXPECT_EQ(Open(both)->bos_id(), 5);
  both["special_tokens_map.json"] = R"({"bos_token": null})";
  EXPECT_EQ(Open(both)->bos_id(), std::nullopt);
  both["tokenizer_config.json"] = R"({"eos_token": "<e>", "bos_token": "<e>", "added_tokens_decoder": {}})";
  EXPECT_EQ(Open(both)->bos_id(), 5);
}

TEST(TokenRoles, ATokenWithARoleIsSpecialAndFoundInTexts) {
  EXPECT_EQ(Plain(*OpenConfig(R"({"eos_token": "<f>"})"), {0, 6, 1}), "ab");
  EXPECT_EQ(Plain(*OpenConfig(R"({"pad_token": "<f>"})"), {0, 6, 1}), "ab");
  const auto of_vocabulary = OpenConfig(R"({"eos_token": "<g>"})");
  EXPECT_THAT(of_vocabulary->Encode("a<g>b", false), ElementsAre(0, 7, 1));
  EXPECT_EQ(Plain(*of_vocabulary, {0, 7, 1}), "ab");
  const auto unknown = OpenConfig(R"({"eos_token": "<e>", "pad_token": "[PAD]", "image_token": "<image>"})");
  EXPECT_THAT(unknown->Encode("a[PAD]<image>b", false), ElementsAre(0, 8, 9, 1));
  EXPECT_EQ(Plain(*unknown, {0, 8, 9, 1}), "ab");
}

TEST(TokenRoles, FurtherSpecialTokensAreAddedButDoNotChangeKnownOnes) {
  const auto tokenizer = OpenConfig(R"({"additional_special_tokens": ["<x>", {"content": "<y>"}, "<f>"]})");
  EXPECT_THAT(tokenizer->Encode("a<x><y>b", false), ElementsAre(0, 8, 9, 1));
  EXPECT_EQ(Plain(*tokenizer, {0, 8, 9, 6, 1}), "a<f>b");
}

TEST(TokenRoles, AddedTokensJsonBringsTokensWhereThereIsNoDecoder) {
  const auto tokenizer = Open({{"added_tokens.json", R"({"<y>": 9, "<x>": 8})"},
                               {"special_tokens_map.json", R"({"pad_token": "<y>"})"}});
  EXPECT_THAT(tokenizer->Encode("a<x><y>b", false), ElementsAre(0, 8, 9, 1));
  EXPECT_EQ(Plain(*tokenizer, {0, 8, 9, 1}), "a<x>b");
  EXPECT_EQ(ErrorOf({{"added_tokens.json", R"({"<x>": "8"})"}}),
            "added_tokens.json: '<x>' is '8'. It must be a token id.");
}

TEST(TokenRoles, SpecialTokensInTextsAreTextWhereTheConfigurationSaysSo) {
  const auto tokenizer = OpenConfig(R"({"split_special_tokens": true, "eos_token": "<e>"})");
  EXPECT_THAT(tokenizer->Encode("a<e>b<f>", false), ElementsAre(0, 1, 6));  // '<', 'e', '>': no ids.
  EXPECT_EQ(tokenizer->eos_id(), 5);
  EXPECT_EQ(Plain(*tokenizer, {0, 5, 1}), "ab");
}

}  // namespace
}  // namespace bitlaw
