#include "normalize.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

namespace {

// Python's string.punctuation: every printable ASCII character that is no letter, digit or space.
std::string WithoutPunctuation(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || !std::ispunct(byte)) out += c;
  }
  return out;
}

// Removes each of `articles` that starts at a word boundary, leftmost first, as re.sub(r"\b(?:...)", "") does.
std::string WithoutLeadingArticles(std::string_view text) {
  static constexpr std::array<std::string_view, 6> kArticles = {"The ", "the ", "An ", "A ", "a ", "an "};
  std::string out;
  bool inside_word = false;
  for (size_t at = 0; at < text.size();) {
    const auto article = std::find_if(kArticles.begin(), kArticles.end(), [&](std::string_view known) {
      return !inside_word && text.substr(at, known.size()) == known;
    });
    if (article != kArticles.end()) {
      at += article->size();
      continue;
    }
    const CharacterClass c = ClassifyCharacter(text, at);
    inside_word = c.is_word;
    out += text.substr(at, c.size_bytes);
    at += c.size_bytes;
  }
  return out;
}

// The words a, an, the become a space each: re.sub(r"\b(a|an|the)\b", " ").
std::string WithoutArticleWords(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size()) {
      const CharacterClass c = ClassifyCharacter(text, end);
      if (!c.is_word) break;
      end += c.size_bytes;
    }
    const std::string_view word = text.substr(at, end - at);
    if (word.empty()) {
      const size_t size_bytes = ClassifyCharacter(text, at).size_bytes;
      out += text.substr(at, size_bytes);
      at += size_bytes;
      continue;
    }
    const bool article = word == "a" || word == "an" || word == "the";
    out += article ? std::string_view(" ") : word;
    at = end;
  }
  return out;
}

std::vector<std::string> Split(const std::string& text, std::string_view by) {
  std::vector<std::string> pieces;
  size_t begin = 0;
  for (size_t at; (at = text.find(by, begin)) != std::string::npos; begin = at + by.size()) {
    pieces.push_back(text.substr(begin, at - begin));
  }
  pieces.push_back(text.substr(begin));
  return pieces;
}

// The first character of `text` from byte `at`, whole.
std::string CharacterAt(const std::string& text, size_t at) {
  return at < text.size() ? text.substr(at, ClassifyCharacter(text, at).size_bytes) : std::string();
}

// \sqrt3 -> \sqrt{3}
std::string WithBracedRoots(const std::string& text) {
  const std::vector<std::string> pieces = Split(text, "\\sqrt");
  std::string out = pieces[0];
  for (size_t i = 1; i < pieces.size(); ++i) {
    const std::string first = CharacterAt(pieces[i], 0);
    const bool braced = first.empty() || first == "{";
    out += "\\sqrt" + (braced ? pieces[i] : "{" + first + "}" + pieces[i].substr(first.size()));
  }
  return out;
}

// \frac12 -> \frac{1}{2}, \frac1{72} -> \frac{1}{72}; the whole text as it is if a fraction has nothing to be made of.
std::string WithBracedFractions(const std::string& text) {
  const std::vector<std::string> pieces = Split(text, "\\frac");
  std::string out = pieces[0];
  for (size_t i = 1; i < pieces.size(); ++i) {
    const std::string& piece = pieces[i];
    out += "\\frac";
    const std::string above = CharacterAt(piece, 0), below = CharacterAt(piece, above.size());
    if (above == "{") {
      out += piece;
      continue;
    }
    if (below.empty()) return text;
    const std::string rest = piece.substr(above.size() + below.size());
    out += "{" + above + "}" + (below == "{" ? below : "{" + below + "}") + rest;
  }
  return out;
}

// 3/4 of two plain integers -> \frac{3}{4}
std::string WithTexFraction(const std::string& text) {
  const std::vector<std::string> parts = Split(text, "/");
  if (parts.size() != 2) return text;
  for (const std::string& part : parts) {
    const size_t sign = part.starts_with('-') ? 1 : 0;
    const bool digits = part.size() > sign && std::all_of(part.begin() + static_cast<std::ptrdiff_t>(sign), part.end(),
                                                          [](unsigned char c) { return std::isdigit(c); });
    const bool plain = digits && (part[sign] != '0' || (part.size() == 1));
    if (!plain) return text;
  }
  return "\\frac{" + parts[0] + "}{" + parts[1] + "}";
}

// The rules by which answers of the MATH benchmark are compared; each line is one of them.
std::string NormalizeTex(std::string_view given) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kReplacements = {{{"\n", ""},
                                                                                                   {"\\!", ""},
                                                                                                   {"\\\\", "\\"},
                                                                                                   {"tfrac", "frac"},
                                                                                                   {"dfrac", "frac"},
                                                                                                   {"\\left", ""},
                                                                                                   {"\\right", ""},
                                                                                                   {"^{\\circ}", ""},
                                                                                                   {"^\\circ", ""},
                                                                                                   {"\\$", ""}}};
  std::string text(given);
  for (const auto& [from, to] : kReplacements) text = ReplaceAll(text, from, to);
  // Units at the right. The reference gives up on a text with two of them and compares the texts as they are.
  const std::vector<std::string> unit = Split(text, "\\text{ ");
  if (unit.size() > 2) return std::string(given);
  text = unit[0];
  text = ReplaceAll(text, "\\%", "");
  text = ReplaceAll(text, " .", " 0.");
  text = ReplaceAll(text, "{.", "{0.");
  if (text.empty()) return text;
  if (text.front() == '.') text = "0" + text;
  // A short name in front: "k = 5".
  const std::vector<std::string> sides = Split(text, "=");
  if (sides.size() == 2 && CountCharacters(sides[0]) <= 2) text = sides[1];
  text = ReplaceAll(WithBracedRoots(text), " ", "");
  text = WithBracedFractions(text);
  if (text == "0.5") text = "\\frac{1}{2}";
  return WithTexFraction(text);
}

std::vector<std::string> Words(std::string_view text) {
  const std::string collapsed = CollapseSpace(text);
  return collapsed.empty() ? std::vector<std::string>() : Split(collapsed, " ");
}

std::optional<double> PlainNumber(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<double> NumberIn(std::string_view text) {
  std::string kept;
  for (const char c : Trim(text)) {
    if (c != '$' && c != '%' && c != ',' && c != ' ') kept += c;
  }
  if (kept.ends_with('.')) kept.pop_back();
  const size_t slash = kept.find('/');
  if (slash == std::string::npos) return PlainNumber(kept);
  const auto above = PlainNumber(kept.substr(0, slash)), below = PlainNumber(kept.substr(slash + 1));
  if (!above || !below || *below == 0) return std::nullopt;
  return *above / *below;
}

}  // namespace

std::string NormalizeAnswer(std::string_view text, std::string_view normalization) {
  if (normalization == "none") return std::string(text);
  if (normalization == "lower") return ToLower(text);
  if (normalization == "punctuation") return WithoutPunctuation(text);
  if (normalization == "harness") return WithoutPunctuation(ToLower(text));
  if (normalization == "harness_articles") return WithoutPunctuation(ToLower(WithoutLeadingArticles(text)));
  if (normalization == "squad") return CollapseSpace(WithoutArticleWords(WithoutPunctuation(ToLower(text))));
  if (normalization == "math") return NormalizeTex(text);
  throw InternalError("short_answer: normalization '" + std::string(normalization) + "'");
}

double TokenF1(std::string_view a, std::string_view b) {
  const std::vector<std::string> of_a = Words(a), of_b = Words(b);
  if (of_a.empty() || of_b.empty()) return of_a.empty() && of_b.empty() ? 1.0 : 0.0;
  std::map<std::string, int64_t> left;
  for (const std::string& word : of_b) ++left[word];
  double common = 0;
  for (const std::string& word : of_a) {
    if (left[word]-- > 0) ++common;
  }
  return 2 * common / static_cast<double>(of_a.size() + of_b.size());
}

bool SameNumber(std::string_view given, std::string_view accepted) {
  const auto right = NumberIn(accepted), number = NumberIn(given);
  if (!right) return given == accepted;
  return number && std::abs(*number - *right) <= 1e-9 * std::max(1.0, std::abs(*right));
}

}  // namespace bitlaw
