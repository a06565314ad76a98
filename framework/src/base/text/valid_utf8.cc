#include "base/text/valid_utf8.h"

#include <cstdlib>

namespace bitlaw {

std::string ValidUtf8(std::string_view text) {
  // Length of the longest prefix of a well-formed character at `at`, negative if it is not complete.
  const auto measure = [&](size_t at) -> int {
    const auto byte = [&](size_t i) -> unsigned {
      return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
    };
    const unsigned lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead < 0xC2 || lead > 0xF4) return -1;
    const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    unsigned low = 0x80, high = 0xBF;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    for (int i = 1; i < length; ++i) {
      if (byte(i) < low || byte(i) > high) return -i;
      low = 0x80, high = 0xBF;
    }
    return length;
  };
  size_t at = 0;
  while (at < text.size() && measure(at) > 0) at += static_cast<size_t>(measure(at));
  std::string valid(text.substr(0, at));
  while (at < text.size()) {
    const int length = measure(at);
    if (length > 0) {
      valid.append(text.substr(at, static_cast<size_t>(length)));
    } else {
      valid.append("\xEF\xBF\xBD");
    }
    at += static_cast<size_t>(std::abs(length));
  }
  return valid;
}

}  // namespace bitlaw
