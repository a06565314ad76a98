#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Text is UTF-8; a byte that is no part of a valid sequence counts as one character and is kept as it is.
///
/// "White space" is what Python's str.isspace() accepts (ASCII space and control spaces, U+0085, U+00A0, U+1680,
/// U+2000-200A, U+2028, U+2029, U+202F, U+205F, U+3000, and U+001C-001F), because public evaluation code is
/// written in Python and a parity of item scores starts at these characters.

/// One character of a text and what it is.
struct BITLAW_EXPORT CharacterClass {
  size_t size_bytes = 1;
  bool is_space = false;
  bool is_word = false;  ///< A letter, a digit or '_': what a pattern's \w accepts.
};
/// The character that starts at byte `at`, which must be within the text.
BITLAW_EXPORT CharacterClass ClassifyCharacter(std::string_view text, size_t at);

/// Characters (code points), Python's len(). "naïve" has 5.
BITLAW_EXPORT int64_t CountCharacters(std::string_view text);

/// Without the white space at the left, the right, or both ends.
BITLAW_EXPORT std::string_view TrimLeft(std::string_view text);
BITLAW_EXPORT std::string_view TrimRight(std::string_view text);
BITLAW_EXPORT std::string_view Trim(std::string_view text);

/// Pieces between runs of white space, Python's len(re.split(r"\s+", text)): "a b" has 2, " a" has 2, "" has 1.
BITLAW_EXPORT int64_t CountSplitWords(std::string_view text);

/// Each run of white space as one space, none at the ends: " ".join(text.split()).
BITLAW_EXPORT std::string CollapseSpace(std::string_view text);

/// Simple case mapping, one character to one.
BITLAW_EXPORT std::string ToLower(std::string_view text);
BITLAW_EXPORT std::string ToUpper(std::string_view text);

/// First character to upper case, the others to lower case: Python's str.capitalize().
BITLAW_EXPORT std::string Capitalize(std::string_view text);

/// The offset of the first byte that is no part of valid UTF-8, or npos.
BITLAW_EXPORT size_t FindInvalidUtf8(std::string_view text);

/// Every non-overlapping `from`, left to right, replaced by `to`. An empty `from` changes nothing.
BITLAW_EXPORT std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);

/// 0 -> "A", 25 -> "Z". Another index is an InternalError.
BITLAW_EXPORT std::string ChoiceLetter(int64_t index);

}  // namespace bitlaw
