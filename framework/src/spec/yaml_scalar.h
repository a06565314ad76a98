#pragma once

#include <string>
#include <string_view>

#include "bitlaw/base/value.h"

namespace bitlaw {

/// Reads a plain (unquoted) YAML scalar: true, false, integers, reals, else a string.
///
/// If readers of YAML 1.1 and 1.2 take `text` differently (010, 1_000, 1:30, 0x1F, yes, ~, NULL), or a number does
/// not fit its type, `fault` gets a sentence that says how to write it, and the result has no meaning.
Value ReadPlainScalar(std::string_view text, std::string* fault);

/// The fault of a map key that YAML 1.1 readers take for a boolean or null ('yes', 'on', '~'); "" if there is none.
std::string ExplainAmbiguousKey(std::string_view text);

}  // namespace bitlaw
