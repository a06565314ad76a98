#include "bitlaw/sdk/text/unicode_text.h"

#include <clocale>
#include <cwctype>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

struct Character {
  char32_t code = 0;
  size_t size_bytes = 1;
  bool valid = false;
};

// The character that starts at `at`. An invalid byte is a character of its own whose code is not used.
Character Read(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {lead, 1, true};
  const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || at + size > text.size()) return {};
  char32_t code = lead & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return {};
    code = (code << 6) | (byte(at + i) & 0x3Fu);
  }
  static constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[size] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, size, true};
}

void Append(char32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

bool IsSpace(const Character& c) {
  if (!c.valid) return false;
  const char32_t x = c.code;
  return (x >= 0x09 && x <= 0x0D) || (x >= 0x1C && x <= 0x20) || x == 0x85 || x == 0xA0 || x == 0x1680 ||
         (x >= 0x2000 && x <= 0x200A) || x == 0x2028 || x == 0x2029 || x == 0x202F || x == 0x205F || x == 0x3000;
}

// Case tables of the C library, in a locale of its own so that no setting of the process matters.
locale_t CaseTables() {
  static const locale_t tables = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (tables == nullptr) {
    throw Error(ErrorKind::kUnsupported, "locale C.UTF-8: not available in this C library, so text cannot be "
                                         "lower-cased. Install the package that holds it.");
  }
  return tables;
}

template <typename Map>
std::string MapCharacters(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Character c = Read(text, at);
    if (c.valid) {
      Append(map(c.code), out);
    } else {
      out += text[at];
    }
    at += c.size_bytes;
  }
  return out;
}

char32_t Lower(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  return static_cast<char32_t>(towlower_l(static_cast<wint_t>(code), CaseTables()));
}

char32_t Upper(char32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 32 : code;
  return static_cast<char32_t>(towupper_l(static_cast<wint_t>(code), CaseTables()));
}

}  // namespace

CharacterClass ClassifyCharacter(std::string_view text, size_t at) {
  const Character c = Read(text, at);
  const bool is_word = c.valid && (c.code == '_' || iswalnum_l(static_cast<wint_t>(c.code), CaseTables()) != 0);
  return {c.size_bytes, IsSpace(c), is_word};
}

int64_t CountCharacters(std::string_view text) {
  int64_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) at += Read(text, at).size_bytes;
  return count;
}

std::string_view TrimLeft(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Character c = Read(text, at);
    if (!IsSpace(c)) break;
    at += c.size_bytes;
  }
  return text.substr(at);
}

std::string_view TrimRight(std::string_view text) {
  size_t end = 0;  // After the last character that is not white space.
  for (size_t at = 0; at < text.size();) {
    const Character c = Read(text, at);
    at += c.size_bytes;
    if (!IsSpace(c)) end = at;
  }
  return text.substr(0, end);
}

std::string_view Trim(std::string_view text) { return TrimLeft(TrimRight(text)); }

int64_t CountSplitWords(std::string_view text) {
  int64_t pieces = 1;
  bool in_space = false;
  for (size_t at = 0; at < text.size();) {
    const Character c = Read(text, at);
    at += c.size_bytes;
    const bool space = IsSpace(c);
    if (space && !in_space) ++pieces;
    in_space = space;
  }
  return pieces;
}

std::string CollapseSpace(std::string_view text) {
  std::string out;
  bool pending = false;
  for (size_t at = 0; at < text.size();) {
    const Character c = Read(text, at);
    if (IsSpace(c)) {
      pending = !out.empty();
    } else {
      if (pending) out += ' ';
      pending = false;
      out += text.substr(at, c.size_bytes);
    }
    at += c.size_bytes;
  }
  return out;
}

std::string ToLower(std::string_view text) { return MapCharacters(text, Lower); }

std::string ToUpper(std::string_view text) { return MapCharacters(text, Upper); }

std::string Capitalize(std::string_view text) {
  bool first = true;
  return MapCharacters(text, [&](char32_t code) {
    const char32_t mapped = first ? Upper(code) : Lower(code);
    first = false;
    return mapped;
  });
}

size_t FindInvalidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Character c = Read(text, at);
    if (!c.valid) return at;
    at += c.size_bytes;
  }
  return std::string_view::npos;
}

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty()) return std::string(text);
  std::string out;
  size_t at = 0;
  for (size_t hit; (hit = text.find(from, at)) != std::string_view::npos; at = hit + from.size()) {
    out += text.substr(at, hit - at);
    out += to;
  }
  out += text.substr(at);
  return out;
}

std::string ChoiceLetter(int64_t index) {
  if (index < 0 || index > 25) throw InternalError("ChoiceLetter of index " + std::to_string(index));
  return std::string(1, static_cast<char>('A' + index));
}

}  // namespace bitlaw
