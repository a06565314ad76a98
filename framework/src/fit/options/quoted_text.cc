#include "fit/options/quoted_text.h"

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

size_t FindUnquoted(std::string_view text, std::string_view characters, size_t from) {
  char quote = 0;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == quote) quote = 0;  // A doubled one opens the next part at once.
      continue;
    }
    if (i >= from && depth <= 0 && characters.find(c) != std::string_view::npos) return i;
    if (c == '\'' || c == '"' || c == '`') quote = c;
    if (c == '(') ++depth;
    if (c == ')') --depth;
  }
  return std::string_view::npos;
}

std::vector<std::string> SplitUnquoted(std::string_view text, char separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (true) {
    const size_t end = FindUnquoted(text, {&separator, 1}, begin);
    parts.emplace_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::optional<std::pair<std::string, std::string>> SplitAssignment(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  std::pair<std::string, std::string> sides{Trim(text.substr(0, equals)), Trim(text.substr(equals + 1))};
  if (sides.first.empty() || sides.second.empty()) return std::nullopt;
  return sides;
}

bool IsTextTest(const std::string& name) {
  if (name.find('=') == std::string::npos) return false;
  try {
    std::vector<std::string> tests;
    Expression::Parse(name).LiftTextTests(tests);
    return tests.size() == 1 && tests[0] == name;
  } catch (const Error&) {
    return false;  // A column of a name that only looks like one.
  }
}

}  // namespace bitlaw
