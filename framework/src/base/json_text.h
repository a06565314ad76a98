#pragma once

#include <string>
#include <string_view>

#include "bitlaw/base/value.h"

namespace bitlaw {

/// The shortest text that reads back to the same double, always with '.', 'e' or a name ("nan", "inf").
std::string RealText(double value);

/// Appends `text` as a JSON string. Bytes that are not UTF-8 become U+FFFD.
void AppendJsonString(std::string_view text, std::string& out);

/// Appends null, a boolean, a number or a string. InternalError for nan and infinities, which JSON lacks.
void AppendJsonScalar(const Value& value, std::string& out);

}  // namespace bitlaw
