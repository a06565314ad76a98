#include "fit/options/task_lists.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "fit/options/quoted_text.h"

namespace bitlaw {

std::vector<std::pair<std::string, std::string>> ParseAssignments(const std::string& text, char separator,
                                                                  const std::string& where) {
  std::vector<std::pair<std::string, std::string>> pairs;
  std::istringstream parts(text);
  std::string part;
  while (std::getline(parts, part, separator)) {
    if (Trim(part).empty()) continue;
    const size_t equals = part.find('=');
    std::string name, value;
    if (equals != std::string::npos) {
      name = Trim(std::string_view(part).substr(0, equals));
      value = Trim(std::string_view(part).substr(equals + 1));
    }
    if (name.empty() || value.empty())
      throw Error(ErrorKind::kSpec, where + ": '" + std::string(Trim(part)) + "' is not of the form name = value.");
    const auto same = [&](const auto& pair) { return pair.first == name; };
    if (std::any_of(pairs.begin(), pairs.end(), same))
      throw Error(ErrorKind::kSpec, where + ": '" + name + "' is there twice.");
    pairs.emplace_back(std::move(name), std::move(value));
  }
  return pairs;
}

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

Grouping ParseGrouping(const std::string& text) {
  Grouping grouping;
  const size_t colon = FindUnquoted(text, ":");
  grouping.name = UnquotedName(std::string_view(text).substr(0, colon));
  if (grouping.name.empty() || (colon == std::string::npos && FindUnquoted(text, "=") != std::string::npos)) {
    throw Error(ErrorKind::kSpec, "grouping '" + text +
                                      "' is neither a column nor of the form name: stratum = task, task; stratum = "
                                      "task.");
  }
  if (colon == std::string::npos) return grouping;
  const std::string where = "grouping '" + grouping.name + "'";
  std::map<std::string, std::string> stratum_of;
  for (const auto& [stratum, listed] : ParseAssignments(text.substr(colon + 1), ';', where)) {
    std::vector<std::string> tasks;
    std::istringstream parts(listed);
    std::string part;
    while (std::getline(parts, part, ',')) {
      const std::string task(Trim(part));
      if (task.empty()) continue;
      if (!stratum_of.emplace(task, stratum).second)
        throw Error(ErrorKind::kSpec, where + ": task '" + task + "' is named twice.");
      tasks.push_back(task);
    }
    grouping.strata.emplace_back(stratum, std::move(tasks));
  }
  if (grouping.strata.empty()) throw Error(ErrorKind::kSpec, where + " has no stratum.");
  return grouping;
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
