#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// A regular expression over UTF-8 text (other bytes match nothing), as task files write it: a pattern of Python's `re`
/// (3.11) for str, because published tasks are written there, with the same matches and groups. docs/evaluation.md lists
/// what is refused.
///
/// Threads: const calls are safe from several threads.
class BITLAW_EXPORT TextPattern {
 public:
  /// `mark`: where the pattern is written, for errors. Error(kSpec) with the place in the pattern if it is malformed.
  TextPattern(std::string_view pattern, SourceMark mark);
  TextPattern(TextPattern&&) noexcept;
  TextPattern& operator=(TextPattern&&) noexcept;
  ~TextPattern();

  /// Every match from left to right that does not overlap the one before, as Python's re.findall: the texts of its
  /// groups ("" for one that took no part), or the whole match if the pattern has no group.
  /// Error(kBudget) if the pattern gives up on the text.
  std::vector<std::vector<std::string>> FindAll(std::string_view text) const;

  /// Of those matches the first or the last alone; nullopt if there is none. Takes no memory for the others.
  enum class Which { kFirst, kLast };
  std::optional<std::vector<std::string>> FindOne(std::string_view text, Which which) const;

  /// The text without its matches: Python's re.sub(pattern, "", text).
  std::string RemoveFrom(std::string_view text) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace bitlaw
