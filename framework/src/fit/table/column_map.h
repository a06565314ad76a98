#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "records/table.h"

namespace bitlaw {

/// Gives a table the column names of a law: "N=params_b*1e9,B=bits,acc_adj=score".
///
/// Each entry adds the column `name`, or replaces it: a copy of the column on the right, or an expression over columns,
/// in which a condition is 1 or 0. Entries are read from left to right: each sees the columns that those before it made
/// ("N=Model Size,C=FLOP,D=C/(6*N)"), and under a replaced name the new one. Names with spaces, commas or signs stand in
/// backquotes on both sides (`acc,none`); a right side that is the name of a column needs none. Error(kSpec) for an
/// entry without '=' or with an unknown column.
BITLAW_EXPORT Table MapColumns(const Table& table, const std::string& map);

/// The same by the `map:` of a study: names, and what stands on the right as a text or a number. Errors name the place in
/// the study's file.
BITLAW_EXPORT Table MapColumns(const Table& table, const std::vector<std::pair<std::string, Value>>& map);

}  // namespace bitlaw
