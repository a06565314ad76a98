#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/options/grouping.h"
#include "records/table.h"

namespace bitlaw {

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

/// The table with another column `stratum`. Error(kSpec) for an unknown task or column.
BITLAW_EXPORT Table Regroup(const Table& table, const Grouping& grouping);

}  // namespace bitlaw
