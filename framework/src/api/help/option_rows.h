#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// "int", "choice", "group_map": the type of an option, as JSON has it.
BITLAW_EXPORT std::string_view Name(OptionType type);

/// One option in words, as tables show it.
struct OptionRow {
  std::string name, type, unit;
  std::string range;     ///< "2..8", ">= 1|row", "> 0.0, < 1.0", "fast|slow"; "" if any value will do.
  std::string fallback;  ///< "4", "none", "required", "true, ist: false"; "" of a group that has defaults alone.
  std::string doc;
  int depth = 0;  ///< Of an option within groups, how many.
};

/// Every option of a schema, those of groups after their group.
BITLAW_EXPORT std::vector<OptionRow> OptionRows(const OptionSchema& schema);

}  // namespace bitlaw
