#pragma once

#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A text that a spreadsheet would run as a formula ("=1+1", "@SUM(A1)", "-x"), with an apostrophe before it; any other as
/// it is. WriteCsv() guards texts and column names, ParseCsv() takes the apostrophe away again; numbers and
/// lists of them ("-1.5 -2") are left alone.
BITLAW_EXPORT std::string GuardedCsvText(const std::string& text);
BITLAW_EXPORT std::string UnguardedCsvText(std::string text);
/// A text as a CSV field: guarded, and in quotes where it needs them.
BITLAW_EXPORT std::string CsvField(const std::string& text);

}  // namespace bitlaw
