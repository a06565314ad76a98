#include "fit/data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/data/accuracy_checks.h"
#include "fit/data/unset.h"
#include "fit/law/law_domain.h"
#include "fit/options/quoted_text.h"

namespace bitlaw {

std::string Name(ChanceRule rule) {
  switch (rule) {
    case ChanceRule::kLikelihood: return "likelihood";
    case ChanceRule::kExclude: return "exclude";
  }
  throw InternalError("ChanceRule out of range");
}

namespace {

// Columns of the observations that belong to a task rather than to its trial.
const std::set<std::string, std::less<>>& TaskColumns() {
  static const std::set<std::string, std::less<>> columns = {
      "task",  "stratum", "metric",  "metric_kind", "primary",        "value", "standard_error",
      "items", "chance",  "acc_adj", "limit",       "baseline_value", "record",
      "tasks", "baseline_acc_adj"};
  return columns;
}

double Missing() { return kUnset; }

// Sums what a mean over tasks needs.
struct TaskMeans {
  double value = 0, chance = 0, acc_adj = 0, variance = 0, items = 0, baseline_acc_adj = 0;
};

std::string TextAt(const Table& table, const char* column, size_t row) {
  const TableColumn* found = table.Find(column);
  return found == nullptr ? "" : table.CellText(*found, row);
}

double NumberAt(const Table& table, const char* column, size_t row) {
  const TableColumn* found = table.Find(column);
  return found == nullptr || found->is_text ? Missing() : found->numbers[row];
}

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
  std::string name = TextAt(table, "label", row);
  if (name.empty()) name = TextAt(table, "trial", row);
  if (name.empty()) return table.RowName(row);
  const std::string task = TextAt(table, "task", row);
  if (!task.empty()) name += ", " + task;
  const int line = table.SourceLine(row);
  return name + (line > 0 ? fmt::format(" (line {})", line) : "");
}

namespace {

// One row a trial: the means over `tasks`. Trials without all of them are counted, not averaged.
StratumData MeanOverTasks(const Table& table, const std::string& name, const std::vector<size_t>& rows) {
  StratumData stratum;
  stratum.name = name;
  std::map<std::string, std::map<std::string, size_t>> row_of;  // trial, task -> row
  std::vector<std::string> trials;
  for (const size_t row : rows) {
    const std::string trial = TextAt(table, "trial", row), task = TextAt(table, "task", row);
    if (std::find(stratum.tasks.begin(), stratum.tasks.end(), task) == stratum.tasks.end())
      stratum.tasks.push_back(task);
    if (!row_of.contains(trial)) trials.push_back(trial);
    if (!row_of[trial].emplace(task, row).second) {
      throw Error(ErrorKind::kSpec,
                  fmt::format("{}: trial '{}' has two primary rows for task '{}'. Each trial and task may "
                              "stand there once.",
                              table.origin().empty() ? "observations" : table.origin(), trial, task));
    }
  }
  stratum.incoming = trials.size();
  std::vector<size_t> first_rows;
  std::vector<TaskMeans> means;
  for (const std::string& trial : trials) {
    std::string absent;
    TaskMeans mean;
    const double count = static_cast<double>(stratum.tasks.size());
    for (const std::string& task : stratum.tasks) {
      const auto found = row_of[trial].find(task);
      const double acc_adj = found == row_of[trial].end() ? Missing() : NumberAt(table, "acc_adj", found->second);
      if (std::isnan(acc_adj)) {
        absent += (absent.empty() ? "" : ", ") + task;
        continue;
      }
      const size_t row = found->second;
      const double chance = NumberAt(table, "chance", row);
      mean.acc_adj += acc_adj / count;
      mean.value += NumberAt(table, "value", row) / count;
      mean.chance += chance / count;
      mean.items += NumberAt(table, "items", row);
      mean.variance += std::pow(NumberAt(table, "standard_error", row) / (1 - chance) / count, 2);
      mean.baseline_acc_adj += (NumberAt(table, "baseline_value", row) - chance) / (1 - chance) / count;
    }
    const size_t first = row_of[trial].begin()->second;
    if (!absent.empty()) {
      const std::string label = TextAt(table, "label", first);
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
    if (!column.is_text) {
      // A number that belongs to the trial is the same in all of its rows; others are means like the score.
      const std::vector<double>& numbers = table.Numbers(column.name);
      for (size_t i = 0; i < first_rows.size(); ++i) {
        double sum = 0;
        bool varies = false;
        const auto& row_of_task = row_of[TextAt(table, "trial", first_rows[i])];
        for (const auto& [task, row] : row_of_task) {
          sum += numbers[row];
          varies = varies || numbers[row] != numbers[first_rows[i]];
        }
        if (varies && !std::isnan(numbers[first_rows[i]]))
          column.numbers[i] = sum / static_cast<double>(row_of_task.size());
      }
    }
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
  std::vector<double> errors;
  for (const TaskMeans& mean : means) errors.push_back(std::sqrt(mean.variance));
  stratum.table.AddNumbers("standard_error", std::move(errors));
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
    const std::string task = TextAt(table, "task", row);
    if (std::find(stratum.tasks.begin(), stratum.tasks.end(), task) == stratum.tasks.end())
      stratum.tasks.push_back(task);
    const double chance = NumberAt(table, "chance", row);
    errors.push_back(NumberAt(table, "standard_error", row) / (1 - chance));
    baselines.push_back((NumberAt(table, "baseline_value", row) - chance) / (1 - chance));
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
    const std::string kind = TextAt(table, "metric_kind", row), task = TextAt(table, "task", row);
    if (!kind.empty() && kind != "accuracy") {
      other_kinds.insert(task + " (" + kind + ")");
      continue;
    }
    all.push_back(row);
    const std::string stratum = TextAt(table, "stratum", row);
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
    if (name != kGeneralStratum && name != kAllRows) continue;
    throw Error(ErrorKind::kSpec,
                fmt::format("{}: stratum = '{}' is a word of the reports: 'general' is the mean over all tasks, 'all' has "
                            "all rows. Call the stratum otherwise, or leave such rows out: --where \"stratum != '{}'\".",
                            table.Place(*stratum, row), name, name));
  }
}

}  // namespace

StrataData SplitStrata(const Table& table, bool average_tasks) {
  CheckStratumNames(table);
  StrataData data;
  const Table whole = WithAccuracy(table);
  if (whole.columns().size() > table.columns().size())
    data.notes.push_back("acc_adj was computed as " + AccuracyFormula(table) + ".");
  const bool observations =
      whole.Find("trial") != nullptr && whole.Find("task") != nullptr && whole.Find("acc_adj") != nullptr;
  if (observations) {
    StrataData split = SplitObservations(whole, average_tasks);
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
  }
  return data;
}

bool IsHeldOut(const TableColumn* hold_out, const Table& table, size_t row) {
  return hold_out != nullptr && table.Flag(*hold_out, row, false);
}

namespace {

struct Counts {
  std::vector<double> correct, total, chance;
  std::string why_none;
};

// The first of these columns that the table has and that holds numbers.
const std::vector<double>* FirstNumbers(const Table& table, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const TableColumn* column = table.Find(name);
    if (column != nullptr && !column->is_text) return &column->numbers;
  }
  return nullptr;
}

Counts CountsOf(const Table& table) {
  Counts counts;
  for (const char* name : {"correct", "total"}) {
    const TableColumn* column = table.Find(name);
    if (column == nullptr || !column->is_text) continue;
    counts.why_none = fmt::format("column '{}' holds texts{}", name,
                                  column->first_text.empty() ? "" : " (" + column->first_text + ")");
    return counts;
  }
  const auto* total = FirstNumbers(table, {"total", "items"});
  const auto* correct = FirstNumbers(table, {"correct"});
  const auto* value = FirstNumbers(table, {"value", "acc"});
  const auto* chance = FirstNumbers(table, {"chance"});
  const auto* tasks = FirstNumbers(table, {"tasks"});
  const auto* accuracy = FirstNumbers(table, {"acc_adj"});
  const auto* error = FirstNumbers(table, {"standard_error"});
  if (total == nullptr || (correct == nullptr && value == nullptr)) {
    counts.why_none = "the table has no counts (columns correct and total, or acc and items)";
    return counts;
  }
  if (chance == nullptr) {
    counts.why_none = "the table has counts but no column chance (0 where nothing can be guessed)";
    return counts;
  }
  for (size_t row = 0; row < table.rows(); ++row) {
    double n = (*total)[row], k = correct != nullptr ? (*correct)[row] : (*value)[row] * n;
    const double c = (*chance)[row];
    if (tasks != nullptr && (*tasks)[row] > 1 && accuracy != nullptr) {
      const double p = std::clamp(c + (1 - c) * (*accuracy)[row], 0.0, 1.0);
      const double spread = error == nullptr ? Missing() : (1 - c) * (*error)[row];
      if (spread > 0 && p > 0 && p < 1) n = p * (1 - p) / (spread * spread);
      k = p * n;
    }
    const bool is_count = n > 0 && k >= 0 && k <= n * (1 + 1e-12) && c >= 0 && c < 1;
    counts.total.push_back(is_count ? n : Missing());
    counts.correct.push_back(is_count ? std::min(k, n) : Missing());
    counts.chance.push_back(c);
  }
  return counts;
}

std::vector<double> WeightsOf(const Law& law, const Table& table, const std::string& weights) {
  if (weights.empty()) return {};
  if (weights != "item_errors") return table.Evaluate(Expression::Parse(weights));
  const Expression response = Expression::Parse(law.response());
  const std::vector<std::string> scope = response.names();
  const auto given = std::find(scope.begin(), scope.end(), "acc_adj");
  const bool is_accuracy = std::all_of(scope.begin(), scope.end(), [](const std::string& name) {
    return name == "acc_adj" || name == "baseline_acc_adj";  // The unquantized model's, taken as exact.
  });
  if (given == scope.end() || !is_accuracy) {
    throw Error(ErrorKind::kSpec, "weights: item_errors needs a response of acc_adj alone, but law '" + law.name() +
                                      "' has " + law.response() + ". Give an expression instead.");
  }
  const CompiledExpression compiled = response.Compile(scope);
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : scope) columns.push_back(&table.Numbers(name, "weights: item_errors"));
  const std::vector<double>& error = table.Numbers("standard_error", "weights: item_errors");
  std::vector<double> values;
  for (size_t row = 0; row < table.rows(); ++row) {
    std::vector<double> x, slopes(scope.size());
    for (const std::vector<double>* column : columns) x.push_back((*column)[row]);
    compiled.Number(x, {}, slopes);
    values.push_back(1 / std::pow(slopes[static_cast<size_t>(given - scope.begin())] * error[row], 2));
  }
  return values;
}

// Whether each row with counts is below chance beyond what guessing gives in so many rows.
std::vector<bool> BelowChance(const Counts& counts, size_t rows) {
  std::vector<bool> below(rows, false);
  if (counts.total.empty()) return below;
  const auto compared = static_cast<double>(
      std::count_if(counts.total.begin(), counts.total.end(), [](double total) { return !std::isnan(total); }));
  for (size_t row = 0; row < rows; ++row) {
    below[row] =
        GuessTail(counts.correct[row], counts.total[row], counts.chance[row]) * compared < kBelowChanceLevel;
  }
  return below;
}

std::string BelowChanceWarning(const std::vector<std::string>& names, bool far) {
  constexpr size_t kShown = 5;
  std::string list;
  for (size_t i = 0; i < std::min(kShown, names.size()); ++i) list += (i > 0 ? "; " : "") + names[i];
  if (names.size() > kShown) list += fmt::format("; and {} more", names.size() - kShown);
  return fmt::format(
      "{} row{} {}below chance, which guessing does not explain (binomial tail): {}. {}", names.size(),
      names.size() == 1 ? " is" : "s are", far ? "far " : "", list,
      far ? "Answers were probably not extracted, or choices mixed up; no fit has them"
          : "Look at how their answers are scored; the fits have them like other rows at chance");
}

// "3 of 40 rows have a loss that is not positive: row 9 (line 10): 0; ...". A law of a single column predicts what is
// measured of every row; where most are positive, those that are not were rather not measured. "" for accuracies, which
// can be 0, for differences, and for columns that are negative as often as not.
std::string NotPositiveWarning(const Table& table, const Expression& response, const std::vector<double>& y,
                               const std::vector<size_t>& rows, bool take_log) {
  static const std::set<std::string, std::less<>> accuracies = {"acc_adj", "acc", "value", "accuracy"};
  const std::vector<std::string> names = response.names();
  if (names.size() != 1 || response.Text() != QuotedName(names[0]) || accuracies.contains(names[0])) return "";
  constexpr size_t kShown = 5;
  size_t found = 0;
  std::string list;
  for (const size_t row : rows) {
    if (y[row] > 0) continue;
    if (found < kShown) list += (found > 0 ? "; " : "") + RowLabel(table, row) + ": " + ShortestText(y[row]);
    ++found;
  }
  if (found == 0 || 2 * found >= rows.size()) return "";
  if (found > kShown) list += fmt::format("; and {} more", found - kShown);
  return fmt::format("{} of {} rows {} a {} that is not positive: {}. {}", found, rows.size(),
                     found == 1 ? "has" : "have", response.Text(), list,
                     take_log ? "Left out, since a fit of the law takes the logarithm"
                              : "Kept, since no fit of the law takes the logarithm; if nothing was measured there, leave "
                                "them out: --where '" + response.Text() + " > 0'");
}

std::vector<double> Responses(const Law& law, const Table& table, const Expression& response) {
  try {
    return table.Evaluate(response);
  } catch (const Error& error) {
    const std::vector<std::string> names = response.names();
    const bool lacks = std::find(names.begin(), names.end(), "acc_adj") != names.end() && table.Find("acc_adj") == nullptr;
    throw Error(ErrorKind::kSpec,
                fmt::format("law '{}', response {}{}", law.name(), error.what(),
                            lacks ? " acc_adj follows from chance (0 where nothing can be guessed) and acc, or correct and "
                                    "total: add what is missing, with --map chance=0.25 for instance."
                                  : ""));
  }
}

// OutsideDomain() of the rows that have all covariates.
std::vector<bool> RowsOutside(const Law& law, const std::vector<const std::vector<double>*>& columns, size_t rows) {
  std::vector<double> x;
  std::vector<size_t> complete;
  for (size_t row = 0; row < rows; ++row) {
    const auto is_missing = [&](const std::vector<double>* column) { return !std::isfinite((*column)[row]); };
    if (std::any_of(columns.begin(), columns.end(), is_missing)) continue;
    complete.push_back(row);
    for (const std::vector<double>* column : columns) x.push_back((*column)[row]);
  }
  std::vector<bool> outside(rows, false);
  if (columns.empty()) return outside;
  const std::vector<bool> of_complete = OutsideDomain(law, x);
  for (size_t i = 0; i < complete.size(); ++i) outside[complete[i]] = of_complete[i];
  return outside;
}

}  // namespace

LawRows SelectRows(const Law& law, const Table& table, const RowOptions& options) {
  LawRows selected;
  const Expression response = Expression::Parse(law.response());
  const std::vector<double> y = Responses(law, table, response);
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : law.covariates()) {
    if (table.Find(name) == nullptr && IsTextTest(name)) {
      // A comparison with a text that could not be made into a column.
      try {
        table.Evaluate(Expression::Parse(name));
      } catch (const Error& error) {
        throw Error(ErrorKind::kSpec, fmt::format("law '{}': {}", law.name(), error.what()));
      }
    }
    if (table.Find(name) == nullptr) {
      throw Error(ErrorKind::kSpec,
                  fmt::format("law '{}' needs the column '{}', which {} lacks.{} Columns: {}. Name it with --map "
                              "{}=COLUMN if the table calls it otherwise.",
                              law.name(), name, table.origin().empty() ? "the table" : table.origin(),
                              DidYouMean(name, table.names()), JoinNames(table.names()), name));
    }
    columns.push_back(&table.Numbers(name, "law '" + law.name() + "'"));
  }

  const std::vector<std::string> response_names = response.names();
  const bool has_accuracy = std::find(response_names.begin(), response_names.end(), "acc_adj") != response_names.end();
  const TableColumn* accuracy = has_accuracy ? table.Find("acc_adj") : nullptr;
  const TableColumn* hold_out = table.Find("hold_out");
  const auto form = law.linear_form();
  std::vector<double> features(form ? form->columns.size() : 0);
  const std::vector<double> weights = WeightsOf(law, table, options.weights);

  Counts counts = CountsOf(table);
  const std::vector<bool> below = has_accuracy ? BelowChance(counts, table.rows()) : std::vector<bool>(table.rows());
  const auto* chance = FirstNumbers(table, {"chance"});
  std::vector<std::string> below_names, far_below_names;
  std::vector<size_t> measured;  // With a finite response.
  const std::vector<bool> outside = form ? std::vector<bool>(table.rows(), false) : RowsOutside(law, columns, table.rows());
  if (options.rule == ChanceRule::kExclude) counts.why_none = "the rule for accuracies at chance is to exclude them";
  if (counts.why_none.empty() && !ResponseInverse(law.response()).exists())
    counts.why_none = "no accuracy follows from the response " + law.response();
  selected.why_no_counts = counts.why_none;

  const auto shown = [](double value) { return fmt::format(": acc_adj = {:.6g}", value); };
  for (size_t row = 0; row < table.rows(); ++row) {
    const bool held_out = IsHeldOut(hold_out, table, row);
    (held_out ? selected.held_out_incoming : selected.incoming) += 1;
    auto& excluded = held_out ? selected.held_out_excluded : selected.excluded;
    const auto leave_out = [&](const std::string& reason, const std::string& value) {
      CountExclusion(excluded, reason, RowLabel(table, row) + value);
    };

    std::vector<double> x;
    std::string missing, infinite;
    for (size_t j = 0; j < columns.size(); ++j) {
      x.push_back((*columns[j])[row]);
      if (std::isnan(x.back())) missing += (missing.empty() ? "" : ", ") + law.covariates()[j];
      if (std::isinf(x.back())) infinite += (infinite.empty() ? "" : ", ") + law.covariates()[j];
    }
    if (!missing.empty()) {
      leave_out("no value of " + missing, "");
      continue;
    }
    if (!infinite.empty()) {
      leave_out("no finite value of " + infinite, "");
      continue;
    }
    const auto covariates = [&] {
      std::string values;
      for (size_t c = 0; c < x.size(); ++c)
        values += (c > 0 ? ", " : ": ") + law.covariates()[c] + " = " + ShortestText(x[c]);
      return values;
    };
    if (outside[row]) {
      leave_out("no finite value of the law", covariates());
      continue;
    }
    bool finite = true;
    if (form) {
      const double offset = law.LinearFeatures(x, features);
      finite = std::isfinite(offset);
      for (size_t j = 0; j < features.size() && finite; ++j) {
        if (std::isfinite(features[j])) continue;
        finite = false;
        leave_out("no finite value of " + form->columns[j].name, covariates());
      }
      if (!std::isfinite(offset)) leave_out("no finite value of the fixed part of the law", covariates());
    }
    if (!finite) continue;
    if (accuracy != nullptr) {
      const double value = accuracy->numbers[row];
      const std::string impossible = ExplainImpossibleAccuracy(value, chance == nullptr ? Missing() : (*chance)[row]);
      if (!impossible.empty()) {
        leave_out(impossible, shown(value));
        continue;
      }
      if (below[row]) {
        const bool far = value < kFarBelowChance;
        (far ? far_below_names : below_names).push_back(RowLabel(table, row) + shown(value));
        if (far) {
          leave_out("accuracy far below chance, which guessing does not explain", shown(value));
          continue;
        }
      }
    }
    if (counts.why_none.empty() && !held_out && !std::isnan(counts.total[row])) {
      FitRows& into = selected.counted;
      into.x.insert(into.x.end(), x.begin(), x.end());
      into.y.push_back(std::isfinite(y[row]) ? y[row] : Missing());
      into.correct.push_back(counts.correct[row]);
      into.total.push_back(counts.total[row]);
      into.chance.push_back(counts.chance[row]);
      selected.counted_index.push_back(row);
    }
    if (accuracy != nullptr) {
      const double value = accuracy->numbers[row];
      if (std::isnan(value)) {
        leave_out("no value of acc_adj", "");
        continue;
      }
      if (value <= 0 || value >= 1) selected.complete_index.push_back(row);
      if (value <= 0) {
        if (!held_out) ++selected.at_chance;
        leave_out("accuracy at or below chance (acc_adj <= 0)", shown(value));
        continue;
      }
      if (value >= 1) {
        leave_out("accuracy of 1 or more (acc_adj >= 1)", shown(value));
        continue;
      }
    }
    if (!std::isfinite(y[row])) {
      leave_out("no finite response " + law.response(), "");
      continue;
    }
    measured.push_back(row);
    if (options.take_log && !(y[row] > 0)) {
      leave_out("response " + law.response() + " not positive, and the fit takes its logarithm",
                ": " + ShortestText(y[row]));
      continue;
    }
    if (!weights.empty() && !(weights[row] > 0 && std::isfinite(weights[row]))) {
      leave_out("no positive weight " + options.weights, ": " + ShortestText(weights[row]));
      continue;
    }
    selected.complete_index.push_back(row);
    FitRows& into = held_out ? selected.held_out : selected.fit;
    into.x.insert(into.x.end(), x.begin(), x.end());
    into.y.push_back(y[row]);
    if (!weights.empty()) into.weights.push_back(weights[row]);
    (held_out ? selected.held_out_index : selected.fit_index).push_back(row);
  }
  if (!far_below_names.empty()) selected.warnings.push_back(BelowChanceWarning(far_below_names, true));
  if (!below_names.empty()) selected.warnings.push_back(BelowChanceWarning(below_names, false));
  const std::string not_positive = NotPositiveWarning(table, response, y, measured, options.take_log);
  if (!not_positive.empty()) selected.warnings.push_back(not_positive);
  if (selected.counted_index.empty() && selected.why_no_counts.empty())
    selected.why_no_counts = "no row has counts of a law's covariates";
  return selected;
}

std::string ExplainConstantCovariate(const Law& law, const FitRows& rows) {
  const size_t c = law.covariates().size();
  if (rows.size() == 0) return "";
  for (size_t j = 0; j < c; ++j) {
    const double first = rows.x[j];
    bool varies = false;
    for (size_t i = 1; i < rows.size() && !varies; ++i) varies = rows.x[i * c + j] != first;
    if (!varies) {
      return fmt::format(
          "{} does not vary: it is {} in {}, so nothing can be said about how the response depends on it. Use a law "
          "without {}, or add rows with another value",
          law.covariates()[j], ShortestText(first),
          rows.size() == 1 ? "the only row" : fmt::format("all {} rows", rows.size()), law.covariates()[j]);
    }
  }
  return "";
}

}  // namespace bitlaw
