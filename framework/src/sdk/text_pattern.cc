#include "bitlaw/sdk/text_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "bitlaw/base/error.h"
#include "sdk/python_pattern.h"

namespace bitlaw {

namespace {

std::string Message(int code) {
  char buffer[256];
  pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(buffer), sizeof(buffer));
  return buffer;
}

// Steps from one place of a text, and memory, beyond which a pattern gives up.
constexpr uint32_t kMatchLimit = 10'000'000, kHeapLimitKib = 64 * 1024;

struct MatchData {
  explicit MatchData(const pcre2_code* code) : data(pcre2_match_data_create_from_pattern(code, nullptr)) {
    if (data == nullptr || limits == nullptr) {
      Free();
      throw std::bad_alloc();
    }
    pcre2_set_match_limit(limits, kMatchLimit);
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
  pcre2_code* compiled = nullptr;
  uint32_t groups = 0;

  ~Code() { pcre2_code_free(compiled); }

  // Calls found(bounds) for every match; bounds[2 g], bounds[2 g + 1] are group g's, group 0 the whole.
  template <class Found>
  void EachMatch(std::string_view in, Found&& found) const {
    if (in.data() == nullptr) in = "";  // PCRE2 takes no null.
    const MatchData match(compiled);
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.data);
    // An empty match where the last match ended is a match of its own, but not twice at one place.
    size_t from = 0;
    bool refuse_empty = false;
    while (from <= in.size()) {
      const uint32_t options = refuse_empty ? PCRE2_NOTEMPTY_ATSTART : 0;
      const int status = pcre2_match(compiled, reinterpret_cast<PCRE2_SPTR>(in.data()), in.size(), from, options,
                                     match.data, match.limits);
      if (status == PCRE2_ERROR_NOMATCH) return;
      if (status < 0) {
        throw Error(ErrorKind::kBudget, where + "pattern '" + text + "' gave up on a text of " +
                                            std::to_string(in.size()) + " bytes: " + Message(status) +
                                            ". Write a simpler pattern.");
      }
      // \K in a subroutine that a lookaround calls can move either end backwards.
      if (bounds[0] < from || bounds[1] < bounds[0]) {
        throw Error(ErrorKind::kUnsupported, where + "pattern '" + text + "' matches from byte " +
                                                 std::to_string(bounds[0]) + " to " + std::to_string(bounds[1]) +
                                                 " in a search from byte " + std::to_string(from) +
                                                 ". '\\K' in a lookaround is not supported. Write it without.");
      }
      found(bounds);
      refuse_empty = bounds[0] == bounds[1];
      from = refuse_empty && bounds[1] == in.size() ? in.size() + 1 : bounds[1];
    }
  }
};

TextPattern::TextPattern(std::string_view pattern, SourceMark mark) : code_(std::make_unique<Code>()) {
  code_->text = std::string(pattern);
  code_->where = mark.Text();
  if (!code_->where.empty()) code_->where += ": ";
  int error = 0;
  PCRE2_SIZE offset = 0;
  // A generated text may end in the middle of a character: nothing matches there.
  const std::string translated = TranslatePythonPattern(pattern, code_->where);
  code_->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                  PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &error, &offset, nullptr);
  if (code_->compiled == nullptr) {
    throw Error(ErrorKind::kSpec, code_->where + "pattern '" + code_->text + "' is more than PCRE2 can do: " +
                                      Message(error) + ". Write a simpler pattern.");
  }
  pcre2_pattern_info(code_->compiled, PCRE2_INFO_CAPTURECOUNT, &code_->groups);
}

TextPattern::TextPattern(TextPattern&&) noexcept = default;
TextPattern& TextPattern::operator=(TextPattern&&) noexcept = default;
TextPattern::~TextPattern() = default;

std::vector<std::vector<std::string>> TextPattern::FindAll(std::string_view text) const {
  std::vector<std::vector<std::string>> matches;
  code_->EachMatch(text, [&](const PCRE2_SIZE* bounds) {
    const uint32_t first = code_->groups == 0 ? 0 : 1;
    auto& groups = matches.emplace_back();
    for (uint32_t g = first; g <= code_->groups; ++g) {
      const bool is_set = bounds[2 * g] != PCRE2_UNSET;
      groups.emplace_back(is_set ? text.substr(bounds[2 * g], bounds[2 * g + 1] - bounds[2 * g]) : std::string_view());
    }
  });
  return matches;
}

std::string TextPattern::RemoveFrom(std::string_view text) const {
  std::string kept;
  size_t done = 0;
  code_->EachMatch(text, [&](const PCRE2_SIZE* bounds) {
    kept += text.substr(done, bounds[0] - done);
    done = bounds[1];
  });
  return kept += text.substr(done);
}

}  // namespace bitlaw
