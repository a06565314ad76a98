#include "bitlaw/sdk/text/text_pattern.h"

#include <algorithm>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "sdk/text/python_pattern.h"

namespace bitlaw {

namespace {

std::string Message(int code) {
  char buffer[256];
  pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(buffer), sizeof(buffer));
  return buffer;
}

// Beyond these a pattern gives up: memory; steps from one place of a text of so many bytes. PCRE2 counts them anew for
// each place, so the limit falls with the length: 5 10^8 for all places together, but never less than a pattern needs
// that crosses the text from one place, which from 10,000 bytes on lets the total grow with the square of the length.
constexpr uint32_t kHeapLimitKib = 64 * 1024;
uint32_t MatchLimit(size_t bytes) {
  const uint64_t length = bytes + 1;
  return static_cast<uint32_t>(
      std::min<uint64_t>(10'000'000, std::max<uint64_t>(4 * length + 10'000, 500'000'000 / length)));
}

// A step copies the bounds of all groups.
constexpr uint32_t kMaxGroups = 100;

// Bytes that PCRE2 may look at to tell which of a text are no UTF-8; it does so anew for each match.
constexpr uint64_t kCheckedBytes = 500'000'000;

struct MatchData {
  MatchData(const pcre2_code* code, size_t bytes) : data(pcre2_match_data_create_from_pattern(code, nullptr)) {
    if (data == nullptr || limits == nullptr) {
      Free();
      throw std::bad_alloc();
    }
    pcre2_set_match_limit(limits, MatchLimit(bytes));
    pcre2_set_heap_limit(limits, kHeapLimitKib);
  }
  ~MatchData() { Free(); }
  MatchData(const MatchData&) = delete;
  MatchData& operator=(const MatchData&) = delete;
  void Free() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
  }
  pcre2_match_data* data;
  pcre2_match_context* limits = pcre2_match_context_create(nullptr);
};

}  // namespace

struct TextPattern::Code {
  std::string text, where;
  // For texts that are UTF-8, looked at once, and for others: a generated text may end in the middle of a character.
  pcre2_code *for_utf8 = nullptr, *for_bytes = nullptr;
  uint32_t groups = 0;

  ~Code() {
    pcre2_code_free(for_utf8);
    pcre2_code_free(for_bytes);
  }

  pcre2_code* Compile(const std::string& translated, uint32_t options) const {
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                         PCRE2_UTF | options, &error, &offset, nullptr);
    if (compiled != nullptr) return compiled;
    throw Error(ErrorKind::kSpec, where + "pattern '" + text + "' is more than PCRE2 can do: " + Message(error) +
                                      ". Write a simpler pattern.");
  }

  std::vector<std::string> Groups(std::string_view in, const PCRE2_SIZE* bounds) const {
    std::vector<std::string> texts;
    for (uint32_t g = groups == 0 ? 0 : 1; g <= groups; ++g) {
      const bool is_set = bounds[2 * g] != PCRE2_UNSET;
      texts.emplace_back(is_set ? in.substr(bounds[2 * g], bounds[2 * g + 1] - bounds[2 * g]) : std::string_view());
    }
    return texts;
  }

  Error GaveUp(std::string_view in, const std::string& why) const {
    return Error(ErrorKind::kBudget, where + "pattern '" + text + "' gave up on a text of " +
                                         std::to_string(in.size()) + " bytes: " + why + ". Write a simpler pattern.");
  }

  // Calls found(bounds) for every match until it returns false; bounds[2 g], bounds[2 g + 1] are group g's, group 0 the
  // whole.
  template <class Found>
  void EachMatch(std::string_view in, Found&& found) const {
    if (in.data() == nullptr) in = "";  // PCRE2 takes no null.
    const bool is_utf8 = FindInvalidUtf8(in) == std::string_view::npos;
    const pcre2_code* compiled = is_utf8 ? for_utf8 : for_bytes;
    const MatchData match(compiled, in.size());
    uint64_t checked = 0;
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.data);
    // An empty match where the last match ended is a match of its own, but not twice at one place.
    size_t from = 0;
    bool refuse_empty = false;
    while (from <= in.size()) {
      if (!is_utf8 && (checked += in.size() - from) > kCheckedBytes) {
        throw GaveUp(in, "it matches too often in a text that is not UTF-8");
      }
      const uint32_t options = (is_utf8 ? PCRE2_NO_UTF_CHECK : 0) | (refuse_empty ? PCRE2_NOTEMPTY_ATSTART : 0);
      const int status = pcre2_match(compiled, reinterpret_cast<PCRE2_SPTR>(in.data()), in.size(), from, options,
                                     match.data, match.limits);
      if (status == PCRE2_ERROR_NOMATCH) return;
      if (status < 0) throw GaveUp(in, Message(status));
      // \K in a subroutine that a lookaround calls can move either end backwards.
      if (bounds[0] < from || bounds[1] < bounds[0]) {
        throw Error(ErrorKind::kUnsupported, where + "pattern '" + text + "' matches from byte " +
                                                 std::to_string(bounds[0]) + " to " + std::to_string(bounds[1]) +
                                                 " in a search from byte " + std::to_string(from) +
                                                 ". '\\K' in a lookaround is not supported. Write it without.");
      }
      if (!found(bounds)) return;
      refuse_empty = bounds[0] == bounds[1];
      from = refuse_empty && bounds[1] == in.size() ? in.size() + 1 : bounds[1];
    }
  }
};

TextPattern::TextPattern(std::string_view pattern, SourceMark mark) : code_(std::make_unique<Code>()) {
  code_->text = std::string(pattern);
  code_->where = mark.Text();
  if (!code_->where.empty()) code_->where += ": ";
  const std::string translated = TranslatePythonPattern(pattern, code_->where);
  code_->for_utf8 = code_->Compile(translated, 0);
  code_->for_bytes = code_->Compile(translated, PCRE2_MATCH_INVALID_UTF);
  pcre2_pattern_info(code_->for_utf8, PCRE2_INFO_CAPTURECOUNT, &code_->groups);
  if (code_->groups > kMaxGroups) {
    throw Error(ErrorKind::kSpec, code_->where + "a pattern has " + std::to_string(code_->groups) +
                                      " groups. At most " + std::to_string(kMaxGroups) +
                                      " are kept. Write (?:...) where the text is not needed.");
  }
}

TextPattern::TextPattern(TextPattern&&) noexcept = default;
TextPattern& TextPattern::operator=(TextPattern&&) noexcept = default;
TextPattern::~TextPattern() = default;

std::vector<std::vector<std::string>> TextPattern::FindAll(std::string_view text) const {
  std::vector<std::vector<std::string>> matches;
  code_->EachMatch(text, [&](const PCRE2_SIZE* bounds) {
    matches.push_back(code_->Groups(text, bounds));
    return true;
  });
  return matches;
}

std::optional<std::vector<std::string>> TextPattern::FindOne(std::string_view text, Which which) const {
  std::vector<PCRE2_SIZE> kept;
  code_->EachMatch(text, [&](const PCRE2_SIZE* bounds) {
    kept.assign(bounds, bounds + 2 * (code_->groups + 1));
    return which == Which::kLast;
  });
  return kept.empty() ? std::nullopt : std::optional(code_->Groups(text, kept.data()));
}

std::string TextPattern::RemoveFrom(std::string_view text) const {
  std::string kept;
  size_t done = 0;
  code_->EachMatch(text, [&](const PCRE2_SIZE* bounds) {
    kept += text.substr(done, bounds[0] - done);
    done = bounds[1];
    return true;
  });
  return kept += text.substr(done);
}

}  // namespace bitlaw
