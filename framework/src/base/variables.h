#pragma once

#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Replaces every `${NAME}` by that environment variable. If one is not set or empty, returns "" and puts its name
/// into `unset`.
std::string ExpandVariables(const std::string& text, std::string* unset);

}  // namespace bitlaw
