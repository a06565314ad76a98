#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Where the first of `characters` stands that no quotes ('...', "...", `...`) and no parentheses enclose; npos if
/// there is none.
BITLAW_EXPORT size_t FindUnquoted(std::string_view text, std::string_view characters, size_t from = 0);

/// The parts between separators that no quotes and no parentheses enclose: at least one, not trimmed.
BITLAW_EXPORT std::vector<std::string> SplitUnquoted(std::string_view text, char separator);

/// "a = 1" at its first '=', both sides trimmed; nothing where there is none or a side is empty.
BITLAW_EXPORT std::optional<std::pair<std::string, std::string>> SplitAssignment(std::string_view text);

/// Whether the name of a covariate is a comparison of a column with a text, as Expression::LiftTextTests() names it.
BITLAW_EXPORT bool IsTextTest(const std::string& name);

}  // namespace bitlaw
