#include "fit/options/grouping.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
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
    const auto sides = SplitAssignment(part);
    if (!sides)
      throw Error(ErrorKind::kSpec, where + ": '" + std::string(Trim(part)) + "' is not of the form name = value.");
    const auto same = [&](const auto& pair) { return pair.first == sides->first; };
    if (std::any_of(pairs.begin(), pairs.end(), same))
      throw Error(ErrorKind::kSpec, where + ": '" + sides->first + "' is there twice.");
    pairs.push_back(*sides);
  }
  return pairs;
}

std::string ExplainReservedStratum(std::string_view name) {
  if (name != kGeneralStratum && name != kAllRows) return "";
  return "is a word of the reports: 'general' is the mean over all tasks, 'all' has all rows";
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
  for (const auto& [stratum, listed] : ParseAssignments(text.substr(colon + 1), ';', where))
    grouping.strata.emplace_back(stratum, ParseTaskList(listed));
  CheckGrouping(grouping);
  return grouping;
}

std::string Text(const Grouping& grouping) {
  std::string strata;
  for (const auto& [stratum, tasks] : grouping.strata) {
    strata += (strata.empty() ? ": " : "; ") + stratum + " =";
    for (size_t i = 0; i < tasks.size(); ++i) strata += (i == 0 ? " " : ", ") + tasks[i];
  }
  return QuotedName(grouping.name) + strata;
}

void CheckGrouping(const Grouping& grouping) {
  const std::string where = "grouping '" + grouping.name + "'";
  if (grouping.strata.empty()) throw Error(ErrorKind::kSpec, where + " has no stratum.");
  std::set<std::string> seen;
  for (const auto& [stratum, tasks] : grouping.strata) {
    if (const std::string why = ExplainReservedStratum(stratum); !why.empty())
      throw Error(ErrorKind::kSpec, where + ": stratum '" + stratum + "' " + why + ". Call it otherwise.");
    for (const std::string& task : tasks) {
      if (!seen.insert(task).second) throw Error(ErrorKind::kSpec, where + ": task '" + task + "' is named twice.");
    }
  }
}

std::vector<std::string> ParseTaskList(const std::string& text) {
  std::vector<std::string> tasks;
  std::istringstream parts(text);
  std::string part;
  while (std::getline(parts, part, ',')) {
    if (!Trim(part).empty()) tasks.emplace_back(Trim(part));
  }
  return tasks;
}

}  // namespace bitlaw
