#include "sdk/text/python_pattern.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "sdk/text/python_char_class.h"

namespace bitlaw {

namespace {

constexpr int kMaxNesting = 100;
constexpr uint64_t kMaxCount = 65535;            // PCRE2's.
constexpr uint64_t kUnbounded = uint64_t{1} << 40;  // Of widths.

struct Flags {
  bool ignore_case = false, multiline = false, dot_all = false, verbose = false, ascii = false;
};

// How many characters a piece takes.
struct Width {
  uint64_t min = 0, max = 0;
};

Width Sum(Width a, Width b) { return {std::min(a.min + b.min, kUnbounded), std::min(a.max + b.max, kUnbounded)}; }

// One piece of a sequence, written for PCRE2.
struct Piece {
  enum Kind { kAtom, kAnchor, kRepeat };
  std::string text;
  Width width;
  Kind kind = kAtom;
};

bool IsAsciiLetter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char32_t c) { return c >= '0' && c <= '9'; }
bool IsOctal(char32_t c) { return c >= '0' && c <= '7'; }
bool IsHex(char32_t c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {
    for (size_t at = 0; at < pattern.size();) {
      const size_t size = ClassifyCharacter(pattern, at).size_bytes;
      const auto byte = [&](size_t i) { return static_cast<unsigned char>(pattern[at + i]); };
      char32_t code = byte(0);
      if (size > 1) {
        code &= size == 2 ? 0x1F : size == 3 ? 0x0F : 0x07;
        for (size_t i = 1; i < size; ++i) code = (code << 6) | (byte(i) & 0x3F);
      } else if (code >= 0x80) {
        Fail(codes_.size(), "the pattern is not UTF-8.");
      }
      codes_.push_back(code);
      at += size;
    }
  }

  std::string Translate() {
    std::string text = Alternatives(Flags{}, 0, nullptr);
    if (!AtEnd()) Fail(at_, "a parenthesis is closed that was not opened.");
    for (const auto& [group, place] : forward_) {
      if (group >= widths_.size()) Fail(place, "there is no group " + std::to_string(group) + ".");
    }
    return text;
  }

 private:
  [[noreturn]] void Fail(size_t at, const std::string& what) const {
    throw Error(ErrorKind::kSpec, where_ + "pattern '" + std::string(pattern_) + "' at character " +
                                      std::to_string(at + 1) + ": " + what);
  }

  bool AtEnd() const { return at_ == codes_.size(); }
  char32_t Peek(size_t ahead = 0) const { return at_ + ahead < codes_.size() ? codes_[at_ + ahead] : 0xFFFFFFFF; }
  bool Take(char32_t code) {
    if (Peek() != code) return false;
    ++at_;
    return true;
  }
  std::string Text(size_t from, size_t to) const {
    std::string text;
    for (size_t i = from; i < std::min(to, codes_.size()); ++i) AppendUtf8(codes_[i], text);
    return text;
  }

  // a|b|c up to a closing parenthesis or the end.
  std::string Alternatives(Flags flags, int depth, Width* width) {
    if (depth > kMaxNesting) {
      Fail(at_, "groups are nested deeper than " + std::to_string(kMaxNesting) + ". Write a flatter pattern.");
    }
    std::string text;
    Width all{kUnbounded, 0};
    for (bool first = true;; first = false) {
      Width one;
      // Flags for the whole pattern hold in the alternatives after it too.
      text += Sequence(flags, depth, first && depth == 0, &one);
      all = {std::min(all.min, one.min), std::max(all.max, one.max)};
      if (!Take('|')) break;
      text += '|';
    }
    if (width != nullptr) *width = all;
    return text;
  }

  std::string Sequence(Flags& flags, int depth, bool may_set_flags, Width* width) {
    std::vector<Piece> pieces;
    while (!AtEnd() && Peek() != '|' && Peek() != ')') {
      const size_t start = at_;
      const char32_t c = codes_[at_++];
      if (flags.verbose) {
        if (c == ' ' || (c >= '\t' && c <= '\r')) continue;
        if (c == '#') {
          while (!AtEnd() && codes_[at_++] != '\n') {
          }
          continue;
        }
      }
      switch (c) {
        case '\\': pieces.push_back(Escape(flags, start)); break;
        case '[': pieces.push_back({Class(flags, start), {1, 1}}); break;
        case '.': pieces.push_back({flags.dot_all ? "(?s:.)" : "[^\\x{a}]", {1, 1}}); break;
        case '^': pieces.push_back({flags.multiline ? "(?:\\A|(?<=\\x{a}))" : "\\A", {}, Piece::kAnchor}); break;
        case '$':
          pieces.push_back({flags.multiline ? "(?=\\x{a}|\\z)" : "(?=\\x{a}?\\z)", {}, Piece::kAnchor});
          break;
        case '(': Group(flags, depth, may_set_flags, start, pieces); break;
        case '*':
        case '+':
        case '?':
        case '{': Repeat(flags, start, pieces); break;
        default: pieces.push_back(Literal(c, flags));
      }
    }
    std::string text;
    *width = {};
    for (const Piece& piece : pieces) {
      text += piece.text;
      *width = Sum(*width, piece.width);
    }
    return text;
  }

  Piece Literal(char32_t c, const Flags& flags) const {
    if (!flags.ignore_case) return {Pcre2Literal(c), {1, 1}};
    if (c < 0x80 && !IsAsciiLetter(c)) return {Pcre2Literal(c), {1, 1}};
    PythonCharClass one;
    one.AddRange(c, c);
    return {one.Pcre2(true, flags.ascii), {1, 1}};
  }

  void Repeat(const Flags& flags, size_t start, std::vector<Piece>& pieces) {
    uint64_t min = 0, max = kUnbounded;
    const char32_t c = codes_[start];
    if (c == '+') min = 1;
    if (c == '?') max = 1;
    if (c == '{') {
      // Python: {m}, {m,}, {,n} and {m,n} are counts; any other brace is a character.
      std::string low, high;
      size_t end = at_;
      while (end < codes_.size() && IsDigit(codes_[end])) low += static_cast<char>(codes_[end++]);
      const bool has_comma = end < codes_.size() && codes_[end] == ',';
      if (has_comma) {
        ++end;
        while (end < codes_.size() && IsDigit(codes_[end])) high += static_cast<char>(codes_[end++]);
      } else {
        high = low;
      }
      const bool is_count = end < codes_.size() && codes_[end] == '}' && (has_comma || !low.empty());
      if (!is_count) {
        pieces.push_back(Literal('{', flags));
        return;
      }
      at_ = end + 1;
      const auto number = [&](const std::string& digits) {
        uint64_t value = 0;
        for (const char digit : digits) value = std::min(value * 10 + static_cast<uint64_t>(digit - '0'), kUnbounded);
        if (value > kMaxCount) {
          Fail(start,
               "the count " + digits + " is above " + std::to_string(kMaxCount) + ". Repeat a group that repeats.");
        }
        return value;
      };
      if (!low.empty()) min = number(low);
      if (!high.empty()) max = number(high);
      if (max < min) Fail(start, "the largest count, " + high + ", is below the smallest, " + low + ".");
    }
    const std::string shown = Text(start, at_);
    if (pieces.empty() || pieces.back().kind == Piece::kAnchor) {
      Fail(start, "'" + shown + "' has nothing to repeat. Write \\" + Text(start, start + 1) + " for the character.");
    }
    Piece& piece = pieces.back();
    if (piece.kind == Piece::kRepeat) {
      Fail(start, "'" + shown + "' repeats what is repeated already. Put the repeated part in (?:...).");
    }
    piece.text += "{" + std::to_string(min) + "," + (max == kUnbounded ? "" : std::to_string(max)) + "}";
    if (Take('?')) {
      piece.text += '?';
    } else if (Take('+')) {
      piece.text += '+';
    }
    const auto times = [](uint64_t a, uint64_t b) {
      return a == 0 || b == 0 ? 0 : a > kUnbounded / b ? kUnbounded : a * b;
    };
    piece.width = {times(piece.width.min, min), times(piece.width.max, max)};
    piece.kind = Piece::kRepeat;
  }

  // The character that \x, \u, \U or an octal escape stands for; nothing if it is another escape. Stands after the
  // letter or first digit, which is at at_ - 1.
  std::optional<char32_t> Numbered(size_t start) {
    const char32_t letter = codes_[at_ - 1];
    const size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (digits == 0) return std::nullopt;
    if (letter == 'x' && Peek() == '{') {
      Fail(start,
           "\\x{...} is not part of Python's re. Write \\x41, \\u0041 or \\U00000041: two, four or eight digits.");
    }
    uint64_t code = 0;
    for (size_t i = 0; i < digits; ++i) {
      if (!IsHex(Peek())) {
        Fail(start, "'" + Text(start, at_) + "' is too short: \\" + std::string(1, static_cast<char>(letter)) +
                        " takes " + std::to_string(digits) + " hexadecimal digits.");
      }
      const char32_t digit = codes_[at_++];
      code = code * 16 + (IsDigit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    if (code > 0x10FFFF) Fail(start, "'" + Text(start, at_) + "' is no character: the last is \\U0010FFFF.");
    RefuseSurrogate(static_cast<char32_t>(code), start);
    return static_cast<char32_t>(code);
  }

  void RefuseSurrogate(char32_t code, size_t start) const {
    if (code < 0xD800 || code > 0xDFFF) return;
    Fail(start, "'" + Text(start, at_) +
                    "' is half of a surrogate pair, which no text holds. Write the character itself, or "
                    "\\U with eight digits: \\U0001F600.");
  }

  static std::optional<char32_t> Control(char32_t letter) {
    switch (letter) {
      case 'a': return 0x07;
      case 'f': return 0x0C;
      case 'n': return 0x0A;
      case 'r': return 0x0D;
      case 't': return 0x09;
      case 'v': return 0x0B;
      default: return std::nullopt;
    }
  }

  [[noreturn]] void FailEscape(size_t start, char32_t letter) const {
    static const std::map<char32_t, const char*> kInstead = {
        {'z', "Write \\Z for the end of the text."},
        {'G', "There is no such anchor."},
        {'h', "Write [ \\t] for blanks."},
        {'H', "Write [^ \\t] for all but blanks."},
        {'V', "Write [^\\n\\r\\v\\f] for all but line ends."},
        {'R', "Write (?:\\r\\n|\\n|\\r) for a line end."},
        {'N', "Write [^\\n] for all but a line feed, and \\u with four digits for a character by its number."},
        {'X', "Write . for a character."},
        {'C', "Write . for a character."},
        {'K', "Put the part that is kept in a group: (...)."},
        {'Q', "Write a \\ before each character that is none of a-z, A-Z, 0-9."},
        {'E', "Write a \\ before each character that is none of a-z, A-Z, 0-9."},
        {'p', "Write [^\\W\\d_] for letters, \\w for letters, digits and _, or the characters."},
        {'P', "Write \\W or the characters."},
        {'g', "Write \\1 or (?P=name) for what a group matched."},
        {'k', "Write \\1 or (?P=name) for what a group matched."},
        {'o', "Write \\x with two, or \\u with four hexadecimal digits."},
        {'c', "Write \\x with two hexadecimal digits."},
        {'e', "Write \\x1b."},
        {'l', "Write (?i:...) to leave case out of account."},
        {'L', "Write (?i:...) to leave case out of account."}};
    const auto instead = kInstead.find(letter);
    Fail(start, "'" + Text(start, start + 2) + "' is no escape of Python's re." +
                    (instead == kInstead.end() ? "" : std::string(" ") + instead->second));
  }

  Piece Escape(const Flags& flags, size_t start) {
    if (AtEnd()) Fail(start, "the pattern ends in a single \\. Write \\\\ for the character.");
    const char32_t c = codes_[at_++];
    const std::string word = flags.ascii ? "[0-9A-Za-z_]" : "[\\p{L}\\p{N}_]";
    switch (c) {
      case 'A': return {"\\A", {}, Piece::kAnchor};
      case 'Z': return {"\\z", {}, Piece::kAnchor};
      case 'b':
        return {"(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))", {}, Piece::kAnchor};
      case 'B':
        // Nowhere in an empty text.
        return {"(?:(?!\\A\\z)(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + ")))",
                {},
                Piece::kAnchor};
      case 'd':
      case 'D':
      case 'w':
      case 'W':
      case 's':
      case 'S': {
        PythonCharClass category;
        category.AddCategory(static_cast<char>(c), flags.ascii);
        return {category.Pcre2(false, flags.ascii), {1, 1}};
      }
      default: break;
    }
    if (const auto control = Control(c)) return Literal(*control, flags);
    if (const auto code = Numbered(start)) return Literal(*code, flags);
    if (c == '0') {
      char32_t code = 0;
      for (int i = 0; i < 2 && IsOctal(Peek()); ++i) code = code * 8 + (codes_[at_++] - '0');
      return Literal(code, flags);
    }
    if (IsDigit(c)) return NumberedReference(c, flags, start);
    if (IsAsciiLetter(c)) FailEscape(start, c);
    return Literal(c, flags);
  }

  Piece NumberedReference(char32_t c, const Flags& flags, size_t start) {
    size_t group = c - '0';
    if (IsDigit(Peek())) {
      const char32_t second = codes_[at_++];
      if (IsOctal(c) && IsOctal(second) && IsOctal(Peek())) {
        const char32_t code = (c - '0') * 64 + (second - '0') * 8 + (codes_[at_++] - '0');
        if (code > 0377) Fail(start, "'" + Text(start, at_) + "' is above \\377, the last octal escape.");
        return Literal(code, flags);
      }
      group = group * 10 + (second - '0');
    }
    return Reference(group, flags, start);
  }

  Piece Reference(size_t group, const Flags& flags, size_t start) {
    if (group == 0 || group >= widths_.size())
      Fail(start, "there is no group " + std::to_string(group) + " before this place.");
    CheckReference(group, start);
    const std::string text = "\\g{" + std::to_string(group) + "}";
    return {flags.ignore_case ? "(?i:" + text + ")" : text, *widths_[group]};
  }

  void CheckReference(size_t group, size_t start) const {
    if (!widths_[group]) Fail(start, "group " + std::to_string(group) + " is not closed yet.");
    if (lookbehind_groups_ && group >= *lookbehind_groups_) {
      Fail(start, "group " + std::to_string(group) + " stands in the same look-behind.");
    }
  }

  // One character or category of a class.
  struct Member {
    char32_t code = 0;
    char category = 0;
  };

  Member ClassMember(size_t start) {
    const char32_t c = codes_[at_++];
    if (c != '\\') {
      if (c == '[' && (Peek() == ':' || Peek() == '.' || Peek() == '=')) RefusePosixClass(start);
      return {c};
    }
    if (AtEnd()) Fail(start, "the pattern ends in a single \\. Write \\\\ for the character.");
    const char32_t letter = codes_[at_++];
    if (letter == 'b') return {0x08};
    if (letter == 'd' || letter == 'D' || letter == 'w' || letter == 'W' || letter == 's' || letter == 'S') {
      return {0, static_cast<char>(letter)};
    }
    if (const auto control = Control(letter)) return {*control};
    if (const auto code = Numbered(start)) return {*code};
    if (IsOctal(letter)) {
      char32_t code = letter - '0';
      for (int i = 0; i < 2 && IsOctal(Peek()); ++i) code = code * 8 + (codes_[at_++] - '0');
      if (code > 0377) Fail(start, "'" + Text(start, at_) + "' is above \\377, the last octal escape.");
      return {code};
    }
    if (IsDigit(letter) || IsAsciiLetter(letter)) FailEscape(start, letter);
    return {letter};
  }

  // Python takes [[:alpha:]] for a class of the characters "[:alph" and a ']' after it, which nobody means.
  void RefusePosixClass(size_t start) const {
    const char32_t mark = Peek();
    for (size_t i = at_ + 1; i + 1 < codes_.size() && codes_[i] != ']'; ++i) {
      if (codes_[i] != mark || codes_[i + 1] != ']') continue;
      Fail(start, "'" + Text(start, i + 2) +
                      "' is not a class in Python's re. Write \\d, \\s, \\w, [^\\W\\d_] for letters, or "
                      "the characters.");
    }
  }

  std::string Class(const Flags& flags, size_t start) {
    PythonCharClass set;
    if (Take('^')) set.Negate();
    const auto unclosed = [&] { Fail(start, "the class is not closed by ']'. Write \\[ for the character."); };
    for (bool empty = true;; empty = false) {
      if (AtEnd()) unclosed();
      if (!empty && Take(']')) break;
      const size_t place = at_;
      const Member low = ClassMember(place);
      const auto add = [&](const Member& one) {
        if (one.category != 0) {
          set.AddCategory(one.category, flags.ascii);
        } else {
          set.AddRange(one.code, one.code);
        }
      };
      if (Peek() != '-' || Peek(1) == ']') {
        add(low);
        continue;
      }
      ++at_;
      if (AtEnd()) unclosed();
      const Member high = ClassMember(at_);
      if (low.category != 0 || high.category != 0 || high.code < low.code) {
        Fail(place, "'" + Text(place, at_) +
                        "' is no range: it needs two characters in their order. Put a '-' that is meant "
                        "as a character last.");
      }
      set.AddRange(low.code, high.code);
    }
    return set.Pcre2(flags.ignore_case, flags.ascii);
  }

  std::string Name(char32_t end, size_t start) {
    const size_t begin = at_;
    while (!AtEnd() && codes_[at_] != end) ++at_;
    if (AtEnd()) Fail(start, "the group's name is not closed.");
    const std::string name = Text(begin, at_++);
    bool valid = !name.empty() && !IsDigit(codes_[begin]);
    for (size_t i = 0; i < name.size(); i += ClassifyCharacter(name, i).size_bytes) {
      valid = valid && ClassifyCharacter(name, i).is_word;
    }
    if (!valid) Fail(begin, "'" + name + "' is no name of a group: letters, digits and _, no digit first.");
    return name;
  }

  void Group(Flags& flags, int depth, bool may_set_flags, size_t start, std::vector<Piece>& pieces) {
    Flags inner = flags;
    std::string open = "(", name;
    bool captures = true;
    if (Take('?')) {
      captures = false;
      if (AtEnd()) Fail(start, "the pattern ends within a group's beginning.");
      const char32_t kind = codes_[at_++];
      if (kind == 'P') {
        if (Take('=')) {
          name = Name(')', start);
          const auto known = names_.find(name);
          if (known == names_.end()) Fail(start, "there is no group '" + name + "' before this place.");
          pieces.push_back(Reference(known->second, flags, start));
          return;
        }
        if (!Take('<'))
          Fail(start, "'" + Text(start, at_ + 1) + "' is not part of Python's re. Named groups are (?P<name>...).");
        name = Name('>', start);
        if (names_.count(name) > 0) Fail(start, "the group '" + name + "' is there already. Give it another name.");
        captures = true;
      } else if (kind == '#') {
        while (!AtEnd() && codes_[at_] != ')') ++at_;
        if (AtEnd()) Fail(start, "the comment is not closed by ')'.");
        ++at_;
        return;
      } else if (kind == '=' || kind == '!' || kind == '<') {
        Lookaround(flags, depth, kind, start, pieces);
        return;
      } else if (kind == '(') {
        Conditional(flags, depth, start, pieces);
        return;
      } else if (IsDigit(kind) && kind != '0') {
        pieces.push_back(Call(start));
        return;
      } else if (kind == '>') {
        open = "(?>";
      } else if (kind == ':') {
        open = "(?:";
      } else if (kind == '-' || IsAsciiLetter(kind)) {
        --at_;
        open = "(?:";
        if (!ReadFlags(inner, start)) {
          if (!may_set_flags || !pieces.empty()) {
            Fail(start, "flags of the whole pattern stand at its beginning. Write (?i:...) for a part.");
          }
          // A verbose pattern is read anew from its beginning, as Python does; nothing but space stood before.
          flags = inner;
          return;
        }
      } else {
        FailGroup(start);
      }
    }
    size_t group = 0;
    if (captures) {
      group = widths_.size();
      widths_.push_back(std::nullopt);
      if (!name.empty()) names_[name] = group;
    }
    Width width;
    const std::string content = Alternatives(inner, depth + 1, &width);
    Close(start);
    if (captures) widths_[group] = width;
    pieces.push_back({open + content + ")", width});
  }

  [[noreturn]] void FailGroup(size_t start) const {
    const char32_t kind = codes_[at_ - 1];
    const std::string shown = "'" + Text(start, at_) + "' is not part of Python's re.";
    if (kind == '|') Fail(start, shown + " Number the groups one by one.");
    if (kind == 'R' || kind == '&' || kind == '+' || kind == '0') Fail(start, shown + " Write (?1) to call group 1.");
    if (kind == 'C') Fail(start, shown + " There are no callouts.");
    if (kind == '\'') Fail(start, shown + " Named groups are (?P<name>...).");
    Fail(start, shown);
  }

  // (?1): what group 1 matches, again, for braces within braces. Python's re has nothing like it, and so no other
  // meaning.
  Piece Call(size_t start) {
    size_t group = codes_[at_ - 1] - '0';
    while (IsDigit(Peek()) && group < kMaxCount) group = group * 10 + (codes_[at_++] - '0');
    Close(start);
    forward_.push_back({group, start});
    return {"(?" + std::to_string(group) + ")", {0, kUnbounded}};
  }

  void Close(size_t start) {
    if (!Take(')')) Fail(start, "the parenthesis is not closed.");
  }

  void Lookaround(const Flags& flags, int depth, char32_t kind, size_t start, std::vector<Piece>& pieces) {
    const bool behind = kind == '<';
    if (behind) {
      if (Peek() != '=' && Peek() != '!') {
        Fail(start, "'" + Text(start, at_ + 1) +
                        "' is not part of Python's re. Named groups are (?P<name>...), and a look-behind "
                        "is (?<=...) or (?<!...).");
      }
      kind = codes_[at_++];
    }
    const auto outer = lookbehind_groups_;
    if (behind && !outer) lookbehind_groups_ = widths_.size();
    Width width;
    const std::string content = Alternatives(flags, depth + 1, &width);
    lookbehind_groups_ = outer;
    Close(start);
    if (behind && width.min != width.max) {
      Fail(start, "a look-behind has one length, and this one takes from " + std::to_string(width.min) + " to " +
                      (width.max >= kUnbounded ? "any number of" : std::to_string(width.max)) + " characters.");
    }
    pieces.push_back({std::string(behind ? "(?<" : "(?") + (kind == '=' ? "=" : "!") + content + ")", {}});
  }

  void Conditional(const Flags& flags, int depth, size_t start, std::vector<Piece>& pieces) {
    size_t group = 0;
    if (IsDigit(Peek())) {
      const size_t begin = at_;
      while (IsDigit(Peek()) && group < kMaxCount) group = group * 10 + (codes_[at_++] - '0');
      if (!Take(')')) Fail(start, "the condition is not a group's number or name.");
      if (group == 0 || group > kMaxCount) Fail(begin, "groups count from 1.");
      forward_.push_back({group, begin});
    } else {
      const std::string name = Name(')', start);
      const auto known = names_.find(name);
      if (known == names_.end()) Fail(start, "there is no group '" + name + "' before this place.");
      group = known->second;
    }
    if (lookbehind_groups_) {
      if (group >= widths_.size()) Fail(start, "group " + std::to_string(group) + " is not closed yet.");
      CheckReference(group, start);
    }
    if (depth + 1 > kMaxNesting) Fail(start, "groups are nested deeper than " + std::to_string(kMaxNesting) + ".");
    Flags inner = flags;
    Width yes, no;
    std::string text = "(?(" + std::to_string(group) + ")" + Sequence(inner, depth + 1, false, &yes);
    if (Take('|')) {
      text += "|" + Sequence(inner, depth + 1, false, &no);
      if (Peek() == '|') Fail(start, "a condition has two branches at most.");
    }
    Close(start);
    pieces.push_back({text + ")", {std::min(yes.min, no.min), std::max(yes.max, no.max)}});
  }

  // "(?i)" or "(?i-s:"; stands at the first letter. True if the flags are for a group that follows.
  bool ReadFlags(Flags& flags, size_t start) {
    bool on = true, any_off = false;
    std::string turned_on, turned_off;
    for (;;) {
      if (AtEnd()) Fail(start, "the flags are not closed by ')' or ':'.");
      const char32_t c = codes_[at_++];
      if (c == ')' && on && !turned_on.empty()) return false;
      if (c == ':' && (on || any_off)) return true;
      if (c == '-' && on) {
        on = false;
        continue;
      }
      bool* flag = nullptr;
      switch (c) {
        case 'i': flag = &flags.ignore_case; break;
        case 'm': flag = &flags.multiline; break;
        case 's': flag = &flags.dot_all; break;
        case 'x': flag = &flags.verbose; break;
        case 'a':
        case 'u': flag = &flags.ascii; break;
        default: FailFlags(start, c);
      }
      const char letter = static_cast<char>(c);
      if ((letter == 'a' && turned_on.find('u') != std::string::npos) ||
          (letter == 'u' && turned_on.find('a') != std::string::npos)) {
        Fail(start, "flags 'a' and 'u' exclude each other.");
      }
      if (!on && (letter == 'a' || letter == 'u')) Fail(start, "flags 'a' and 'u' cannot be turned off.");
      if (!on && turned_on.find(letter) != std::string::npos) {
        Fail(start, std::string("flag '") + letter + "' is turned on and off.");
      }
      (on ? turned_on : turned_off) += letter;
      any_off = any_off || !on;
      *flag = letter == 'u' ? false : on;
    }
  }

  [[noreturn]] void FailFlags(size_t start, char32_t c) const {
    if (c == 'L') Fail(start, "flag 'L' is not for texts of characters. Leave it out.");
    if (at_ - start == 3) FailGroup(start);
    Fail(start, "'" + Text(at_ - 1, at_) + "' is no flag. Flags: a, i, m, s, u, x.");
  }

  std::string_view pattern_;
  const std::string& where_;
  std::vector<char32_t> codes_;
  size_t at_ = 0;
  std::vector<std::optional<Width>> widths_ = {
      Width{}};  // Of each group; nothing while it is open. Group 0 is the whole.
  std::map<std::string, size_t> names_;
  std::vector<std::pair<size_t, size_t>> forward_;  // Groups that are named by number before they may begin, and where.
  std::optional<size_t> lookbehind_groups_;               // Groups before the outermost look-behind that is open.
};

}  // namespace

std::string TranslatePythonPattern(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).Translate();
}

}  // namespace bitlaw
