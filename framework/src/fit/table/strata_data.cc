#include "fit/table/strata_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/table/baseline.h"
#include "fit/table/task_signal.h"
#include "fit/table/unset.h"
#include "records/responses/item_responses.h"

namespace bitlaw {

namespace {

// Columns of the observations that belong to a task rather than to its trial.
const std::set<std::string, std::less<>>& TaskColumns() {
  static const std::set<std::string, std::less<>> columns = [] {
    std::set<std::string, std::less<>> names = {
        "task",  "stratum", "metric",  "metric_kind", "primary",        "value", "standard_error",
        "items", "chance",  "acc_adj", "limit",       "baseline_value", "record",
        "tasks", "baseline_acc_adj"};
    for (const ItemResponseColumn& column : ItemResponseColumns()) names.insert(column.name);
    return names;
  }();
  return columns;
}

// A trial's columns that are means or sums over its tasks.
struct TaskMeans {
  double value = 0, chance = 0, items = 0, acc_adj = 0, standard_error = 0, baseline_acc_adj = 0;
};

}  // namespace

void CountExclusion(std::vector<Exclusion>& exclusions, const std::string& reason, const std::string& example) {
  for (Exclusion& exclusion : exclusions) {
    if (exclusion.reason == reason) {
      ++exclusion.rows;
      return;
    }
  }
  exclusions.push_back({reason, example, 1});
}

std::string RowLabel(const Table& table, size_t row) {
  std::string name = table.TextAt("label", row);
  if (name.empty()) name = table.TextAt("trial", row);
  if (name.empty()) return table.RowName(row);
  const std::string task = table.TextAt("task", row);
  if (!task.empty()) name += ", " + task;
  const int line = table.SourceLine(row);
  return name + (line > 0 ? fmt::format(" (line {})", line) : "");
}

namespace {

// Rows by trial and task.
struct TrialRows {
  std::vector<std::string> trials, tasks;  // In order of first appearance.
  std::map<std::string, std::map<std::string, size_t>> row_of;  // trial, task -> row
};

TrialRows RowsByTrial(const Table& table, const std::vector<size_t>& rows) {
  TrialRows found;
  for (const size_t row : rows) {
    const std::string trial = table.TextAt("trial", row), task = table.TextAt("task", row);
    if (std::find(found.tasks.begin(), found.tasks.end(), task) == found.tasks.end()) found.tasks.push_back(task);
    if (!found.row_of.contains(trial)) found.trials.push_back(trial);
    if (!found.row_of[trial].emplace(task, row).second) {
      throw Error(ErrorKind::kSpec,
                  fmt::format("{}: trial '{}' has two primary rows for task '{}'. Each trial and task may "
                              "stand there once.",
                              table.origin().empty() ? "observations" : table.origin(), trial, task));
    }
  }
  return found;
}

// A number that belongs to the trial is the same in all of its rows; others become means like the score. `column` has
// the rows `first_rows` of the table, one a trial.
void AverageOverTasks(const Table& table, const TrialRows& by_trial, const std::vector<size_t>& first_rows,
                      TableColumn& column) {
  const std::vector<double>& numbers = table.Numbers(column.name);
  for (size_t i = 0; i < first_rows.size(); ++i) {
    double sum = 0;
    bool varies = false;
    const auto& row_of_task = by_trial.row_of.at(table.TextAt("trial", first_rows[i]));
    for (const auto& [task, row] : row_of_task) {
      sum += numbers[row];
      varies = varies || numbers[row] != numbers[first_rows[i]];
    }
    if (varies && !std::isnan(numbers[first_rows[i]])) column.numbers[i] = sum / static_cast<double>(row_of_task.size());
  }
}

// acc_adj of a row's unquantized model on the row's task.
double BaselineAt(const Table& table, size_t row, double chance) {
  const double value = table.NumberAt("baseline_value", row);
  return std::isnan(value) ? table.NumberAt(kBaselineAccuracy, row) : ChanceAdjusted(value, chance);
}

// What items tell beside their accuracy, over the tasks that tell it for some trial: the mean, its error, and in a
// column of its own how many tasks these are. A trial that lacks one of them has none. `first_rows`: one a trial.
void AddItemResponses(const Table& table, const TrialRows& by_trial, const std::vector<size_t>& first_rows,
                      Table& out) {
  std::vector<std::string> telling;  // Of the last column that is no error.
  for (const ItemResponseColumn& column : ItemResponseColumns()) {
    const TableColumn* found = table.Find(column.name);
    if (found == nullptr || found->is_text) continue;
    const auto rows_of = [&](size_t first) -> const auto& { return by_trial.row_of.at(table.TextAt("trial", first)); };
    if (!column.is_error) {
      telling.clear();
      for (const std::string& task : by_trial.tasks) {
        const auto tells = [&](size_t first) {
          const auto row = rows_of(first).find(task);
          return row != rows_of(first).end() && !std::isnan(found->numbers[row->second]);
        };
        if (std::any_of(first_rows.begin(), first_rows.end(), tells)) telling.push_back(task);
      }
    }
    const double count = static_cast<double>(telling.size());
    std::vector<double> means;
    for (const size_t first : first_rows) {
      double sum = 0;
      for (const std::string& task : telling) {
        const double value = found->numbers[rows_of(first).at(task)];
        sum += column.is_error ? value * value : value;
      }
      means.push_back(telling.empty() ? kUnset : (column.is_error ? std::sqrt(sum) : sum) / count);
    }
    out.AddNumbers(column.name, std::move(means));
    const std::string tasks = TasksTelling(column.name);
    if (tasks == std::string(column.name) + "_tasks")
      out.AddNumbers(tasks, std::vector<double>(first_rows.size(), count));
  }
}

// One row a trial: the means over `tasks`. Trials without all of them are counted, not averaged.
StratumData MeanOverTasks(const Table& table, const std::string& name, const std::vector<size_t>& rows) {
  const TrialRows by_trial = RowsByTrial(table, rows);
  StratumData stratum;
  stratum.name = name;
  stratum.tasks = by_trial.tasks;
  stratum.incoming = by_trial.trials.size();
  std::vector<size_t> first_rows;
  std::vector<TaskMeans> means;
  for (const std::string& trial : by_trial.trials) {
    const std::map<std::string, size_t>& row_of_task = by_trial.row_of.at(trial);
    std::string absent;
    TaskMeans mean;
    StratumMean score, baseline;
    const double count = static_cast<double>(stratum.tasks.size());
    for (const std::string& task : stratum.tasks) {
      const auto found = row_of_task.find(task);
      const double acc_adj = found == row_of_task.end() ? kUnset : table.NumberAt("acc_adj", found->second);
      if (std::isnan(acc_adj)) {
        absent += (absent.empty() ? "" : ", ") + task;
        continue;
      }
      const size_t row = found->second;
      const double chance = table.NumberAt("chance", row);
      score.Add(acc_adj, ChanceAdjustedError(table.NumberAt("standard_error", row), chance));
      baseline.Add(BaselineAt(table, row, chance), 0);
      mean.value += table.NumberAt("value", row) / count;
      mean.chance += chance / count;
      mean.items += table.NumberAt("items", row);
    }
    mean.acc_adj = score.acc_adj();
    mean.standard_error = score.standard_error();
    mean.baseline_acc_adj = baseline.acc_adj();
    const size_t first = row_of_task.begin()->second;
    if (!absent.empty()) {
      const std::string label = table.TextAt("label", first);
      CountExclusion(stratum.incomplete, "no score for " + absent, label.empty() ? "trial " + trial : label);
      continue;
    }
    first_rows.push_back(first);
    means.push_back(mean);
  }
  const Table firsts = table.Rows(first_rows);
  stratum.table = Table(table.origin());
  for (TableColumn column : firsts.columns()) {
    if (TaskColumns().contains(column.name)) continue;
    if (!column.is_text) AverageOverTasks(table, by_trial, first_rows, column);
    stratum.table.Add(std::move(column));
  }
  const auto add = [&](const char* column, double TaskMeans::*member) {
    std::vector<double> numbers;
    for (const TaskMeans& mean : means) numbers.push_back(mean.*member);
    stratum.table.AddNumbers(column, std::move(numbers));
  };
  stratum.table.AddTexts("stratum", std::vector<std::string>(means.size(), name));
  stratum.table.AddNumbers("tasks", std::vector<double>(means.size(), static_cast<double>(stratum.tasks.size())));
  add("value", &TaskMeans::value);
  add("items", &TaskMeans::items);
  add("chance", &TaskMeans::chance);
  add("acc_adj", &TaskMeans::acc_adj);
  add("baseline_acc_adj", &TaskMeans::baseline_acc_adj);
  add("standard_error", &TaskMeans::standard_error);
  AddItemResponses(table, by_trial, first_rows, stratum.table);
  return stratum;
}

// One row a trial and task, with what an average over one task has.
StratumData RowsAsTheyAre(const Table& table, const std::string& name, const std::vector<size_t>& rows) {
  StratumData stratum;
  stratum.name = name;
  stratum.incoming = rows.size();
  const Table kept = table.Rows(rows);
  stratum.table = Table(table.origin());
  stratum.table.KeepRowNames(kept);
  for (const TableColumn& column : kept.columns()) {
    if (column.name != "standard_error" && column.name != "stratum" && column.name != "tasks")
      stratum.table.Add(column);
  }
  std::vector<double> errors, baselines;
  for (const size_t row : rows) {
    const std::string task = table.TextAt("task", row);
    if (std::find(stratum.tasks.begin(), stratum.tasks.end(), task) == stratum.tasks.end())
      stratum.tasks.push_back(task);
    const double chance = table.NumberAt("chance", row);
    errors.push_back(ChanceAdjustedError(table.NumberAt("standard_error", row), chance));
    baselines.push_back(BaselineAt(table, row, chance));
  }
  stratum.table.AddNumbers("standard_error", std::move(errors));
  stratum.table.AddTexts("stratum", std::vector<std::string>(rows.size(), name));
  stratum.table.AddNumbers("tasks", std::vector<double>(rows.size(), 1));
  if (stratum.table.Find("baseline_acc_adj") == nullptr)
    stratum.table.AddNumbers("baseline_acc_adj", std::move(baselines));
  return stratum;
}

StrataData SplitObservations(const Table& table, bool average_tasks) {
  StrataData data;
  std::map<std::string, std::vector<size_t>> rows_of;
  std::vector<std::string> order;
  std::vector<size_t> all;
  std::set<std::string> other_kinds, without_stratum;
  const TableColumn* primary = table.Find("primary");
  for (size_t row = 0; row < table.rows(); ++row) {
    if (primary != nullptr && !table.Flag(*primary, row, true)) continue;
    const std::string kind = table.TextAt("metric_kind", row), task = table.TextAt("task", row);
    if (!kind.empty() && kind != "accuracy") {
      other_kinds.insert(task + " (" + kind + ")");
      continue;
    }
    all.push_back(row);
    const std::string stratum = table.TextAt("stratum", row);
    if (stratum.empty()) {
      without_stratum.insert(task);
      continue;
    }
    if (!rows_of.contains(stratum)) order.push_back(stratum);
    rows_of[stratum].push_back(row);
  }
  const auto make = average_tasks ? MeanOverTasks : RowsAsTheyAre;
  for (const std::string& stratum : order) data.strata.push_back(make(table, stratum, rows_of[stratum]));
  // With a single stratum that holds every task, the pool would only repeat it.
  if (order.size() != 1 || !without_stratum.empty()) {
    data.strata.push_back(make(table, kGeneralStratum, all));
    data.strata.back().is_pool = true;
  }
  const auto joined = [](const std::set<std::string>& names) { return JoinNames({names.begin(), names.end()}); };
  if (!other_kinds.empty()) {
    data.notes.push_back("Not part of any stratum, because the score is no accuracy: " + joined(other_kinds) + ".");
  }
  if (!without_stratum.empty()) {
    data.notes.push_back("In '" + std::string(kGeneralStratum) +
                         "' only, because their task names no stratum: " + joined(without_stratum) + ".");
  }
  return data;
}

}  // namespace

std::string AccuracyFormula(const Table& table) {
  const auto has = [&](const std::string& name) {
    const TableColumn* column = table.Find(name);
    return column != nullptr && !column->is_text;
  };
  if (table.Find("acc_adj") != nullptr || !has("chance")) return "";
  if (has("acc")) return "(acc - chance) / (1 - chance)";
  for (const std::string total : {"total", "items"}) {
    if (has("correct") && has(total)) return "(correct / " + total + " - chance) / (1 - chance)";
  }
  return "";
}

Table WithAccuracy(Table table) {
  const std::string formula = AccuracyFormula(table);
  if (!formula.empty()) table.AddNumbers("acc_adj", table.Evaluate(Expression::Parse(formula)));
  return table;
}

namespace {

// Refuses strata that are called like those that SplitStrata() makes itself.
void CheckStratumNames(const Table& table) {
  const TableColumn* stratum = table.Find("stratum");
  for (size_t row = 0; stratum != nullptr && row < table.rows(); ++row) {
    const std::string name = table.CellText(*stratum, row);
    const std::string why = ExplainReservedStratum(name);
    if (why.empty()) continue;
    throw Error(ErrorKind::kSpec, fmt::format("{}: stratum = '{}' {}. Call the stratum otherwise, or leave such rows out: "
                                              "--where \"stratum != '{}'\".",
                                              table.Place(*stratum, row), name, why, name));
  }
}

}  // namespace

StrataData SplitStrata(const Table& table, bool average_tasks) {
  CheckStratumNames(table);
  StrataData data;
  const Table scored = WithAccuracy(table);
  if (scored.columns().size() > table.columns().size())
    data.notes.push_back("acc_adj was computed as " + AccuracyFormula(table) + ".");
  const Table whole = WithBaseline(scored);
  const bool observations =
      whole.Find("trial") != nullptr && whole.Find("task") != nullptr && whole.Find("acc_adj") != nullptr;
  if (observations) {
    StrataData split = SplitObservations(WithTaskSignals(whole), average_tasks);
    split.notes.insert(split.notes.begin(), data.notes.begin(), data.notes.end());
    return split;
  }
  const auto add = [&](const std::string& name, const std::vector<size_t>& rows) {
    StratumData stratum;
    stratum.name = name;
    stratum.table = whole.Rows(rows);
    stratum.incoming = rows.size();
    data.strata.push_back(std::move(stratum));
  };
  std::vector<size_t> all(whole.rows());
  for (size_t row = 0; row < all.size(); ++row) all[row] = row;
  if (whole.Find("stratum") != nullptr) {
    const std::vector<std::string> by = {"stratum"};
    for (const Table::Group& group : whole.GroupBy(by)) {
      if (!group.key[0].empty()) add(group.key[0], group.rows);
    }
  }
  if (data.strata.size() != 1 || data.strata[0].incoming != whole.rows()) {
    add(kAllRows, all);
    data.strata.back().is_pool = true;
  }
  return data;
}

bool IsHeldOut(const TableColumn* hold_out, const Table& table, size_t row) {
  return hold_out != nullptr && table.Flag(*hold_out, row, false);
}

}  // namespace bitlaw
