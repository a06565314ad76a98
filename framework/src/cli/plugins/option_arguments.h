#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/value.h"

namespace bitlaw {

/// A map from KEY=VALUE arguments; values are read as YAML, so that 3 is a number and true a truth value.
/// Error(kSpec) naming `flag` for an argument without '=' or a key given twice.
Value OptionsFromArguments(const std::vector<std::string>& arguments, const std::string& flag);

}  // namespace bitlaw
