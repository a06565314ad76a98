#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bitlaw {

/// One compiled Unicode pattern, written in the syntax of tokenizer.json files.
///
/// These files are written for Oniguruma. Where PCRE2 reads the same letters differently (\s, \w, \uHHHH) the
/// pattern is translated; what has no counterpart (\h, &&) is an Error(kUnsupported).
class WordPattern {
 public:
  WordPattern(std::string_view pattern, const std::string& where);
  ~WordPattern();
  WordPattern(const WordPattern&) = delete;
  WordPattern& operator=(const WordPattern&) = delete;

  const std::string& text() const { return text_; }

  /// The next match at or after `from` as [begin, end). False if there is none. `text` is valid UTF-8.
  bool Find(std::string_view text, size_t from, size_t* begin, size_t* end) const;

 private:
  std::string text_, where_;
  void* code_ = nullptr;  // pcre2_code
};

/// The chain of cuts that turns a stretch of text into words.
class WordSplitter {
 public:
  enum class Keep {
    kBoth,     ///< Matches and what lies between are words ("Isolated").
    kBetween,  ///< Only what lies between matches ("Removed").
    kMatches,  ///< Only matches ("Removed", inverted).
  };

  void AddPattern(std::string_view pattern, Keep keep, const std::string& where);
  void AddDigits(bool one_by_one);
  /// A space is put before every word of this stage that does not begin with one.
  void AddPrefixSpace();

  /// Cuts `text` into words: views of `text` or of `buffer`.
  void Split(std::string_view text, std::string* buffer, std::vector<std::string_view>* words) const;

  /// For the digest: stage by stage.
  std::string Description() const;

 private:
  struct Stage {
    enum class Kind { kPattern, kPrefixSpace } kind = Kind::kPattern;
    Keep keep = Keep::kBoth;
    std::shared_ptr<const WordPattern> pattern;
  };
  std::vector<Stage> stages_;
};

/// GPT-2's word pattern, which ByteLevel with use_regex applies.
extern const char kGpt2WordPattern[];

/// True if `text` begins, or ends, with a letter, mark, digit or connector.
bool BeginsWithWordCharacter(std::string_view text);
bool EndsWithWordCharacter(std::string_view text);
/// Bytes of white space that `text` begins, or ends, with.
size_t LeadingWhiteSpace(std::string_view text);
size_t TrailingWhiteSpace(std::string_view text);

}  // namespace bitlaw
