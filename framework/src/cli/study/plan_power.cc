#include "cli/study/plan_power.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "fit/refit/replicates.h"
#include "fit/study/degradation.h"
#include "fit/study/power.h"
#include "records/observations.h"
#include "records/record_store.h"

namespace bitlaw {
namespace {

constexpr double kAssumed[] = {0.02, 0.1, 0.3};
constexpr size_t kMostMeasured = 40;

struct PlannedTask {
  std::string name, stratum;
  int64_t items = 0;               // 0: its data are not here.
  std::vector<double> discordance;  // Of each column; NaN: not measured.
};

// Those whose first metric is an accuracy.
std::vector<PlannedTask> OpenTasks(const Plan& plan, const PluginHost& host, PlanPower& power) {
  std::vector<PlannedTask> tasks;
  std::vector<std::string> missing;
  for (const TaskSpec& spec : plan.study.tasks) {
    PlannedTask planned;
    try {
      const std::unique_ptr<Task> task = host.MakeTask(spec.component, spec.options, spec.context);
      if (task->card().metrics.empty() || task->card().metrics.front().kind != MetricKind::kAccuracy) continue;
      planned.name = task->card().name;
      planned.stratum = StratumOf(plan.study, task->card());
      planned.items = static_cast<int64_t>(task->Items().size());
    } catch (const Error&) {  // It may be going to run elsewhere; `check` says what is wrong.
      missing.push_back(spec.name);
      if (planned.name.empty()) continue;
    }
    tasks.push_back(std::move(planned));
  }
  if (!missing.empty())
    power.notes.push_back("the items of these tasks cannot be counted here ('bitlaw check' says why): " +
                          JoinNames(missing));
  return tasks;
}

// task -> the share of items on which each recorded trial and its unquantized model disagree, sorted.
std::map<std::string, std::vector<double>> Measured(const Plan& plan, const PluginHost& host,
                                                    const std::filesystem::path& output, PlanPower& power) {
  std::map<std::string, std::vector<double>> shares;
  if (!std::filesystem::is_directory(output)) return shares;
  const Table observations = Observations(plan, host, output);
  if (observations.rows() == 0) return shares;
  const StudyFlips flips = ReadStudyFlips(observations, RecordStore(output), kMostMeasured);
  for (const TrialFlips& trial : flips.trials) {
    for (const BenchmarkFlips& one : trial.benchmarks) {
      if (one.items == 0) continue;
      shares[one.task].push_back(static_cast<double>(one.lost + one.gained) / static_cast<double>(one.items));
    }
  }
  for (auto& [task, values] : shares) std::sort(values.begin(), values.end());
  power.measured_trials = flips.trials.size();
  return shares;
}

// A row of the given tasks, each with one column or more of discordance.
PlanPower::Row RowOf(std::string kind, std::string name, const std::vector<const PlannedTask*>& tasks,
                     const PowerArguments& arguments, const PairedSettings& settings, bool pool) {
  PlanPower::Row row;
  row.kind = std::move(kind);
  row.name = std::move(name);
  row.benchmarks = tasks.size();
  for (const PlannedTask* task : tasks) row.items += task->items;
  const bool all_here = std::all_of(tasks.begin(), tasks.end(), [](const PlannedTask* one) { return one->items > 0; });
  if (!all_here) row.items = 0;
  for (size_t column = 0; column < tasks.front()->discordance.size(); ++column) {
    std::vector<PlannedComparison> comparisons;
    double flips = 0;
    bool known = true;
    for (const PlannedTask* task : tasks) {
      known = known && !std::isnan(task->discordance[column]);
      comparisons.push_back({task->items, task->discordance[column]});
      flips += task->discordance[column] * static_cast<double>(task->items);
    }
    // All items as those of one benchmark.
    if (pool && all_here) comparisons = {{row.items, flips / static_cast<double>(row.items)}};
    const bool usable = known && (!pool || all_here);
    row.detectable.push_back(usable && all_here ? DetectableAccuracy(comparisons, settings) : std::nan(""));
    if (std::isnan(arguments.effect)) continue;
    row.items_for_effect.push_back(usable ? ItemsForEffect(comparisons, arguments.effect, settings) : 0);
  }
  return row;
}

std::string Percent(double share) { return fmt::format("{:.4g} %", 100 * share); }

}  // namespace

PlanPower PowerOf(const Plan& plan, const PluginHost& host, const std::filesystem::path& output,
                  const PowerArguments& arguments) {
  PlanPower power;
  for (const Trial& trial : plan.trials) power.quantized_trials += trial.quantizer != "none";
  if (power.quantized_trials == 0) return power;
  std::vector<PlannedTask> tasks = OpenTasks(plan, host, power);
  if (tasks.empty()) return power;
  std::map<std::string, std::vector<double>> measured;
  if (arguments.discordance.empty()) measured = Measured(plan, host, output, power);
  if (measured.empty()) {
    power.assumed = arguments.discordance;
    if (power.assumed.empty()) power.assumed.assign(std::begin(kAssumed), std::end(kAssumed));
  }
  std::set<size_t> with_baseline;
  for (const Trial& trial : plan.trials) {
    if (trial.quantizer == "none") with_baseline.insert(trial.model);
  }
  if (with_baseline.size() < plan.models.size())
    power.notes.push_back(
        "models without an unquantized trial ('none' under quantize) have nothing to be compared with");

  std::vector<const PlannedTask*> all;
  std::map<std::string, std::vector<const PlannedTask*>> strata;
  std::vector<std::string> order;
  for (PlannedTask& task : tasks) {
    task.discordance = power.assumed;
    const auto found = measured.find(task.name);
    if (!measured.empty()) task.discordance = {found == measured.end() ? std::nan("") : Quantile(found->second, 0.5)};
    PlanPower::Row row = RowOf("task", task.name, {&task}, arguments, arguments.paired, false);
    if (found != measured.end()) {
      row.discordance = task.discordance.front();
      row.least = found->second.front();
      row.most = found->second.back();
    }
    power.rows.push_back(std::move(row));
    all.push_back(&task);
    if (task.stratum.empty()) continue;
    if (!strata.contains(task.stratum)) order.push_back(task.stratum);
    strata[task.stratum].push_back(&task);
  }
  for (const std::string& name : order)
    power.rows.push_back(RowOf("stratum", name, strata[name], arguments, arguments.paired, false));
  // One-sided, at half the level (CombineBenchmarks::kAny), divided by the trials: that of Holm's first step.
  PairedSettings family = arguments.paired;
  family.confidence = 1 - (1 - arguments.paired.confidence) / static_cast<double>(power.quantized_trials);
  power.rows.push_back(RowOf("verdict", "all items", all, arguments, family, true));
  return power;
}

ReportTable PowerTable(const PlanPower& power, const PowerArguments& arguments) {
  ReportTable table;
  table.name = "power";
  table.title =
      "What the items can show: the smallest true difference of accuracy to the unquantized model that is found";
  const bool is_measured = power.assumed.empty();
  table.header = {"of", "items"};
  if (is_measured) {
    table.header.insert(table.header.end(), {"disagree", "least", "most", "detectable"});
  } else {
    for (const double share : power.assumed) table.header.push_back("at " + Percent(share));
  }
  if (!std::isnan(arguments.effect)) {
    const std::string wanted = fmt::format("items for {:g}", arguments.effect);
    if (is_measured) table.header.push_back(wanted);
    for (const double share : power.assumed) table.header.push_back(wanted + " at " + Percent(share));
  }
  for (const PlanPower::Row& row : power.rows) {
    const std::string name = row.kind == "task"      ? row.name
                             : row.kind == "stratum" ? fmt::format("{} (mean of {})", row.name, row.benchmarks)
                                                     : "verdict, " + Counted(power.quantized_trials, "trial");
    std::vector<ReportCell> cells = {name, row.items > 0 ? Whole(static_cast<double>(row.items)) : ReportCell("-")};
    if (is_measured)
      cells.insert(cells.end(), {Fixed(row.discordance, 3), Fixed(row.least, 3), Fixed(row.most, 3)});
    for (const double detectable : row.detectable) cells.push_back(Fixed(detectable, 4));
    for (const int64_t items : row.items_for_effect)
      cells.push_back(items > 0 ? Whole(static_cast<double>(items)) : ReportCell("-"));
    table.rows.push_back(std::move(cells));
  }
  table.notes.push_back(fmt::format("found with a chance of {:g} by a two-sided paired test at {:g} %",
                                    arguments.paired.power, 100 * arguments.paired.confidence));
  if (is_measured) {
    table.notes.push_back(
        fmt::format("disagree: share of items right in one model only, median of {}, and the least and "
                    "most of them; "
                    "--discordance 0.05 assumes another",
                    Counted(power.measured_trials, "recorded trial")));
  } else {
    table.notes.push_back(
        "at x %: if quantized and unquantized model disagree on so many items (assumed; little damage has 2 %, much 30 "
        "%)");
  }
  table.notes.push_back(
      fmt::format("verdict: over all items, one chance of a false alarm for {} together ('bitlaw paired', "
                  "docs/evaluation.md)",
                  Counted(power.quantized_trials, "trial")));
  if (!std::isnan(arguments.effect))
    table.notes.push_back("items for: of each benchmark, all alike; of the verdict of all benchmarks together");
  table.notes.insert(table.notes.end(), power.notes.begin(), power.notes.end());
  return table;
}

Value PowerJson(const PlanPower& power, const PowerArguments& arguments) {
  const auto whole = [](int64_t number) { return number > 0 ? Value(number) : Value(); };
  Value::List rows;
  for (const PlanPower::Row& row : power.rows) {
    Value::List detectable, needed;
    for (const double number : row.detectable) detectable.push_back(NumberOrNull(number));
    for (const int64_t number : row.items_for_effect) needed.push_back(whole(number));
    rows.push_back(Value::Map{{"kind", row.kind},
                              {"name", row.name},
                              {"benchmarks", static_cast<int64_t>(row.benchmarks)},
                              {"items", whole(row.items)},
                              {"discordance_median", NumberOrNull(row.discordance)},
                              {"discordance_least", NumberOrNull(row.least)},
                              {"discordance_most", NumberOrNull(row.most)},
                              {"detectable", std::move(detectable)},
                              {"items_for_effect", std::move(needed)}});
  }
  Value::List assumed(power.assumed.begin(), power.assumed.end()), notes(power.notes.begin(), power.notes.end());
  return Value::Map{{"confidence", arguments.paired.confidence},
                    {"power", arguments.paired.power},
                    {"effect", NumberOrNull(arguments.effect)},
                    {"assumed_discordance", std::move(assumed)},
                    {"measured_trials", static_cast<int64_t>(power.measured_trials)},
                    {"quantized_trials", static_cast<int64_t>(power.quantized_trials)},
                    {"rows", std::move(rows)},
                    {"notes", std::move(notes)}};
}

}  // namespace bitlaw
