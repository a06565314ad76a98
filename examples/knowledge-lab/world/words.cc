#include "words.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"

namespace bitlaw::lab {
namespace {

constexpr std::string_view kSpace = "\u0120";  // How byte-level BPE writes a space.
constexpr std::string_view kConsonants = "bdfgjklmnprstvwz";
constexpr std::string_view kVowels = "aeiou";

}  // namespace

std::vector<std::string> InventWords(size_t count, uint64_t seed, std::vector<std::string>* taken) {
  std::vector<std::string> all;
  for (char c1 : kConsonants)
    for (char v1 : kVowels)
      for (char c2 : kConsonants)
        for (char v2 : kVowels) all.push_back({c1, v1, c2, v2});
  Rng rng(seed);
  rng.Shuffle(std::span(all));
  std::vector<std::string> words;
  for (const std::string& word : all) {
    if (words.size() == count) break;
    if (std::find(taken->begin(), taken->end(), word) != taken->end()) continue;
    words.push_back(word);
    taken->push_back(word);
  }
  if (words.size() < count) throw InternalError("the lab asks for more two-syllable words than there are");
  return words;
}

Vocabulary::Vocabulary(const std::vector<std::string>& words) {
  tokens_.push_back("<|bos|>");
  ids_["<|bos|>"] = kBos;
  auto add_token = [&](const std::string& token) {
    if (ids_.emplace(token, static_cast<int32_t>(tokens_.size())).second) tokens_.push_back(token);
  };
  // Bytes first: printable ASCII and the space, so that any plain text has an encoding.
  add_token(std::string(kSpace));
  for (char c = '!'; c <= '~'; ++c) add_token(std::string(1, c));
  add_token("\u010A");  // Newline.
  // Syllables, then a space before a syllable, then whole words.
  for (char c : kConsonants)
    for (char v : kVowels) AddMerge(std::string(1, c), std::string(1, v));
  const std::vector<Pair> syllables = merges_;
  for (const auto& [c, v] : syllables) AddMerge(std::string(kSpace), c + v);
  for (const std::string& word : words) {
    std::vector<std::string> pieces = Split(word);
    while (pieces.size() > 1) {
      AddMerge(pieces[0], pieces[1]);
      pieces = Split(word);
    }
  }
  for (const std::string& word : words) {
    const std::vector<std::string> pieces = Split(word);
    if (pieces.size() != 1) throw InternalError("the lab's word '" + word + "' is not one token");
    word_ids_[word] = ids_.at(pieces[0]);
  }
}

void Vocabulary::AddMerge(const std::string& left, const std::string& right) {
  if (!rank_.emplace(left + " " + right, merges_.size()).second) return;
  merges_.emplace_back(left, right);
  if (ids_.emplace(left + right, static_cast<int32_t>(tokens_.size())).second) tokens_.push_back(left + right);
}

// Byte-level BPE of " word" with the merges so far.
std::vector<std::string> Vocabulary::Split(const std::string& word) const {
  std::vector<std::string> pieces = {std::string(kSpace)};
  for (char c : word) pieces.emplace_back(1, c);
  while (true) {
    size_t best_rank = merges_.size(), best = 0;
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      const auto found = rank_.find(pieces[i] + " " + pieces[i + 1]);
      if (found != rank_.end() && found->second < best_rank) {
        best_rank = found->second;
        best = i;
      }
    }
    if (best_rank == merges_.size()) return pieces;
    pieces[best] += pieces[best + 1];
    pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

std::vector<int32_t> Vocabulary::Encode(std::string_view text) const {
  std::vector<int32_t> ids;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) {
      const auto found = word_ids_.find(std::string(text.substr(0, end)));
      if (found == word_ids_.end())
        throw InternalError("the lab has no word '" + std::string(text.substr(0, end)) + "'");
      ids.push_back(found->second);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return ids;
}

std::string Vocabulary::TokenizerJson() const {
  using Json = nlohmann::ordered_json;
  Json vocabulary = Json::object(), merges = Json::array();
  for (size_t id = 0; id < tokens_.size(); ++id) vocabulary[tokens_[id]] = id;
  for (const auto& [left, right] : merges_) merges.push_back(left + " " + right);
  const Json bos_piece = {{"SpecialToken", {{"id", tokens_[kBos]}, {"type_id", 0}}}};
  auto sequence = [](const char* id) { return Json{{"Sequence", {{"id", id}, {"type_id", id[0] == 'A' ? 0 : 1}}}}; };
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  Json file = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", Json::array({{{"id", kBos},
                                     {"content", tokens_[kBos]},
                                     {"single_word", false},
                                     {"lstrip", false},
                                     {"rstrip", false},
                                     {"normalized", false},
                                     {"special", true}}})},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", Json::array({bos_piece, sequence("A")})},
        {"pair", Json::array({bos_piece, sequence("A"), sequence("B")})},
        {"special_tokens",
         {{tokens_[kBos],
           {{"id", tokens_[kBos]}, {"ids", Json::array({kBos})}, {"tokens", Json::array({tokens_[kBos]})}}}}}}},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", vocabulary},
        {"merges", merges}}}};
  return file.dump(1) + "\n";
}

}  // namespace bitlaw::lab
