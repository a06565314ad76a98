#include "base/files/base64.h"

#include <openssl/evp.h>

#include <algorithm>

namespace bitlaw {

namespace {

// OpenSSL counts in int.
constexpr size_t kMostBytes = size_t{1} << 30;

}  // namespace

std::string ToBase64(std::string_view bytes) {
  std::string text;
  constexpr size_t kPiece = size_t{3} << 24;  // A multiple of three, so that no padding stands inside.
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    const std::string_view piece = bytes.substr(at, kPiece);
    const size_t begin = text.size();
    text.resize(begin + (piece.size() + 2) / 3 * 4 + 1);  // EVP_EncodeBlock ends with a zero byte.
    const int wrote =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data() + begin),
                        reinterpret_cast<const unsigned char*>(piece.data()), static_cast<int>(piece.size()));
    text.resize(begin + static_cast<size_t>(wrote));
  }
  return text;
}

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > kMostBytes) return std::nullopt;
  // OpenSSL takes white space, and padding in the middle, too.
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  const std::string_view letters = text.substr(0, text.size() - padding);
  const auto is_letter = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  if (!std::all_of(letters.begin(), letters.end(), is_letter)) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int wrote = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                    reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (wrote < 0) return std::nullopt;
  bytes.resize(static_cast<size_t>(wrote) - padding);
  // Bits that no byte has must be 0.
  if (ToBase64(bytes) != text) return std::nullopt;
  return bytes;
}

}  // namespace bitlaw
