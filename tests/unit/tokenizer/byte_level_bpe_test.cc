#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Letters a to d, space, two merges ("ab", " ab") and one special token. Ids are the order below.
Json Tiny() {
  return Json::parse(R"({
    "added_tokens": [{"id": 7, "content": "<e>", "special": true, "normalized": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "Ġ": 4, "ab": 5, "Ġab": 6},
              "merges": ["a b", "Ġ ab"]}
  })");
}

std::unique_ptr<ByteLevelBpe> Open(const Json& document, const SpecialTokenIds& special = {}) {
  return ByteLevelBpe::FromTokenizerJsonText(document.dump(), "t.json", special);
}

void ExpectError(ErrorKind kind, const std::string& text, const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "no error; expected: " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), text);
    EXPECT_EQ(Name(error.kind()), Name(kind));
  }
}

TEST(ByteLevelBpe, JoinsPairsByRankAndLeftmostFirst) {
  const auto tokenizer = Open(Tiny());
  EXPECT_THAT(tokenizer->Encode("ab ab", false), ElementsAre(5, 6));
  EXPECT_THAT(tokenizer->Encode("aab", false), ElementsAre(0, 5));
  EXPECT_THAT(tokenizer->Encode("", true), IsEmpty());
  EXPECT_EQ(tokenizer->vocab_size(), 8);
}

TEST(ByteLevelBpe, DecodesWhatItEncodedAndLeavesSpecialTokensOutOnRequest) {
  const auto tokenizer = Open(Tiny());
  const std::vector<int32_t> ids = tokenizer->Encode("ab<e> ab", false);
  EXPECT_THAT(ids, ElementsAre(5, 7, 6));
  EXPECT_EQ(tokenizer->Decode(ids, false), "ab<e> ab");
  EXPECT_EQ(tokenizer->Decode(ids, true), "ab ab");
}

TEST(ByteLevelBpe, PutsTemplateTokensRoundTheTextAndTakesBosFromThem) {
  Json document = Tiny();
  document["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<e>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "special_tokens": {"<e>": {"id": "<e>", "ids": [7], "tokens": ["<e>"]}}})");
  const auto tokenizer = Open(document);
  EXPECT_THAT(tokenizer->Encode("ab", true), ElementsAre(7, 5));
  EXPECT_THAT(tokenizer->Encode("ab", false), ElementsAre(5));
  EXPECT_EQ(tokenizer->bos_id(), 7);
  EXPECT_EQ(tokenizer->eos_id(), std::nullopt);
}

TEST(ByteLevelBpe, ListsEveryStopIdOnceEosFirst) {
  SpecialTokenIds special;
  special.eos = 7;
  special.stop = {3, 7, 3};
  EXPECT_THAT(Open(Tiny(), special)->stop_ids(), ElementsAre(7, 3));
}

TEST(ByteLevelBpe, ReadsRolesFromTheConfigurationBesideTheFile) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "bitlaw_tokenizer_roles";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "tokenizer.json") << Tiny().dump();
  std::ofstream(folder / "tokenizer_config.json") << R"({"bos_token": null, "eos_token": {"content": "<e>"}})";
  const auto tokenizer = ByteLevelBpe::FromTokenizerJson(folder / "tokenizer.json");
  EXPECT_EQ(tokenizer->eos_id(), 7);
  EXPECT_THAT(tokenizer->stop_ids(), ElementsAre(7));
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
  std::filesystem::remove_all(folder);
}

TEST(ByteLevelBpe, AnIdThatIsNoTokenHasNoText) {
  Json document = Tiny();
  document["model"]["vocab"]["d"] = 9;  // A gap at 3; rows from 10 on are padding.
  const auto tokenizer = Open(document);
  for (const bool skip : {false, true}) {
    EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{299, 0, 3, 1, -1, 10, 9}, skip), "abd");
    EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{INT32_MAX, INT32_MIN}, skip), "");
  }
}

TEST(ByteLevelBpe, ReadsBrokenUtf8AsReplacementCharacters) {
  Json document = Tiny();
  for (int i = 0; i < 3; ++i) document["model"]["vocab"][std::array{"ï", "¿", "½"}[i]] = 8 + i;  // EF BF BD
  const auto tokenizer = Open(document);
  EXPECT_THAT(tokenizer->Encode("a\xFF"
                                "a",
                                false),
              ElementsAre(0, 8, 9, 10, 0));
  EXPECT_THAT(tokenizer->Encode("\xE4\xBD", false), ElementsAre(8, 9, 10));  // one cut character: one replacement
  EXPECT_THAT(tokenizer->Encode("\xC0\x80", false), ElementsAre(8, 9, 10, 8, 9, 10));
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{0, 8}, false), "a\xEF\xBF\xBD");  // half a character
}

TEST(ByteLevelBpe, LooksWholeWordsUpFirstOnlyIfTheFileSaysSo) {
  Json document = Tiny();
  document["model"]["vocab"]["cd"] = 8;
  EXPECT_THAT(Open(document)->Encode("cd", false), ElementsAre(2, 3));
  document["model"]["ignore_merges"] = true;
  EXPECT_THAT(Open(document)->Encode("cd", false), ElementsAre(8));
}

TEST(ByteLevelBpe, DropsBytesThatTheVocabularyLacksUnlessItHasAnUnknownToken) {
  Json document = Tiny();
  EXPECT_THAT(Open(document)->Encode("axxb", false), ElementsAre(5));
  document["model"]["unk_token"] = "d";
  EXPECT_THAT(Open(document)->Encode("axxb", false), ElementsAre(0, 3, 3, 1));
  document["model"]["fuse_unk"] = true;
  EXPECT_THAT(Open(document)->Encode("axxb", false), ElementsAre(0, 3, 1));
}

TEST(ByteLevelBpe, SurvivesAWordOfAMillionLetters) {
  const auto tokenizer = Open(Tiny());
  std::string text;
  for (int i = 0; i < 500000; ++i) text += "ab";
  EXPECT_EQ(tokenizer->Encode(text, false), std::vector<int32_t>(500000, 5));
}

TEST(ByteLevelBpe, GivesTheSameIdsFromSeveralThreads) {
  const auto tokenizer = Open(Tiny());
  std::string text;
  for (int i = 0; i < 2000; ++i) text += i % 3 == 0 ? " ab" : i % 3 == 1 ? " cab" + std::string(i % 40, 'd') : "\n";
  const std::vector<int32_t> expected = tokenizer->Encode(text, false);
  std::vector<std::vector<int32_t>> found(4);
  std::vector<std::thread> threads;
  for (auto& ids : found) threads.emplace_back([&] { ids = tokenizer->Encode(text, false); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& ids : found) EXPECT_EQ(ids, expected);
}

TEST(TokenizerDigest, ChangesWithWhatChangesIdsAndWithNothingElse) {
  const std::string digest = Open(Tiny())->digest();
  Json pairs = Tiny();
  pairs["model"]["merges"] = Json::parse(R"([["a", "b"], ["Ġ", "ab"]])");
  pairs["padding"] = {{"pad_id", 0}};
  EXPECT_EQ(Open(pairs)->digest(), digest);
  const auto differs = [&](const std::function<void(Json&)>& change) {
    Json document = Tiny();
    change(document);
    return Open(document)->digest() != digest;
  };
  EXPECT_TRUE(differs([](Json& d) { d["model"]["vocab"]["cd"] = 8; }));
  EXPECT_TRUE(differs([](Json& d) { d["model"]["merges"].erase(1); }));
  EXPECT_TRUE(differs([](Json& d) { d["model"]["ignore_merges"] = true; }));
  EXPECT_TRUE(differs([](Json& d) { d["normalizer"] = {{"type", "NFC"}}; }));
  EXPECT_TRUE(differs([](Json& d) { d["pre_tokenizer"]["use_regex"] = false; }));
  EXPECT_TRUE(differs([](Json& d) { d["added_tokens"][0]["lstrip"] = true; }));
}

TEST(HostileTokenizerJson, IsRefusedWithThePlaceAndTheValue) {
  const auto refused = [](const std::string& text, const std::function<void(Json&)>& change) {
    Json document = Tiny();
    change(document);
    ExpectError(ErrorKind::kIo, text, [&] { Open(document); });
  };
  refused("t.json: has no 'model'. It must be a tokenizer.json of the tokenizers library.",
          [](Json& d) { d.erase("model"); });
  refused("t.json: model.vocab has no entries.", [](Json& d) { d["model"]["vocab"] = Json::object(); });
  refused("t.json: model.vocab['a'] is not an integer.", [](Json& d) { d["model"]["vocab"]["a"] = "0"; });
  refused("t.json: model.vocab['a'] has id 4000000000. Ids must lie in [0, 65564) for a vocabulary of this size.",
          [](Json& d) { d["model"]["vocab"]["a"] = 4000000000; });
  refused("t.json: model.vocab['a'] has id -1. Ids must lie in [0, 65564) for a vocabulary of this size.",
          [](Json& d) { d["model"]["vocab"]["a"] = -1; });
  refused("t.json: merge 0 is 'ab'. It must be two tokens with one space between them.",
          [](Json& d) { d["model"]["merges"][0] = "ab"; });
  refused("t.json: model.merges is {\"a\":\"b\"}, not a list.", [](Json& d) {
    d["model"]["merges"] = Json::object({{"a", "b"}});
  });
  refused("t.json: model.vocab is [], not an object.", [](Json& d) { d["model"]["vocab"] = Json::array(); });
  refused("t.json: model.merges is missing. A list without entries is allowed.",
          [](Json& d) { d["model"].erase("merges"); });
  refused("t.json: merge 1 ('c' + 'd') needs the token 'cd', which the vocabulary lacks.",
          [](Json& d) { d["model"]["merges"][1] = "c d"; });
  refused("t.json: merge 0 is neither 'left right' nor ['left', 'right'].", [](Json& d) {
    d["model"]["merges"][0] = {"a", "b", "c"};
  });
  refused("t.json: added_tokens[0] gives id 3 to '<e>', but the vocabulary has another token there.",
          [](Json& d) { d["added_tokens"][0]["id"] = 3; });
  refused(
      "t.json: added_tokens[0] is {\"content\":\"<e>\",\"id\":\"7\",\"normalized\":false,\"special\":true}. "
      "It needs an integer 'id' and a string 'content'.",
      [](Json& d) { d["added_tokens"][0]["id"] = "7"; });
  refused("t.json: model.unk_token '<unk>' is not in model.vocab.", [](Json& d) { d["model"]["unk_token"] = "<unk>"; });
}

TEST(HostileTokenizerJson, CutOffDeepOrDoubledTextIsRefused) {
  const std::string whole = Tiny().dump();
  for (const size_t size : {size_t{0}, size_t{1}, whole.size() / 2, whole.size() - 1}) {
    EXPECT_THROW(ByteLevelBpe::FromTokenizerJsonText(whole.substr(0, size), "t.json"), Error) << size;
  }
  ExpectError(ErrorKind::kIo, "t.json: is nested more than 64 deep.",
              [] { ByteLevelBpe::FromTokenizerJsonText(std::string(100000, '['), "t.json"); });
  ExpectError(ErrorKind::kIo, "t.json: key 'model' stands twice (byte 21).",
              [] { ByteLevelBpe::FromTokenizerJsonText(R"({"model": {}, "model": {}})", "t.json"); });
  const auto refused = [](const std::string& text, const std::string& model) {
    ExpectError(ErrorKind::kIo, text,
                [&] { ByteLevelBpe::FromTokenizerJsonText(R"({"model": {"type": "BPE", )" + model + "}}", "t.json"); });
  };
  refused("t.json: key 'vocab' stands twice (byte 52).", R"("vocab": {"a": 0}, "vocab": {"b": 1}, "merges": [])");
  refused("t.json: key 'vocab' stands twice (byte 48).", R"("vocab": null, "vocab": {"b": 1}, "merges": [])");
  refused("t.json: key 'merges' stands twice (byte 67).", R"("vocab": {"a": 0}, "merges": [], "merges": [])");
  refused("t.json: key 'a' stands twice in model.vocab (which ends at byte 59).",
          R"("vocab": {"a": 0, "b": 1, "a": 2}, "merges": [])");
  ExpectError(ErrorKind::kIo, "t.json: model.vocab gives id 0 to 'b' and to another token.", [] {
    ByteLevelBpe::FromTokenizerJsonText(R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}})",
                                        "t.json");
  });
}

TEST(HostileTokenizerJson, RolesOutsideTheVocabularyAreRefused) {
  SpecialTokenIds special;
  special.eos = 99;
  ExpectError(ErrorKind::kIo, "t.json: eos token id 99 is no token of the vocabulary, which has ids 0 to 7.",
              [&] { Open(Tiny(), special); });
}

TEST(HostileTokenizerJson, AStopIdOutsideTheVocabularyNamesTheFileThatGivesIt) {
  SpecialTokenIds special;
  special.eos = 7;
  special.stop = {7, 300};
  special.where = "m/generation_config.json, m/config.json";
  ExpectError(ErrorKind::kIo,
              "m/generation_config.json, m/config.json: stop token id 300 is no token of the vocabulary, which has ids "
              "0 to 7.",
              [&] { Open(Tiny(), special); });
}

Json WithSplit(const std::string& pattern) {
  Json document = Tiny();
  document["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {}, "behavior": "Isolated"}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})");
  document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern;
  return document;
}

TEST(HostileTokenizerJson, APatternWhoseMatchEndsBeforeItBeginsIsRefused) {
  ExpectError(ErrorKind::kUnsupported,
              "t.json: pre_tokenizer.pretokenizers[0]: pattern '(?=(?&k))(?(DEFINE)(?<k>..\\K))' matches from byte 2 to 0 "
              "in a search from byte 0. '\\K' in a lookaround is not supported. Write it without.",
              [] { Open(WithSplit("(?=(?&k))(?(DEFINE)(?<k>..\\K))"))->Encode("abcd", false); });
  ExpectError(ErrorKind::kUnsupported,
              "t.json: pre_tokenizer.pretokenizers[0]: pattern 'b(?<=(?&k))(?(DEFINE)(?<k>\\Kab))|a' matches from byte 0 "
              "to 2 in a search from byte 1. '\\K' in a lookaround is not supported. Write it without.",
              [] { Open(WithSplit("b(?<=(?&k))(?(DEFINE)(?<k>\\Kab))|a"))->Encode("abcd", false); });
}

TEST(HostileTokenizerJson, KOutsideALookaroundCutsBehindWhatPrecedesIt) {
  EXPECT_THAT(Open(WithSplit("a\\Kb"))->Encode("ab", false), ElementsAre(0, 1));
  EXPECT_THAT(Open(WithSplit("a\\K"))->Encode("aab", false), ElementsAre(0, 5));
}

TEST(UnsupportedTokenizerJson, NamesThePieceThatIsNotRead) {
  const auto refused = [](const std::string& text, const std::function<void(Json&)>& change) {
    Json document = Tiny();
    change(document);
    ExpectError(ErrorKind::kUnsupported, text, [&] { Open(document); });
  };
  refused("t.json: model.type is 'Unigram'. bitlaw reads BPE only.",
          [](Json& d) { d["model"]["type"] = "Unigram"; });
  refused("t.json: model.byte_fallback is true. With a ByteLevel pre_tokenizer it must be false.",
          [](Json& d) { d["model"]["byte_fallback"] = true; });
  refused("t.json: model.dropout is 0.1. bitlaw reads only null.", [](Json& d) { d["model"]["dropout"] = 0.1; });
  refused("t.json: model.end_of_word_suffix is \"</w>\". bitlaw reads only null.",
          [](Json& d) { d["model"]["end_of_word_suffix"] = "</w>"; });
  refused("t.json: normalizer 'Lowercase' is not supported. bitlaw reads null, NFC, Prepend, Replace and Sequence.",
          [](Json& d) {
            d["normalizer"] = {{"type", "Lowercase"}};
          });
  refused("t.json: normalizer.pattern is {\"Regex\":\" +\"}. bitlaw replaces a text: {String: ...}.", [](Json& d) {
    d["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", " +"}}}, {"content", " "}};
  });
  refused("t.json: pre_tokenizer 'Whitespace' is not supported. bitlaw reads ByteLevel, Split, Digits and Sequence, and "
          "Metaspace without ByteLevel.",
          [](Json& d) {
            d["pre_tokenizer"] = {{"type", "Whitespace"}};
          });
  refused("t.json: decoder {\"type\":\"ByteLevel\"} is not supported where no pre_tokenizer is ByteLevel. bitlaw reads "
          "Replace, ByteFallback, Fuse, Strip of leading characters, Metaspace and Sequence.",
          [](Json& d) { d["pre_tokenizer"] = nullptr; });
  refused("t.json: pre_tokenizer.behavior is \"Contiguous\". bitlaw reads 'Isolated', 'Removed' and "
          "'MergedWithPrevious'.",
          [](Json& d) {
            d["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Contiguous"}};
          });
  refused(
      "t.json: post_processor 'BertProcessing' is not supported. "
      "bitlaw reads ByteLevel, TemplateProcessing and Sequence.",
      [](Json& d) {
        d["post_processor"] = {{"type", "BertProcessing"}};
      });
  refused("t.json: decoder {\"type\":\"WordPiece\"} is not supported. bitlaw reads ByteLevel.", [](Json& d) {
    d["decoder"] = {{"type", "WordPiece"}};
  });
  refused(
      "t.json: pre_tokenizer: pattern '[a&&b]' uses '&&' (class intersection), which bitlaw does not translate. "
      "Write it without.",
      [](Json& d) {
        d["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "[a&&b]"}}}, {"behavior", "Isolated"}};
      });
}

// ids 0 <unk>, 1 "\u2581", 2 a, 3 b, 4 "\u2581a", 5 ab, 6 <0xC3>, 7 <0xA4>; the merges "\u2581 a", "a b".
Json TinyOfCharacters() {
  return Json::parse(R"({
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
              "vocab": {"<unk>": 0, "\u2581": 1, "a": 2, "b": 3, "\u2581a": 4, "ab": 5, "<0xC3>": 6, "<0xA4>": 7},
              "merges": ["\u2581 a", "a b"]},
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "\u2581"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
    "pre_tokenizer": null, "post_processor": null,
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true, "normalized": false}]})");
}

TEST(CharacterBpe, WritesSpacesAndFallsBackToBytes) {
  const auto tokenizer = Open(TinyOfCharacters());
  EXPECT_THAT(tokenizer->Encode("ab a", false), ElementsAre(4, 3, 4));
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{4, 3, 4}, false), "ab a");
  // U+00E4 is C3 A4; U+00F6 is C3 B6, and B6 is no token. Unknown ones next to each other are one.
  EXPECT_THAT(tokenizer->Encode("\u00E4", false), ElementsAre(1, 6, 7));
  EXPECT_THAT(tokenizer->Encode("a\u00F6\u00F6b", false), ElementsAre(4, 0, 3));
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{2, 6, 7}, false), "a\u00E4");
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{2, 6, 7, 6}, false), "a\uFFFD\uFFFD\uFFFD") << "no UTF-8: each byte";
  EXPECT_EQ(tokenizer->FindToken(" a"), 4);
  EXPECT_EQ(tokenizer->FindToken("c"), std::nullopt);
}

TEST(CharacterBpe, AMetaspaceInFrontOfTheTextOnly) {
  Json document = TinyOfCharacters();
  document["normalizer"] = nullptr;
  document["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "first"}, {"split", false}};
  EXPECT_THAT(Open(document)->Encode("a<unk>a a", false), ElementsAre(4, 0, 2, 4));
  document["pre_tokenizer"]["prepend_scheme"] = "always";
  EXPECT_THAT(Open(document)->Encode("a<unk>a a", false), ElementsAre(4, 0, 4, 4));
  document["pre_tokenizer"]["prepend_scheme"] = "never";
  EXPECT_THAT(Open(document)->Encode("a<unk>a a", false), ElementsAre(2, 0, 2, 4));
  document["pre_tokenizer"]["prepend_scheme"] = "last";
  ExpectError(ErrorKind::kIo, "t.json: pre_tokenizer.prepend_scheme is \"last\". It must be always, first or never.",
              [&] { Open(document); });
}

TEST(CharacterBpe, HasADigestOfItsOwn) {
  Json document = TinyOfCharacters();
  const std::string digest = Open(document)->digest();
  EXPECT_EQ(Open(document)->digest(), digest);
  document["model"]["byte_fallback"] = false;
  EXPECT_NE(Open(document)->digest(), digest);
  document = TinyOfCharacters();
  document["decoder"]["decoders"].erase(3);
  EXPECT_NE(Open(document)->digest(), digest);
  document = TinyOfCharacters();
  document["normalizer"] = document["normalizer"]["normalizers"][1];
  EXPECT_NE(Open(document)->digest(), digest);
}

TEST(UnsupportedTokenizerJson, SaysWhyAPatternDoesNotCompile) {
  Json document = Tiny();
  document["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}};
  ExpectError(
      ErrorKind::kUnsupported,
      "t.json: pre_tokenizer: pattern '(a' does not compile: missing closing parenthesis (at offset 2 of '(a').",
      [&] { Open(document); });
}

TEST(HostileTokenizerJson, APatternThatNeverEndsGivesAnErrorInsteadOfHanging) {
  Json document = Tiny();
  document["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", Json::array()}};
  document["pre_tokenizer"]["pretokenizers"].push_back(
      {{"type", "Split"}, {"pattern", {{"Regex", "(a+)+(?=b)(?!b)"}}}, {"behavior", "Isolated"}});
  document["pre_tokenizer"]["pretokenizers"].push_back({{"type", "ByteLevel"}, {"use_regex", false}});
  const auto tokenizer = Open(document);
  try {
    tokenizer->Encode(std::string(64, 'a') + "c", false);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBudget);
    EXPECT_THAT(error.what(), HasSubstr("gave up on a text of 65 bytes"));
  }
}

GgufVocabulary TinyGguf() {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "smollm";
  vocabulary.tokens = {"<s>", "a", "b", "ab", "Ġ", "1", "Ġ1", "ĠĠ"};
  vocabulary.token_types = {3, 1, 1, 1, 1, 1, 1, 1};
  vocabulary.merges = {"a b", "Ġ Ġ", "Ġ 1"};
  vocabulary.special.bos = 0;
  return vocabulary;
}

// Neighbours are joined where the vocabulary has what they make, best score first: "b a" before "a b".
TEST(GgufTokenizer, JoinsByScoreWhereSentencePieceMadeIt) {
  GgufVocabulary vocabulary;
  vocabulary.model = "llama";
  vocabulary.tokens = {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "ba", "\u2581a", "<0xC3>", "<0xA4>"};
  vocabulary.token_types = {2, 3, 3, 1, 1, 1, 1, 1, 1, 6, 6};
  vocabulary.scores = {0, 0, 0, -4, -5, -6, -3, -2, -1, 0, 0};
  vocabulary.special.bos = 1;
  const auto tokenizer = ByteLevelBpe::FromGguf(vocabulary, "m.gguf");
  EXPECT_THAT(tokenizer->Encode("aba b", true), ElementsAre(1, 8, 7, 3, 5));
  EXPECT_THAT(tokenizer->Encode("bab</s>\u00E4", false), ElementsAre(3, 7, 5, 2, 3, 9, 10));
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{1, 8, 7, 3, 5}, true), "aba b");
  vocabulary.add_space_prefix = false;
  EXPECT_THAT(ByteLevelBpe::FromGguf(vocabulary, "m.gguf")->Encode("aba", true), ElementsAre(1, 4, 7));
}

TEST(GgufTokenizer, CutsWordsByTheNameOfItsPreTokenizer) {
  GgufVocabulary vocabulary = TinyGguf();
  EXPECT_THAT(ByteLevelBpe::FromGguf(vocabulary, "m.gguf")->Encode("ab  1<s>", true), ElementsAre(3, 7, 5, 0));
  vocabulary.pre = "gpt-2";  // The space before a digit belongs to it.
  EXPECT_THAT(ByteLevelBpe::FromGguf(vocabulary, "m.gguf")->Encode("ab  1<s>", true), ElementsAre(3, 4, 6, 0));
}

TEST(GgufTokenizer, AddsBosWhenTheFileOrItsPreTokenizerSaysSo) {
  GgufVocabulary vocabulary = TinyGguf();
  vocabulary.add_bos = true;
  EXPECT_THAT(ByteLevelBpe::FromGguf(vocabulary, "m.gguf")->Encode("a", true), ElementsAre(0, 1));
  vocabulary.pre = "llama-bpe";
  vocabulary.add_bos = std::nullopt;
  EXPECT_THAT(ByteLevelBpe::FromGguf(vocabulary, "m.gguf")->Encode("a", true), ElementsAre(0, 1));
  vocabulary.add_bos = false;
  EXPECT_THAT(ByteLevelBpe::FromGguf(vocabulary, "m.gguf")->Encode("a", true), ElementsAre(1));
}

TEST(GgufTokenizer, UnusedTokensThatPadTheMatricesHaveNoText) {
  GgufVocabulary vocabulary = TinyGguf();
  vocabulary.tokens.push_back("[PAD8]");
  vocabulary.token_types.push_back(5);
  const auto tokenizer = ByteLevelBpe::FromGguf(vocabulary, "m.gguf");
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{1, 8, 300, 2}, true), "ab");
  EXPECT_EQ(tokenizer->FindToken("[PAD8]"), std::nullopt);
}

TEST(GgufTokenizer, RefusesTokensToBeFoundInTextsThatAreNotUtf8) {
  for (const int32_t type : {3, 4}) {
    for (const std::string& text : {std::string("\xA9"), std::string("a\xC3"), std::string("\xED\xA0\x80")}) {
      GgufVocabulary vocabulary = TinyGguf();
      vocabulary.tokens[0] = text;
      vocabulary.token_types[0] = type;
      ExpectError(ErrorKind::kIo,
                  "m.gguf: tokenizer.ggml.tokens[0] is looked for in texts (type " + std::to_string(type) +
                      "), but byte " + (text[0] == 'a' ? "1" : "0") + " of it is not UTF-8. The file is damaged.",
                  [&] { ByteLevelBpe::FromGguf(vocabulary, "m.gguf"); });
    }
  }
  GgufVocabulary vocabulary = TinyGguf();  // Other tokens may hold any bytes: they are only decoded.
  vocabulary.tokens[3] = "\xC3";
  vocabulary.merges = {};
  EXPECT_EQ(ByteLevelBpe::FromGguf(vocabulary, "m.gguf")->Decode(std::vector<int32_t>{1, 3}, true), "a\uFFFD");
}

TEST(GgufTokenizer, RefusesWhatItCannotReadWithTheValue) {
  const auto refused = [](ErrorKind kind, const std::string& text, const std::function<void(GgufVocabulary&)>& change) {
    GgufVocabulary vocabulary = TinyGguf();
    change(vocabulary);
    ExpectError(kind, text, [&] { ByteLevelBpe::FromGguf(vocabulary, "m.gguf"); });
  };
  refused(ErrorKind::kUnsupported,
          "m.gguf: tokenizer.ggml.model is 't5'. bitlaw reads 'gpt2', which is byte-level BPE, and 'llama', which is "
          "SentencePiece's.",
          [](GgufVocabulary& v) { v.model = "t5"; });
  refused(ErrorKind::kIo,
          "m.gguf: tokenizer.ggml.scores has 0 entries and tokenizer.ggml.tokens 8. They must be as many.",
          [](GgufVocabulary& v) { v.model = "llama"; });
  refused(ErrorKind::kIo, "m.gguf: tokenizer.ggml.tokens is empty.", [](GgufVocabulary& v) { v.tokens.clear(); });
  refused(ErrorKind::kIo,
          "m.gguf: tokenizer.ggml.token_type has 7 entries and tokenizer.ggml.tokens 8. They must be as many.",
          [](GgufVocabulary& v) { v.token_types.pop_back(); });
  refused(ErrorKind::kIo, "m.gguf: bos token id 8 is no token of the vocabulary, which has ids 0 to 7.",
          [](GgufVocabulary& v) { v.special.bos = 8; });
  refused(ErrorKind::kIo, "m.gguf: tokenizer.ggml.add_eos_token is true, but the file names no such token.",
          [](GgufVocabulary& v) { v.add_eos = true; });
  refused(ErrorKind::kUnsupported,
          "m.gguf: tokenizer.ggml.pre is 'smolm', whose word pattern bitlaw does not know. Did you mean 'smollm'? "
          "Known: " +
              JoinNames(ByteLevelBpe::GgufPreTokenizers()) + ".",
          [](GgufVocabulary& v) { v.pre = "smolm"; });
  const std::string unsaid =
      ", so the file does not say how the model cuts text into words, and a guess would change every number. Convert the "
      "model again, or name its pattern with gguf-new-metadata --pre-tokenizer. Known: " +
      JoinNames(ByteLevelBpe::GgufPreTokenizers()) + ".";
  refused(ErrorKind::kUnsupported, "m.gguf: tokenizer.ggml.pre is missing" + unsaid,
          [](GgufVocabulary& v) { v.pre.clear(); });
  refused(ErrorKind::kUnsupported, "m.gguf: tokenizer.ggml.pre is 'default'" + unsaid,
          [](GgufVocabulary& v) { v.pre = "default"; });
}

}  // namespace
}  // namespace bitlaw
