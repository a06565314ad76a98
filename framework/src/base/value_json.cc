#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/json_text.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

std::string RealText(double value) {
  if (std::isnan(value)) return "nan";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string text(buffer, end);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

namespace {

// Length of the well-formed UTF-8 sequence at the front of `text` (Unicode 15, table 3-7), or 0.
size_t Utf8Length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  auto continues = [&](size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool second = continues(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF);
    return second && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool second = continues(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF);
    return second && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

// What stands in a JSON string as itself, and alone.
bool IsPlain(char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; }

}  // namespace

void AppendJsonString(std::string_view text, std::string& out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  for (;;) {
    const size_t plain = static_cast<size_t>(std::find_if_not(text.begin(), text.end(), IsPlain) - text.begin());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const unsigned char c = text.front();
    size_t used = 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c < 0x20 || c == 0x7F) {
      out += "\\u00";
      out += kDigits[c >> 4];
      out += kDigits[c & 15];
    } else if (const size_t length = Utf8Length(text); length > 0) {
      out += text.substr(0, length);
      used = length;
    } else {
      out += "\xEF\xBF\xBD";
    }
    text.remove_prefix(used);
  }
  out += '"';
}

void AppendJsonScalar(const Value& value, std::string& out) {
  switch (value.type()) {
    case Value::Type::kNull: out += "null"; return;
    case Value::Type::kBool: out += value.AsBool() ? "true" : "false"; return;
    case Value::Type::kInt: out += std::to_string(value.AsInt()); return;
    case Value::Type::kReal:
      if (!std::isfinite(value.AsReal())) throw InternalError("JSON has no number for " + RealText(value.AsReal()));
      out += RealText(value.AsReal());
      return;
    case Value::Type::kString: AppendJsonString(value.AsString(), out); return;
    default: throw InternalError("AppendJsonScalar was given " + std::string(Article(value.type())));
  }
}

namespace {

constexpr size_t kMaxDepth = 512;

// Builds a Value from the parser's events.
class ValueBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  ValueBuilder(const std::string& origin, const size_t& offset, LargeIntegers large_integers)
      : origin_(origin), offset_(offset), large_integers_(large_integers) {}

  Value root;

  bool null() override { return Add(Value()); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(int64_t value) override { return Add(value); }
  bool number_unsigned(uint64_t value) override {
    constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (value <= kLargest) return Add(static_cast<int64_t>(value));
    return large_integers_ == LargeIntegers::kText ? Add(std::to_string(value)) : Add(static_cast<double>(value));
  }
  bool number_float(double value, const std::string& digits) override {
    // The parser reports an integer beyond 64 bits as a real, with its digits.
    const bool is_integer = digits.find_first_of(".eE") == std::string::npos;
    return is_integer && large_integers_ == LargeIntegers::kText ? Add(digits) : Add(value);
  }
  // Texts are copied, not moved: the parser keeps its buffer, which would grow anew with each.
  bool string(std::string& value) override { return Add(std::as_const(value)); }
  bool binary(nlohmann::json::binary_t&) override { throw InternalError("binary value in JSON text"); }

  bool start_object(size_t) override {
    constexpr size_t kUsual = 4;
    Value::Map map;
    map.reserve(kUsual);
    return Open(std::move(map));
  }
  bool start_array(size_t) override { return Open(Value::List{}); }
  bool end_object() override {
    CheckKeysDiffer();
    return Close();
  }
  bool end_array() override { return Close(); }
  bool key(std::string& name) override {
    open_.back().AsMap().emplace_back(std::as_const(name), Value());
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) override {
    // nlohmann: "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ..."
    std::string reason = error.what();
    if (const size_t end = reason.find("] "); end != std::string::npos) reason = reason.substr(end + 2);
    if (const size_t end = reason.find(": "); end != std::string::npos && reason.starts_with("parse error at")) {
      reason = reason.substr(end + 2);
    }
    Fail(position, reason + ".");
  }

 private:
  [[noreturn]] void Fail(size_t offset, const std::string& reason) const {
    throw Error(ErrorKind::kIo, origin_ + ": not JSON at byte " + std::to_string(offset) + ": " + reason);
  }

  template <class T>
  bool Add(T&& value) {
    if (open_.empty()) {
      root = std::forward<T>(value);
    } else if (open_.back().is_map()) {
      open_.back().AsMap().back().second = std::forward<T>(value);
    } else {
      open_.back().AsList().emplace_back(std::forward<T>(value));
    }
    return true;
  }

  bool Open(Value container) {
    if (open_.size() == kMaxDepth) Fail(offset_, "nested deeper than " + std::to_string(kMaxDepth) + " levels.");
    open_.push_back(std::move(container));
    return true;
  }

  bool Close() {
    Value done = std::move(open_.back());
    open_.pop_back();
    return Add(std::move(done));
  }

  static bool HasKeyTwice(const Value::Map& map) {
    for (size_t i = 1; i < map.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (map[i].first == map[j].first) return true;
      }
    }
    return false;
  }

  void CheckKeysDiffer() const {
    const Value::Map& map = std::as_const(open_.back()).AsMap();
    constexpr size_t kFew = 16;  // Comparing all is less than sorting.
    if (map.size() <= kFew && !HasKeyTwice(map)) return;
    std::vector<std::string_view> keys;
    for (const auto& [name, value] : map) keys.push_back(name);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) Fail(offset_, "the object that ends here has the key '" + std::string(*twice) + "' twice.");
  }

  const std::string& origin_;
  const size_t& offset_;
  LargeIntegers large_integers_;
  std::vector<Value> open_;
};

}  // namespace

Value ParseJson(std::string_view text, const std::string& origin, LargeIntegers large_integers) {
  size_t offset = 0;
  ValueBuilder builder(origin, offset, large_integers);
  nlohmann::json::sax_parse(CountingIterator(text.data(), &offset),
                            CountingIterator(text.data() + text.size(), &offset), &builder);
  return std::move(builder.root);
}

Value ParseJson(std::string_view text, const std::string& origin) {
  return ParseJson(text, origin, LargeIntegers::kReal);
}

}  // namespace bitlaw
