#include "fit/table/regroup.h"

#include <algorithm>
#include <map>

#include "bitlaw/base/error.h"

namespace bitlaw {

std::vector<std::string> TaskNames(const Table& table, const std::string& where) {
  const TableColumn& task = table.At("task", where);
  std::vector<std::string> names;
  for (size_t row = 0; row < table.rows(); ++row) {
    const std::string name = table.CellText(task, row);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

void CheckTaskName(const std::string& name, const std::vector<std::string>& tasks, const std::string& where) {
  if (std::find(tasks.begin(), tasks.end(), name) != tasks.end()) return;
  throw Error(ErrorKind::kSpec, where + " names the task '" + name + "', which the table does not have." +
                                    DidYouMean(name, tasks) + " Tasks: " + JoinNames(tasks) + ".");
}

Table Regroup(const Table& table, const Grouping& grouping) {
  const std::string where = "grouping '" + grouping.name + "'";
  std::vector<std::string> strata;
  if (grouping.strata.empty()) {
    const TableColumn& column = table.At(grouping.name, where);
    for (size_t row = 0; row < table.rows(); ++row) strata.push_back(table.CellText(column, row));
  } else {
    const std::vector<std::string> known = TaskNames(table, where);
    std::map<std::string, std::string> stratum_of;
    for (const auto& [stratum, tasks] : grouping.strata) {
      for (const std::string& task : tasks) {
        CheckTaskName(task, known, where);
        stratum_of[task] = stratum;
      }
    }
    const TableColumn& task = table.At("task", where);
    for (size_t row = 0; row < table.rows(); ++row) strata.push_back(stratum_of[table.CellText(task, row)]);
  }
  Table regrouped(table.origin());
  regrouped.KeepRowNames(table);
  for (const TableColumn& column : table.columns()) {
    if (column.name != "stratum") regrouped.Add(column);
  }
  regrouped.AddTexts("stratum", std::move(strata));
  return regrouped;
}

}  // namespace bitlaw
