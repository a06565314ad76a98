#pragma once

#include <string>

#include "bitlaw/base/export.h"
#include "records/table.h"

namespace bitlaw {

/// Gives a table the column names of a law: "N=params_b*1e9,B=bits,acc_adj=score".
///
/// Each entry adds the column `name`, or replaces it: a copy of the column on the right, or an expression over columns
/// of numbers. Entries see the columns of the table as it came. Error(kSpec) for an entry without '=' or with an
/// unknown column.
BITLAW_EXPORT Table MapColumns(const Table& table, const std::string& map);

}  // namespace bitlaw
