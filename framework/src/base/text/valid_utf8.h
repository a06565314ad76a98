#pragma once

#include <string>
#include <string_view>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// `text` with every maximal ill-formed piece replaced by U+FFFD (Unicode 15, section 3.9).
BITLAW_EXPORT std::string ValidUtf8(std::string_view text);

}  // namespace bitlaw
