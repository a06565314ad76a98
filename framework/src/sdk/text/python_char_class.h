#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bitlaw {

/// A set of characters as a pattern of Python's `re` writes it, and its form in PCRE2.
class PythonCharClass {
 public:
  /// The classes that an escape stands for, by its letter: d, w or s, negated in upper case; with `ascii` as (?a) has it.
  void AddCategory(char letter, bool ascii);
  void AddRange(char32_t low, char32_t high) { ranges_.push_back({low, high}); }
  void Negate() { negated_ = true; }

  /// One atom of PCRE2. `ignore_case`: (?i) is in force; with `ascii` for ASCII letters alone.
  std::string Pcre2(bool ignore_case, bool ascii) const;

 private:
  using Ranges = std::vector<std::pair<char32_t, char32_t>>;
  Ranges WithCases(bool ascii) const;

  Ranges ranges_;
  std::string properties_;                     // \p{...} and the like, to stand inside of brackets.
  std::vector<std::string> negated_categories_;  // What is within the brackets of each: [^...].
  bool negated_ = false;
};

/// A character in PCRE2, escaped where it must be.
std::string Pcre2Literal(char32_t code);

/// UTF-8 of a code point.
void AppendUtf8(char32_t code, std::string& out);

}  // namespace bitlaw
