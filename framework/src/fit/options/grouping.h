#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// "a = 1, b = 2" as pairs of trimmed texts, in order. Error(kSpec), led by `where`, for a part that is not such a pair
/// or repeats a name. Empty parts are left out.
BITLAW_EXPORT std::vector<std::pair<std::string, std::string>> ParseAssignments(const std::string& text, char separator,
                                                                                const std::string& where);

/// The name of the stratum of observations that is the mean over all tasks.
inline constexpr const char* kGeneralStratum = "general";
/// The name of the stratum of other tables that has all rows, one under the other.
inline constexpr const char* kAllRows = "all";
/// Why no other stratum may be called so: reports tell strata apart by name. "" if it may.
BITLAW_EXPORT std::string ExplainReservedStratum(std::string_view name);

/// Tasks in other strata than the table's.
///
///     by_format: choice = arc, hellaswag; free = gsm8k      tasks that are not named are in none
///     format                                                strata are the values of this column
struct BITLAW_EXPORT Grouping {
  std::string name;
  std::vector<std::pair<std::string, std::vector<std::string>>> strata;  ///< Empty: the column `name`.
};
/// Error(kSpec) for a text of another form, or a task that is named twice.
BITLAW_EXPORT Grouping ParseGrouping(const std::string& text);
/// A text that ParseGrouping() reads as this.
BITLAW_EXPORT std::string Text(const Grouping& grouping);
/// Error(kSpec) for a task that is named twice, a stratum with a reserved name, or where there is no stratum.
BITLAW_EXPORT void CheckGrouping(const Grouping& grouping);

/// "arc, hellaswag" as trimmed texts, in order. Empty parts are left out.
BITLAW_EXPORT std::vector<std::string> ParseTaskList(const std::string& text);

}  // namespace bitlaw
