#include "sdk/text/python_char_class.h"

#include <algorithm>
#include <string_view>

namespace bitlaw {

namespace {

// Characters that Python's IGNORECASE takes for one and PCRE2's caseless matching does not: the two were compared over
// all of Unicode 14 (tests/parity/patterns). Nothing is equal in PCRE2 alone.
constexpr char32_t kSameInPython[][4] = {
    {0x49, 0x69, 0x130, 0x131}, {0x390, 0x1FD3}, {0x3B0, 0x1FE3}, {0xFB05, 0xFB06}};

// What \s accepts: str.isspace().
constexpr std::pair<char32_t, char32_t> kSpaces[] = {
    {0x9, 0xD},       {0x1C, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
constexpr std::pair<char32_t, char32_t> kAsciiSpaces[] = {{0x9, 0xD}, {0x20, 0x20}};

std::string Hex(char32_t code) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  for (; code > 0 || digits.empty(); code >>= 4) digits.insert(digits.begin(), kDigits[code & 15]);
  return "\\x{" + digits + "}";
}

bool IsPlain(char32_t code) {
  return (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || code == '_';
}

std::string InBrackets(char32_t code) { return IsPlain(code) ? std::string(1, static_cast<char>(code)) : Hex(code); }

std::string InBrackets(const std::vector<std::pair<char32_t, char32_t>>& ranges) {
  std::string text;
  for (const auto& [low, high] : ranges) text += InBrackets(low) + (low == high ? "" : "-" + InBrackets(high));
  return text;
}

template <size_t n>
std::string InBrackets(const std::pair<char32_t, char32_t> (&ranges)[n]) {
  return InBrackets(std::vector<std::pair<char32_t, char32_t>>(ranges, ranges + n));
}

}  // namespace

void AppendUtf8(char32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  static constexpr unsigned kLeads[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kLeads[more] | (code >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3F));
}

std::string Pcre2Literal(char32_t code) {
  if (code < 0x20 || code == 0x7F) return Hex(code);
  std::string text;
  if (code < 0x80 && !IsPlain(code) && code != ' ') text = "\\";
  AppendUtf8(code, text);
  return text;
}

void PythonCharClass::AddCategory(char letter, bool ascii) {
  std::string content;
  switch (letter | 0x20) {
    case 'd': content = ascii ? "0-9" : "\\p{Nd}"; break;
    case 'w': content = ascii ? "0-9A-Za-z_" : "\\p{L}\\p{N}_"; break;
    default: content = ascii ? InBrackets(kAsciiSpaces) : InBrackets(kSpaces);
  }
  if (letter >= 'a') {
    properties_ += content;
  } else {
    negated_categories_.push_back(std::move(content));
  }
}

PythonCharClass::Ranges PythonCharClass::WithCases(bool ascii) const {
  Ranges all = ranges_;
  for (const auto& [low, high] : ranges_) {
    if (ascii) {
      const auto add = [&, l = low, h = high](char32_t first, char32_t last, char32_t to) {
        const char32_t from = std::max(l, first), until = std::min(h, last);
        if (from <= until) all.push_back({from - first + to, until - first + to});
      };
      add('a', 'z', 'A');
      add('A', 'Z', 'a');
      continue;
    }
    for (const auto& same : kSameInPython) {
      const auto has = [&, l = low, h = high](char32_t code) { return code != 0 && code >= l && code <= h; };
      if (!std::any_of(std::begin(same), std::end(same), has)) continue;
      for (const char32_t code : same) {
        if (code != 0) all.push_back({code, code});
      }
    }
  }
  return all;
}

std::string PythonCharClass::Pcre2(bool ignore_case, bool ascii) const {
  const std::string listed = InBrackets(ignore_case ? WithCases(ascii) : ranges_);
  const bool caseless = ignore_case && !ascii && !listed.empty();
  const std::string content = listed + properties_;
  const std::string open = caseless ? "(?i:[" : "[", close = caseless ? "])" : "]";
  if (negated_categories_.empty()) return open + (negated_ ? "^" : "") + content + close;
  // [\W-] is "no word character, or -"; [^\W_] is "a word character that is not _".
  std::string text = "(?:";
  for (const std::string& category : negated_categories_)
    text += negated_ ? "(?=[" + category + "])" : "[^" + category + "]|";
  if (content.empty()) {
    if (negated_) {
      text += "(?s:.)";
    } else {
      text.pop_back();
    }
  } else {
    text += open + (negated_ ? "^" : "") + content + close;
  }
  return text + ")";
}

}  // namespace bitlaw
