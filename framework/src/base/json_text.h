#pragma once

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include "bitlaw/base/value.h"

namespace bitlaw {

/// What becomes of a JSON integer that int64 does not hold: the nearest real, as ParseJson() has it, or a string of its
/// digits, for data of which the digits count and not the size.
enum class LargeIntegers { kReal, kText };
Value ParseJson(std::string_view text, const std::string& origin, LargeIntegers large_integers);

/// The shortest text that reads back to the same double, always with '.', 'e' or a name ("nan", "inf").
std::string RealText(double value);

/// Appends `text` as a JSON string. Bytes that are not UTF-8 become U+FFFD.
void AppendJsonString(std::string_view text, std::string& out);

/// Appends null, a boolean, a number or a string. InternalError for nan and infinities, which JSON lacks.
void AppendJsonScalar(const Value& value, std::string& out);

/// Reads a text and counts how far the parser has come, which its callbacks do not say.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* count) : at_(at), count_(count) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  size_t* count_;
};

}  // namespace bitlaw
