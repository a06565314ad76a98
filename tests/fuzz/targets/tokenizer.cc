// Tokenizers, from tokenizer.json and from the vocabulary of a GGUF file.
#include <algorithm>
#include <charconv>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"
#include "fuzz/target.h"

namespace bitlaw::fuzz {
namespace {

void EncodeAndDecode(const Tokenizer& tokenizer, std::string_view text) {
  const int64_t vocabulary = tokenizer.vocab_size();
  Require(tokenizer.digest().size() == 64, "tokenizer: it has a digest");
  for (const bool special : {false, true}) {
    std::vector<int32_t> ids;
    try {
      ids = tokenizer.Encode(text, special);
    } catch (const Error&) {
      continue;
    }
    for (const int32_t id : ids) Require(id >= 0 && id < vocabulary, "tokenizer: ids lie in the vocabulary");
    Require(tokenizer.Encode(text, special) == ids, "tokenizer: the same text has the same ids");
    tokenizer.Decode(ids, true);
    tokenizer.Decode(ids, false);
  }
  const auto in_vocabulary = [&](std::optional<int32_t> id) { return !id || (*id >= 0 && *id < vocabulary); };
  Require(in_vocabulary(tokenizer.bos_id()) && in_vocabulary(tokenizer.eos_id()), "tokenizer: roles have ids");
  for (const int32_t id : tokenizer.stop_ids()) Require(in_vocabulary(id), "tokenizer: stops have ids");
}

// True for a byte-level BPE that loses nothing: all 256 bytes are tokens, and nothing is normalized, dropped or added.
bool IsLossless(const Value& json) {
  const auto text_of = [](const Value* map, const char* key) {
    const Value* found = map == nullptr ? nullptr : map->Find(key);
    return found != nullptr && found->is_string() ? found->AsString() : std::string();
  };
  const Value* normalizer = json.Find("normalizer");
  const Value* cutter = json.Find("pre_tokenizer");
  const Value* added = json.Find("added_tokens");
  const bool is_plain = (normalizer == nullptr || normalizer->is_null()) && text_of(cutter, "type") == "ByteLevel" &&
                        cutter->Find("add_prefix_space") != nullptr &&
                        cutter->Find("add_prefix_space")->is_bool() && !cutter->Find("add_prefix_space")->AsBool();
  const bool adds_none = added == nullptr || added->is_null() || (added->is_list() && added->AsList().empty());
  const Value* model = json.Find("model");
  const Value* vocabulary = model == nullptr ? nullptr : model->Find("vocab");
  return is_plain && adds_none && vocabulary != nullptr && vocabulary->is_map() && vocabulary->AsMap().size() >= 256;
}

// Input: tokenizer.json, %%%%, a text.
void TokenizerJson(std::string_view input) {
  const auto parts = Parts(input, 2);
  const auto tokenizer = ByteLevelBpe::FromTokenizerJsonText(parts[0], "tokenizer.json");
  EncodeAndDecode(*tokenizer, parts[1]);
  if (FindInvalidUtf8(parts[1]) != std::string_view::npos || !IsLossless(ParseJson(parts[0], "input"))) return;
  bool has_all_bytes = true;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    has_all_bytes = has_all_bytes && tokenizer->FindToken(std::string_view(&c, 1)).has_value();
  }
  if (!has_all_bytes) return;
  std::vector<int32_t> ids;
  try {
    ids = tokenizer->Encode(parts[1], false);
  } catch (const Error&) {
    return;
  }
  Require(tokenizer->Decode(ids, false) == parts[1], "tokenizer: byte-level BPE gives a text back");
}

// Input: tokenizer_config.json, special_tokens_map.json, tokenizer.json and a text, with %%%% between them.
void TokenizerFolder(std::string_view input) {
  const auto parts = Parts(input, 4);
  std::filesystem::remove_all(ScratchFolder() / "tokenizer");
  if (!parts[0].empty()) WriteScratch("tokenizer/tokenizer_config.json", parts[0]);
  if (!parts[1].empty()) WriteScratch("tokenizer/special_tokens_map.json", parts[1]);
  EncodeAndDecode(*ByteLevelBpe::FromTokenizerJson(WriteScratch("tokenizer/tokenizer.json", parts[2])), parts[3]);
}

// Input: the pre-tokenizer's name, token lines ("<type> <token>"), merge lines and a text, with %%%% between them.
void GgufTokenizer(std::string_view input) {
  const auto parts = Parts(input, 4);
  const auto lines = [](std::string_view text) {
    std::vector<std::string_view> result;
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      result.push_back(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    return result;
  };
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = parts[0];
  for (const std::string_view line : lines(parts[1])) {
    int32_t type = 1;
    std::from_chars(line.data(), line.data() + line.size(), type);
    vocabulary.token_types.push_back(type);
    vocabulary.tokens.push_back(line.substr(std::min(line.find(' '), line.size()) + (line.find(' ') < line.size())));
    if (type == 3) vocabulary.special.eos = static_cast<int32_t>(vocabulary.tokens.size()) - 1;
  }
  vocabulary.merges = lines(parts[2]);
  EncodeAndDecode(*ByteLevelBpe::FromGguf(vocabulary, "model.gguf"), parts[3]);
}

const Register kTokenizerJson("tokenizer_json", TokenizerJson);
const Register kTokenizerFolder("tokenizer_folder", TokenizerFolder);
const Register kGgufTokenizer("gguf_tokenizer", GgufTokenizer);

}  // namespace
}  // namespace bitlaw::fuzz
