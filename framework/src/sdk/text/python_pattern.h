#pragma once

#include <string>
#include <string_view>

namespace bitlaw {

/// Writes a pattern of Python's `re` (version 3.11, str patterns, no flags beside the pattern's own) as one of PCRE2 that
/// matches the same texts with the same groups. The result says everything out: no class, anchor or flag of it means
/// different things in the two, or in two versions of PCRE2. It is for PCRE2_UTF without further options.
///
/// (?1) is understood in addition: Python refuses it, so it can't mean something else, and TeX needs braces in braces.
///
/// Errors   Error(kSpec) "`where`pattern '...' at character N: ..." for what Python's re refuses too, with its reason, and
///          for the few things that are refused here: \N{name}, surrogates, POSIX classes, counts above 65535, groups
///          nested deeper than 100. `where` ends in ": " or is empty.
std::string TranslatePythonPattern(std::string_view pattern, const std::string& where);

}  // namespace bitlaw
