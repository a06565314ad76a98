#pragma once

#include <cctype>
#include <string_view>

namespace bitlaw {

/// What a name of an expression is made of where it stands without backquotes.
inline bool StartsName(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
inline bool ContinuesName(char c) { return StartsName(c) || std::isdigit(static_cast<unsigned char>(c)); }

/// A word of the language, which is no name.
inline bool IsWord(std::string_view name) {
  return name == "and" || name == "or" || name == "not" || name == "true" || name == "false";
}

}  // namespace bitlaw
