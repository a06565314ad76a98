#include "sdk/tokenizer/word_splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// Steps from one place of a text, and memory beside the JIT stack: far above what the patterns of published tokenizers
// take, and soon reached by one that backtracks without end.
constexpr uint32_t kMatchLimit = 10'000'000, kHeapLimitKib = 64 * 1024;

/// Match block and JIT stack of one thread; shared by all patterns, which capture nothing.
struct MatchScratch {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, 4 * 1024 * 1024, nullptr);
  MatchScratch() {
    if (match == nullptr || context == nullptr) throw std::bad_alloc();
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchScratch() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

// \s in Oniguruma is White_Space, in PCRE2 it also holds U+180E; \w is letters, marks, decimal digits and connectors,
// in PCRE2 no marks.
std::string TranslatedFromOniguruma(std::string_view pattern, const std::string& where) {
  static constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
  const auto refuse = [&](std::string_view what) -> Error {
    return Error(ErrorKind::kUnsupported, where + ": pattern '" + std::string(pattern) + "' uses " + std::string(what) +
                                              ", which bitlaw does not translate. Write it without.");
  };
  std::string out;
  int class_depth = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '[') ++class_depth;
    if (c == ']' && class_depth > 0) --class_depth;
    if (class_depth > 0 && c == '&' && i + 1 < pattern.size() && pattern[i + 1] == '&') {
      throw refuse("'&&' (class intersection)");
    }
    if (class_depth > 1 && c == '[' && (i + 1 >= pattern.size() || pattern[i + 1] != ':')) {
      throw refuse("a class within a class");
    }
    if (c != '\\' || i + 1 >= pattern.size()) {
      out += c;
      continue;
    }
    const char escaped = pattern[++i];
    switch (escaped) {
      case 's': out += "\\p{White_Space}"; break;
      case 'S': out += "\\P{White_Space}"; break;
      case 'w': out += class_depth > 0 ? std::string(kWord) : '[' + std::string(kWord) + ']'; break;
      case 'W':
        if (class_depth > 0) throw refuse("'\\W' within a class");
        out += "[^" + std::string(kWord) + "]";
        break;
      case 'h':
      case 'H': throw refuse("'\\h'");
      case 'u':
        if (i + 4 >= pattern.size()) throw refuse("'\\u' without four digits");
        out += "\\x{" + std::string(pattern.substr(i + 1, 4)) + "}";
        i += 4;
        break;
      default: out += '\\', out += escaped;
    }
  }
  return out;
}

std::string Pcre2Message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

const WordPattern& WordCharacter() {
  static const WordPattern pattern("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}]", "word character");
  return pattern;
}

bool IsWhiteSpace(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

char32_t CharacterAt(std::string_view text, size_t at, size_t length) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  if (length == 1) return byte(0);
  char32_t c = byte(0) & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; ++i) c = c << 6 | (byte(i) & 0x3F);
  return c;
}

size_t LastCharacter(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

}  // namespace

const char kGpt2WordPattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

WordPattern::WordPattern(std::string_view pattern, const std::string& where) : text_(pattern), where_(where) {
  const std::string translated = TranslatedFromOniguruma(pattern, where);
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C, &code,
                    &offset, nullptr);
  if (compiled == nullptr) {
    throw Error(ErrorKind::kUnsupported, where + ": pattern '" + text_ + "' does not compile: " + Pcre2Message(code) +
                                             " (at offset " + std::to_string(offset) + " of '" + translated + "').");
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // Without JIT matching is slower and the same.
  code_ = compiled;
}

WordPattern::~WordPattern() { pcre2_code_free(static_cast<pcre2_code*>(code_)); }

bool WordPattern::Find(std::string_view text, size_t from, size_t* begin, size_t* end) const {
  thread_local MatchScratch scratch;
  const int found = pcre2_match(static_cast<pcre2_code*>(code_), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                from, PCRE2_NO_UTF_CHECK, scratch.match, scratch.context);
  if (found == PCRE2_ERROR_NOMATCH) return false;
  if (found < 0) {
    throw Error(ErrorKind::kBudget, where_ + ": pattern '" + text_ + "' gave up on a text of " +
                                        std::to_string(text.size()) + " bytes: " + Pcre2Message(found) +
                                        ". Cut the text into smaller pieces.");
  }
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(scratch.match);
  // \K in a subroutine that a lookaround calls can move either end backwards.
  if (bounds[0] < from || bounds[1] < bounds[0]) {
    throw Error(ErrorKind::kUnsupported, where_ + ": pattern '" + text_ + "' matches from byte " +
                                             std::to_string(bounds[0]) + " to " + std::to_string(bounds[1]) +
                                             " in a search from byte " + std::to_string(from) +
                                             ". '\\K' in a lookaround is not supported. Write it without.");
  }
  *begin = bounds[0];
  *end = bounds[1];
  return true;
}

void WordSplitter::AddPattern(std::string_view pattern, Keep keep, const std::string& where) {
  stages_.push_back({Stage::Kind::kPattern, keep, std::make_shared<const WordPattern>(pattern, where)});
}

void WordSplitter::AddDigits(bool one_by_one) { AddPattern(one_by_one ? "\\p{N}" : "\\p{N}+", Keep::kBoth, "digits"); }

void WordSplitter::AddPrefixSpace() { stages_.push_back({Stage::Kind::kPrefixSpace, Keep::kBoth, nullptr}); }

void WordSplitter::AddMetaspace(std::string replacement, Prepend prepend, bool cuts) {
  stages_.push_back({Stage::Kind::kMetaspace, Keep::kBoth, nullptr, std::move(replacement), prepend, cuts});
}

// Stages that change the text: pieces become views of a new buffer.
void WordSplitter::Rewrite(const Stage& stage, bool is_first, const std::vector<std::string_view>& input,
                           std::string* buffer, std::vector<std::string_view>* words) {
  std::string text;
  std::vector<size_t> ends;
  for (const std::string_view piece : input) {
    const size_t begin = text.size();
    if (stage.kind == Stage::Kind::kPrefixSpace) {
      if (piece.front() != ' ') text += ' ';
      text += piece;
    } else {
      const std::string& mark = stage.replacement;
      const bool has_one = piece.starts_with(mark) || piece.starts_with(' ');
      const bool may_prepend = stage.prepend == Prepend::kAlways || (stage.prepend == Prepend::kFirst && is_first);
      if (may_prepend && !has_one) text += mark;
      for (const char c : piece) {
        if (c == ' ') {
          text += mark;
        } else {
          text += c;
        }
      }
      for (size_t at = begin + 1; stage.cuts && (at = text.find(mark, at)) != std::string::npos; at += mark.size()) {
        ends.push_back(at);
      }
    }
    is_first = false;
    ends.push_back(text.size());
  }
  *buffer = std::move(text);
  size_t begin = 0;
  for (const size_t end : ends) {
    words->push_back(std::string_view(*buffer).substr(begin, end - begin));
    begin = end;
  }
}

void WordSplitter::Cut(const Stage& stage, std::string_view piece, std::vector<std::string_view>* words) {
  const bool joins = stage.keep == Keep::kWithPrevious || stage.keep == Keep::kWithPreviousInverted;
  const size_t first_word = words->size();
  bool last_joined = false;
  const auto emit = [&](size_t begin, size_t end, bool is_match) {
    if (begin == end || (stage.keep == Keep::kBetween && is_match) || (stage.keep == Keep::kMatches && !is_match)) {
      return;
    }
    // Of several that belong to what lies before, one after the other, the first does.
    const bool belongs = joins && is_match == (stage.keep == Keep::kWithPrevious);
    if (belongs && !last_joined && words->size() > first_word) {
      std::string_view& before = words->back();
      before = {before.data(), before.size() + end - begin};
    } else {
      words->push_back(piece.substr(begin, end - begin));
    }
    last_joined = belongs;
  };
  size_t done = 0, from = 0, begin = 0, end = 0;
  while (from <= piece.size() && stage.pattern->Find(piece, from, &begin, &end)) {
    if (begin == end) {  // An empty match only cuts; the search goes on behind the next character.
      emit(done, begin, false);
      done = begin;
      if (begin >= piece.size()) break;
      from = begin + Utf8Length(static_cast<unsigned char>(piece[begin]));
      continue;
    }
    emit(done, begin, false);
    emit(begin, end, true);
    done = from = end;
  }
  emit(done, piece.size(), false);
}

void WordSplitter::Split(std::string_view text, bool is_first, std::string* buffer,
                         std::vector<std::string_view>* words) const {
  words->clear();
  if (text.empty()) return;
  words->push_back(text);
  std::vector<std::string_view> input;
  for (const Stage& stage : stages_) {
    input.swap(*words);
    words->clear();
    if (stage.kind != Stage::Kind::kPattern) {
      Rewrite(stage, is_first, input, buffer, words);
      continue;
    }
    for (const std::string_view piece : input) Cut(stage, piece, words);
    is_first = is_first && !words->empty() && words->front().data() == input.front().data();
  }
}

namespace {

const char* KeepName(WordSplitter::Keep keep) {
  switch (keep) {
    case WordSplitter::Keep::kBoth: return "both ";
    case WordSplitter::Keep::kBetween: return "between ";
    case WordSplitter::Keep::kMatches: return "matches ";
    case WordSplitter::Keep::kWithPrevious: return "with previous ";
    case WordSplitter::Keep::kWithPreviousInverted: return "between with previous ";
  }
  return "";
}

}  // namespace

std::string WordSplitter::Description() const {
  std::string text;
  for (const Stage& stage : stages_) {
    if (stage.kind == Stage::Kind::kPrefixSpace) {
      text += "prefix space\n";
    } else if (stage.kind == Stage::Kind::kMetaspace) {
      text += "metaspace " + stage.replacement + std::to_string(static_cast<int>(stage.prepend)) +
              (stage.cuts ? " cuts\n" : "\n");
    } else {
      text += KeepName(stage.keep);
      text += std::to_string(stage.pattern->text().size()) + " " + stage.pattern->text() + "\n";
    }
  }
  return text;
}

bool BeginsWithWordCharacter(std::string_view text) {
  if (text.empty()) return false;
  size_t begin = 0, end = 0;
  return WordCharacter().Find(text.substr(0, Utf8Length(static_cast<unsigned char>(text[0]))), 0, &begin, &end);
}

bool EndsWithWordCharacter(std::string_view text) {
  return !text.empty() && BeginsWithWordCharacter(text.substr(LastCharacter(text)));
}

size_t LeadingWhiteSpace(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = Utf8Length(static_cast<unsigned char>(text[at]));
    if (!IsWhiteSpace(CharacterAt(text, at, length))) break;
    at += length;
  }
  return at;
}

size_t TrailingWhiteSpace(std::string_view text) {
  size_t kept = text.size();
  while (kept > 0) {
    const size_t at = LastCharacter(text.substr(0, kept));
    if (!IsWhiteSpace(CharacterAt(text, at, kept - at))) break;
    kept = at;
  }
  return text.size() - kept;
}

}  // namespace bitlaw
