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
    kWithPrevious,  ///< A match belongs to what lies before it ("MergedWithPrevious").
    kWithPreviousInverted,  ///< What lies between belongs to the match before it.
  };

  void AddPattern(std::string_view pattern, Keep keep, const std::string& where);
  void AddDigits(bool one_by_one);
  /// A space is put before every word of this stage that does not begin with one.
  void AddPrefixSpace();

  /// Which pieces get a replacement in front, if they do not begin with one.
  enum class Prepend { kNever, kFirst, kAlways };
  /// Each space becomes `replacement`, and each piece of this stage may be cut before every replacement.
  void AddMetaspace(std::string replacement, Prepend prepend, bool cuts);

  /// Cuts `text` into words: views of `text` or of `buffer`. `is_first`: it stands at the beginning of what is encoded.
  void Split(std::string_view text, bool is_first, std::string* buffer, std::vector<std::string_view>* words) const;

  /// For the digest: stage by stage.
  std::string Description() const;

 private:
  struct Stage {
    enum class Kind { kPattern, kPrefixSpace, kMetaspace } kind = Kind::kPattern;
    Keep keep = Keep::kBoth;
    std::shared_ptr<const WordPattern> pattern;
    std::string replacement{};
    Prepend prepend = Prepend::kNever;
    bool cuts = false;
  };
  static void Cut(const Stage& stage, std::string_view piece, std::vector<std::string_view>* words);
  static void Rewrite(const Stage& stage, bool is_first, const std::vector<std::string_view>& input,
                      std::string* buffer, std::vector<std::string_view>* words);
  std::vector<Stage> stages_;
};

/// GPT-2's word pattern, which ByteLevel with use_regex applies.
extern const char kGpt2WordPattern[];

/// Bytes of the character that begins with this byte.
inline size_t Utf8Length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

/// True if `text` begins, or ends, with a letter, mark, digit or connector.
bool BeginsWithWordCharacter(std::string_view text);
bool EndsWithWordCharacter(std::string_view text);
/// Bytes of white space that `text` begins, or ends, with.
size_t LeadingWhiteSpace(std::string_view text);
size_t TrailingWhiteSpace(std::string_view text);

}  // namespace bitlaw
