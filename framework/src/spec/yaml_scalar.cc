#include "spec/yaml_scalar.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

namespace bitlaw {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Drops leading characters while `accept` holds; returns how many.
template <typename Accept>
size_t SkipWhile(std::string_view& text, Accept accept) {
  size_t count = 0;
  while (count < text.size() && accept(text[count])) ++count;
  text.remove_prefix(count);
  return count;
}

// What the characters of a plain scalar look like.
struct Shape {
  bool is_integer = false;       // [-+]?[0-9]+
  bool is_real = false;          // with a point or an exponent
  bool has_leading_zero = false; // 010, 00.5
  bool has_underscore = false;   // 1_000, and otherwise a number
  bool is_based = false;         // 0x1F, 0o17, 0b1
  bool is_sexagesimal = false;   // 1:30
};

Shape ShapeOf(std::string_view text) {
  Shape shape;
  std::string without_underscores(text);
  if (text.find('_') != std::string_view::npos && (IsDigit(text[0]) || (text.size() > 1 && IsDigit(text[1])))) {
    std::erase(without_underscores, '_');
    const Shape bare = ShapeOf(without_underscores);
    shape.has_underscore = bare.is_integer || bare.is_real || bare.is_based;
    return shape;
  }
  std::string_view rest = text;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  if (rest.size() > 2 && rest[0] == '0') {
    const char base = static_cast<char>(std::tolower(static_cast<unsigned char>(rest[1])));
    std::string_view digits = rest.substr(2);
    auto all = [&](auto accept) { return std::all_of(digits.begin(), digits.end(), accept); };
    shape.is_based = (base == 'x' && all([](unsigned char c) { return std::isxdigit(c) != 0; })) ||
                     (base == 'o' && all([](char c) { return c >= '0' && c <= '7'; })) ||
                     (base == 'b' && all([](char c) { return c == '0' || c == '1'; }));
    if (shape.is_based) return shape;
  }
  const std::string_view number = rest;
  const size_t whole_digits = SkipWhile(rest, IsDigit);
  const bool leading_zero = whole_digits > 1 && number[0] == '0';
  if (rest.empty()) {
    shape.is_integer = whole_digits > 0;
    shape.has_leading_zero = leading_zero;
    return shape;
  }
  if (whole_digits > 0 && rest[0] == ':') {
    // 1:30, 1:30:00.5: base sixty in YAML 1.1.
    while (!rest.empty() && rest[0] == ':') {
      rest.remove_prefix(1);
      const size_t digits = SkipWhile(rest, IsDigit);
      if (digits == 0 || digits > 2) return shape;
    }
    shape.is_sexagesimal = rest.empty();
    return shape;
  }
  size_t fraction_digits = 0;
  if (rest[0] == '.') {
    rest.remove_prefix(1);
    fraction_digits = SkipWhile(rest, IsDigit);
  }
  if (whole_digits + fraction_digits == 0) return shape;
  if (!rest.empty()) {
    if (rest[0] != 'e' && rest[0] != 'E') return shape;
    rest.remove_prefix(1);
    if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
    if (SkipWhile(rest, IsDigit) == 0 || !rest.empty()) return shape;
  }
  shape.is_real = true;
  shape.has_leading_zero = leading_zero;
  return shape;
}

std::string Ambiguous(std::string_view text, const std::string& meanings, const std::string& instead) {
  const std::string quoted = "'" + std::string(text) + "'";
  return quoted + " is " + meanings + ". Write " + (instead.empty() ? "" : instead + ", or ") + quoted +
         " in quotes for the text.";
}

// 010 without its zeros, 1_000 without its underscore, with the sign kept.
std::string PlainDigits(std::string_view text) {
  std::string digits(text);
  std::erase(digits, '_');
  const size_t sign = digits[0] == '-' || digits[0] == '+' ? 1 : 0;
  while (digits.size() > sign + 1 && digits[sign] == '0' && IsDigit(digits[sign + 1])) digits.erase(sign, 1);
  return digits;
}

}  // namespace

std::string ExplainAmbiguousKey(std::string_view text) {
  const std::string lower = Lower(text);
  if (text == "~" || lower == "null") return "the key '" + std::string(text) + "' is null in YAML. Write it in quotes.";
  if (lower == "yes" || lower == "no" || lower == "on" || lower == "off" || lower == "true" || lower == "false") {
    return "the key '" + std::string(text) + "' is a boolean in some YAML readers. Write it in quotes.";
  }
  return "";
}

Value ReadPlainScalar(std::string_view text, std::string* fault) {
  if (text == "true") return true;
  if (text == "false") return false;
  const std::string lower = Lower(text);
  if (text == "~" || (lower == "null" && text != "null")) {
    *fault = Ambiguous(text, "null in some YAML readers and a word in others", "null");
    return Value();
  }
  if (text == "null" || text.empty()) return Value();
  if (lower == "true" || lower == "yes" || lower == "on") {
    *fault = Ambiguous(text, "true in some YAML readers and a word in others", "true");
    return Value();
  }
  if (lower == "false" || lower == "no" || lower == "off") {
    *fault = Ambiguous(text, "false in some YAML readers and a word in others", "false");
    return Value();
  }
  if (lower == ".nan") return std::numeric_limits<double>::quiet_NaN();
  if (lower == ".inf" || lower == "+.inf") return std::numeric_limits<double>::infinity();
  if (lower == "-.inf") return -std::numeric_limits<double>::infinity();

  const Shape shape = ShapeOf(text);
  if (shape.is_based) {
    *fault = Ambiguous(text, "a number in some YAML readers and text in others", "the number in decimal");
    return Value();
  }
  if (shape.has_underscore) {
    *fault = Ambiguous(text, "a number in some YAML readers and text in others", PlainDigits(text));
    return Value();
  }
  if (shape.is_sexagesimal) {
    *fault = Ambiguous(text, "a number to base 60 in some YAML readers and text in others", "");
    return Value();
  }
  if (shape.has_leading_zero) {
    *fault = Ambiguous(text, shape.is_integer ? "octal in some YAML readers and decimal in others"
                                              : "a number in some YAML readers and text in others",
                       PlainDigits(text));
    return Value();
  }
  if (!shape.is_integer && !shape.is_real) return std::string(text);

  std::string_view digits = text;
  if (digits[0] == '+') digits.remove_prefix(1);
  const char* const end = digits.data() + digits.size();
  if (shape.is_integer) {
    int64_t integer = 0;
    if (std::from_chars(digits.data(), end, integer).ec == std::errc()) return integer;
    *fault = std::string(text) + " does not fit a 64-bit integer.";
    return Value();
  }
  double real = 0;
  const auto [read_to, status] = std::from_chars(digits.data(), end, real);
  // Out of range is a number too large, or one too small, which reads as 0.
  if (status == std::errc::result_out_of_range && std::strtod(std::string(digits).c_str(), nullptr) != 0) {
    *fault = std::string(text) + " is larger than any double.";
  }
  return real;
}

}  // namespace bitlaw
