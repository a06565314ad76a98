#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Bytes as letters for text files, and back. RFC 4648, section 4: padded, no line breaks.
BITLAW_EXPORT std::string ToBase64(std::string_view bytes);
/// nullopt for a text that ToBase64() did not make.
BITLAW_EXPORT std::optional<std::string> FromBase64(std::string_view text);

}  // namespace bitlaw
