#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bitlaw::lab {

/// The vocabulary of the world: every word that its texts use is one token.
///
/// The tokenizer is an ordinary byte-level BPE whose merges are built so that a space and the word behind it, " bako",
/// come out as one token. Text is a beginning-of-text token, then words, each with a space in front.
class Vocabulary {
 public:
  static constexpr int32_t kBos = 0;  ///< "<|bos|>": begins a text and ends a generation.

  explicit Vocabulary(const std::vector<std::string>& words);

  /// Ids of words separated by single spaces. An unknown word is an InternalError.
  std::vector<int32_t> Encode(std::string_view text) const;

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }

  /// tokenizer.json in the format of the public tokenizers library.
  std::string TokenizerJson() const;

 private:
  using Pair = std::pair<std::string, std::string>;
  void AddMerge(const std::string& left, const std::string& right);
  std::vector<std::string> Split(const std::string& word) const;

  std::vector<std::string> tokens_;                   // By id.
  std::vector<Pair> merges_;                          // By rank.
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<std::string, size_t> rank_;      // "left right" -> rank.
  std::unordered_map<std::string, int32_t> word_ids_; // Word without its space -> id.
};

/// `count` different two-syllable words ("bako") from a fixed order that `seed` shuffles; never one of `taken`.
std::vector<std::string> InventWords(size_t count, uint64_t seed, std::vector<std::string>* taken);

}  // namespace bitlaw::lab
