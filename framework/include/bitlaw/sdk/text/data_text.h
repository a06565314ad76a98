#pragma once

#include <cstdint>
#include <string>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// The longest text that a template makes, in bytes: far beyond any model's context.
inline constexpr int64_t kMaxRenderedBytes = int64_t{16} << 20;

/// A number of a data file as Python's str() writes it, because published prompts are rendered there: 100000.0, 1e-05,
/// 1e+16, -0.0. The shortest digits that read back to the same double, with an exponent below 1e-4 and from 1e16 on.
BITLAW_EXPORT std::string NumberText(double value);

/// The text that a value of a data file has in a prompt, an answer, a choice or an id: strings as they are, integers in
/// their digits, reals as NumberText(), booleans as true / false. Null, lists and maps have none: see HasDataText().
BITLAW_EXPORT std::string DataText(const Value& value);
BITLAW_EXPORT bool HasDataText(const Value& value);

/// DataText() of a field of `row`; Error(kSpec) at the row's place if it has none.
/// `field` and `wanted_by` are how the sentence calls them: "answers", "option 'answers_field'".
BITLAW_EXPORT std::string DataTextOf(const Value& row, const Value& value, const std::string& field,
                                     const std::string& wanted_by);

}  // namespace bitlaw
