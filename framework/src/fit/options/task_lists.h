#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "records/table.h"

namespace bitlaw {

/// "a = 1, b = 2" as pairs of trimmed texts, in order. Error(kSpec), led by `where`, for a part that is not such a pair
/// or repeats a name. Empty parts are left out.
BITLAW_EXPORT std::vector<std::pair<std::string, std::string>> ParseAssignments(const std::string& text, char separator,
                                                                                const std::string& where);

/// The names of column `task`, each once, in order of appearance. Error(kSpec) if there is none.
BITLAW_EXPORT std::vector<std::string> TaskNames(const Table& table, const std::string& where);

/// Error(kSpec), with a "did you mean", for a name that is no task of the table.
BITLAW_EXPORT void CheckTaskName(const std::string& name, const std::vector<std::string>& tasks,
                                 const std::string& where);
template <typename Second>
void CheckTaskNames(const std::vector<std::pair<std::string, Second>>& given, const Table& table,
                    const std::string& where) {
  const std::vector<std::string> tasks = TaskNames(table, where);
  for (const auto& [name, unused] : given) CheckTaskName(name, tasks, where);
}

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

/// The table with another column `stratum`. Error(kSpec) for an unknown task or column.
BITLAW_EXPORT Table Regroup(const Table& table, const Grouping& grouping);

}  // namespace bitlaw
