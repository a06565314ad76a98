#include "quantize/calibration/overlap.h"

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {
namespace {

// FNV-1a over the words, a space behind each.
uint64_t HashOf(std::span<const std::string> words) {
  uint64_t hash = 14695981039346656037ULL;
  const auto add = [&](unsigned char byte) { hash = (hash ^ byte) * 1099511628211ULL; };
  for (const std::string& word : words) {
    for (const char byte : word) add(static_cast<unsigned char>(byte));
    add(' ');
  }
  return hash;
}

std::string TextOf(const Request& request) {
  if (const auto* one = std::get_if<LoglikelihoodRequest>(&request)) return one->context + one->continuation;
  if (const auto* one = std::get_if<RollingRequest>(&request)) return one->text;
  return std::get<GenerateRequest>(request).context;
}

// Whether any N words in a row of `words` are among `grams`.
bool Shares(const std::vector<std::string>& words, size_t n, const std::unordered_set<uint64_t>& grams) {
  for (size_t i = 0; i + n <= words.size(); ++i) {
    if (grams.count(HashOf({words.data() + i, n})) > 0) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> OverlapWords(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const std::string lower = ToLower(text);
  for (size_t at = 0; at < lower.size();) {
    const CharacterClass character = ClassifyCharacter(lower, at);
    if (character.is_space && !word.empty()) words.push_back(std::exchange(word, {}));
    if (character.is_word && lower[at] != '_') word += lower.substr(at, character.size_bytes);
    at += character.size_bytes;  // Punctuation is left out: "don't" is "dont".
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

CalibrationWords::CalibrationWords(const TokenSequences& sequences, const Tokenizer& tokenizer, int64_t words)
    : words_(words) {
  for (int64_t i = 0; i < sequences.count; ++i) {
    texts_.push_back(OverlapWords(tokenizer.Decode(sequences.sequence(i), /*skip_special_tokens=*/true)));
  }
}

const std::unordered_set<uint64_t>& CalibrationWords::Grams(int64_t words) const {
  const auto [found, is_new] = grams_.try_emplace(words);
  if (!is_new) return found->second;
  const auto n = static_cast<size_t>(words);
  for (const auto& text : texts_) {
    for (size_t i = 0; i + n <= text.size(); ++i) found->second.insert(HashOf({text.data() + i, n}));
  }
  return found->second;
}

Overlap CalibrationWords::Of(const Task& task) const {
  Overlap overlap;
  for (const TaskItem& item : task.Items()) {
    bool is_compared = false, is_shared = false;
    for (const Request& request : item.requests) {
      const std::vector<std::string> words = OverlapWords(TextOf(request));
      const int64_t n = std::min(words_, static_cast<int64_t>(words.size()));
      if (n < std::min(words_, kFewestWords)) continue;
      is_compared = true;
      is_shared = is_shared || Shares(words, static_cast<size_t>(n), Grams(n));
    }
    overlap.compared += is_compared ? 1 : 0;
    overlap.shared += is_shared ? 1 : 0;
  }
  return overlap;
}

}  // namespace bitlaw
