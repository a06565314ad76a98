// Parity with the public tokenizers library: 1,000 strings, ids and decoded text equal, nothing tolerated.
//
// The goldens and the strings come from make_goldens.py beside this file; their provenance stands at the top of
// goldens.json. The large vocabularies are not committed. To run those parts, say where they are:
//   BITLAW_SMOLLM2           a SmolLM2 GGUF file
//   BITLAW_TOKENIZER_LLAMA3  a folder with Llama 3's tokenizer.json
//   BITLAW_TOKENIZER_QWEN3   a folder with Qwen3's tokenizer.json
//   BITLAW_TOKENIZER_LLAMA2  a folder with Llama 2's tokenizer.json
//   BITLAW_TOKENIZER_GEMMA3  a folder with Gemma 3's tokenizer.json
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bitlaw/base/digest.h"
#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"

namespace bitlaw {
namespace {

using Json = nlohmann::json;
const std::filesystem::path kFolder = std::filesystem::path(BITLAW_SOURCE_DIR) / "tests/parity/tokenization";

std::string Bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> Strings() {
  return Json::parse(Bytes(kFolder / "strings.json"))["strings"].get<std::vector<std::string>>();
}

Json Goldens() { return Json::parse(Bytes(kFolder / "goldens.json")); }

std::string Joined(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  return text;
}

/// One digest for every 50 strings, as the script makes them.
std::vector<std::string> Digests(const Tokenizer& tokenizer, const std::vector<std::string>& strings) {
  std::vector<std::string> result;
  for (size_t begin = 0; begin < strings.size(); begin += 50) {
    Digest digest;
    for (size_t i = begin; i < std::min(begin + 50, strings.size()); ++i) {
      const std::vector<int32_t> whole = tokenizer.Encode(strings[i], true);
      digest.Add(Joined(whole) + "\n" + Joined(tokenizer.Encode(strings[i], false)) + "\n");
      digest.Add(tokenizer.Decode(whole, false) + "\n" + tokenizer.Decode(whole, true) + "\n");
    }
    result.push_back(digest.Hex());
  }
  return result;
}

class SmallTokenizer : public testing::TestWithParam<std::string> {};

TEST_P(SmallTokenizer, AgreesWithThePublicLibraryOnAThousandStrings) {
  const auto tokenizer = ByteLevelBpe::FromTokenizerJson(kFolder / (GetParam() + ".tokenizer.json"));
  const Json golden = Goldens()["small"][GetParam()];
  const std::vector<std::string> strings = Strings();
  ASSERT_EQ(strings.size(), 1000u);
  if (golden.contains("ids")) {
    for (size_t i = 0; i < strings.size(); ++i) {
      EXPECT_EQ(Joined(tokenizer->Encode(strings[i], true)), golden["ids"][i]) << "string " << i << ": " << strings[i];
    }
  }
  EXPECT_EQ(Digests(*tokenizer, strings), golden["digests"].get<std::vector<std::string>>());
}

INSTANTIATE_TEST_SUITE_P(EveryWordPattern, SmallTokenizer,
                         testing::Values("gpt2", "smollm", "llama3", "qwen2", "prefix_space", "removed"),
                         [](const auto& tested) { return tested.param; });

// The same of tokenizers of characters; characters/make_goldens.py makes them.
const std::filesystem::path kCharacters = kFolder / "characters";

Json CharacterGoldens() { return Json::parse(Bytes(kCharacters / "goldens.json")); }

class SmallCharacterTokenizer : public testing::TestWithParam<std::string> {};

TEST_P(SmallCharacterTokenizer, AgreesWithThePublicLibraryOnAThousandStrings) {
  const auto tokenizer = ByteLevelBpe::FromTokenizerJson(kCharacters / (GetParam() + ".tokenizer.json"));
  const Json golden = CharacterGoldens()["small"][GetParam()];
  const std::vector<std::string> strings = Strings();
  if (golden.contains("ids")) {
    for (size_t i = 0; i < golden["ids"].size(); ++i) {
      EXPECT_EQ(Joined(tokenizer->Encode(strings[i], true)), golden["ids"][i]) << "string " << i << ": " << strings[i];
    }
  }
  EXPECT_EQ(Digests(*tokenizer, strings), golden["digests"].get<std::vector<std::string>>());
}

INSTANTIATE_TEST_SUITE_P(EveryWayToWriteASpace, SmallCharacterTokenizer,
                         testing::Values("llama2", "mistral", "gemma", "words"),
                         [](const auto& tested) { return tested.param; });

class LargeCharacterTokenizer : public testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(LargeCharacterTokenizer, AgreesWithThePublicLibraryOnAThousandStrings) {
  const auto& [name, variable] = GetParam();
  const char* folder = std::getenv(variable.c_str());
  if (folder == nullptr) GTEST_SKIP() << "set " << variable << " to a folder with the tokenizer.json of " << name;
  const auto tokenizer = ByteLevelBpe::FromTokenizerJson(std::filesystem::path(folder) / "tokenizer.json");
  EXPECT_EQ(Digests(*tokenizer, Strings()), CharacterGoldens()["large"][name].get<std::vector<std::string>>());
}

INSTANTIATE_TEST_SUITE_P(OfPublicModels, LargeCharacterTokenizer,
                         testing::Values(std::pair{"llama2", "BITLAW_TOKENIZER_LLAMA2"},
                                         std::pair{"gemma3", "BITLAW_TOKENIZER_GEMMA3"}),
                         [](const auto& tested) { return tested.param.first; });

// The merges of a tokenizer.json that was made of SentencePiece's model stand in the order of their scores: a GGUF file
// with such scores gives the same ids.
TEST(GgufTokenizer, AgreesWithThePublicLibraryOnLlama2) {
  const char* folder = std::getenv("BITLAW_TOKENIZER_LLAMA2");
  if (folder == nullptr) GTEST_SKIP() << "set BITLAW_TOKENIZER_LLAMA2 to a folder with its tokenizer.json";
  const Json document = Json::parse(Bytes(std::filesystem::path(folder) / "tokenizer.json"));
  std::vector<std::string> texts(32000);
  for (const auto& [text, id] : document["model"]["vocab"].items()) texts.at(id.get<size_t>()) = text;
  GgufVocabulary vocabulary;
  vocabulary.model = "llama";
  for (size_t id = 0; id < texts.size(); ++id) {
    vocabulary.tokens.push_back(texts[id]);
    vocabulary.token_types.push_back(id == 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1);
  }
  std::map<std::string, float> scores;
  float rank = 0;
  for (const Json& merge : document["model"]["merges"]) {
    const bool is_pair = merge.is_array();
    std::string whole = is_pair ? merge[0].get<std::string>() + merge[1].get<std::string>() : merge.get<std::string>();
    std::erase(whole, ' ');
    scores.emplace(whole, rank--);
  }
  for (const std::string& text : texts) vocabulary.scores.push_back(scores.contains(text) ? scores[text] : -1e6F);
  vocabulary.special.bos = 1;
  vocabulary.special.eos = 2;
  const auto tokenizer = ByteLevelBpe::FromGguf(vocabulary, "llama2");
  const auto expected = ByteLevelBpe::FromTokenizerJson(std::filesystem::path(folder) / "tokenizer.json");
  for (const std::string& text : Strings()) {
    if (text.find("<unk>") != std::string::npos) continue;  // A special token in the one and not in the other.
    EXPECT_EQ(tokenizer->Encode(text, true), expected->Encode(text, true)) << text;
  }
}

class LargeTokenizer : public testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(LargeTokenizer, AgreesWithThePublicLibraryOnAThousandStrings) {
  const auto& [name, variable] = GetParam();
  const char* folder = std::getenv(variable.c_str());
  if (folder == nullptr) GTEST_SKIP() << "set " << variable << " to a folder with the tokenizer.json of " << name;
  const auto tokenizer = ByteLevelBpe::FromTokenizerJson(std::filesystem::path(folder) / "tokenizer.json");
  EXPECT_EQ(Digests(*tokenizer, Strings()), Goldens()["large"][name].get<std::vector<std::string>>());
}

INSTANTIATE_TEST_SUITE_P(OfPublicModels, LargeTokenizer,
                         testing::Values(std::pair{"llama3", "BITLAW_TOKENIZER_LLAMA3"},
                                         std::pair{"qwen3", "BITLAW_TOKENIZER_QWEN3"}),
                         [](const auto& tested) { return tested.param.first; });

/// Just enough of GGUF to reach tokenizer.ggml.*; the model/gguf plugin has the real reader.
class GgufFields {
 public:
  explicit GgufFields(std::string bytes) : bytes_(std::move(bytes)) {
    at_ = 16;
    for (uint64_t left = Number<uint64_t>(); left > 0; --left) {
      const std::string key(Text());
      ReadValue(key, Number<uint32_t>());
    }
  }
  std::map<std::string, std::vector<std::string_view>> texts;
  std::map<std::string, std::vector<int64_t>> numbers;

 private:
  template <typename T>
  T Number() {
    T value;
    std::memcpy(&value, &bytes_.at(at_), sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::string_view Text() {
    const auto size = Number<uint64_t>();
    const std::string_view text = std::string_view(bytes_).substr(at_, size);
    at_ += size;
    return text;
  }
  void ReadValue(const std::string& key, uint32_t type) {
    switch (type) {
      case 0:
      case 1:
      case 7: numbers[key].push_back(Number<uint8_t>()); break;
      case 2:
      case 3: numbers[key].push_back(Number<uint16_t>()); break;
      case 4:
      case 5:
      case 6: numbers[key].push_back(Number<int32_t>()); break;
      case 10:
      case 11:
      case 12: numbers[key].push_back(Number<int64_t>()); break;
      case 8: texts[key].push_back(Text()); break;
      case 9: {
        const auto element = Number<uint32_t>();
        for (uint64_t left = Number<uint64_t>(); left > 0; --left) ReadValue(key, element);
        break;
      }
      default: FAIL() << "GGUF type " << type;
    }
  }
  std::string bytes_;
  size_t at_ = 0;
};

TEST(GgufTokenizer, AgreesWithThePublicLibraryOnSmolLm2AndOpensInTime) {
  const char* file = std::getenv("BITLAW_SMOLLM2");
  if (file == nullptr) GTEST_SKIP() << "set BITLAW_SMOLLM2 to a SmolLM2 GGUF file";
  const GgufFields fields(Bytes(file));
  const auto number = [&](const std::string& key) { return fields.numbers.at("tokenizer.ggml." + key).at(0); };
  GgufVocabulary vocabulary;
  vocabulary.model = fields.texts.at("tokenizer.ggml.model").at(0);
  vocabulary.pre = fields.texts.at("tokenizer.ggml.pre").at(0);
  vocabulary.tokens = fields.texts.at("tokenizer.ggml.tokens");
  vocabulary.merges = fields.texts.at("tokenizer.ggml.merges");
  const auto& types = fields.numbers.at("tokenizer.ggml.token_type");
  vocabulary.token_types.assign(types.begin(), types.end());
  vocabulary.special.bos = static_cast<int32_t>(number("bos_token_id"));
  vocabulary.special.eos = static_cast<int32_t>(number("eos_token_id"));
  vocabulary.add_bos = number("add_bos_token") != 0;

  const std::clock_t start = std::clock();  // CPU time: a busy machine must not fail the test.
  const auto tokenizer = ByteLevelBpe::FromGguf(vocabulary, file);
  const double opening_cpu_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  RecordProperty("opening_cpu_s", std::to_string(opening_cpu_s));
  EXPECT_LT(opening_cpu_s, 0.15);
  EXPECT_EQ(tokenizer->vocab_size(), 49152);
  EXPECT_EQ(tokenizer->stop_ids(), (std::vector<int32_t>{2}));
  EXPECT_EQ(Digests(*tokenizer, Strings()), Goldens()["large"]["smollm2"].get<std::vector<std::string>>());
}

}  // namespace
}  // namespace bitlaw
