#include "cli/study/plan_costs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/allowed_cores.h"
#include "base/text/counted.h"
#include "cli/common/output.h"
#include "cli/study/study_text.h"
#include "cost/measured_costs.h"
#include "run/claims/campaign.h"
#include "run/schedule/shares.h"
#include "run/schedule/whole_times.h"
#include "run/status/duration_text.h"

namespace bitlaw {
namespace {

constexpr size_t kMostTimings = 20'000;

bool OnCards(const Plan& plan) { return plan.study.compute.device != "cpu"; }

// A trial that is done in part is taken to lack as much of its evaluation as tasks are missing.
std::vector<ScheduledTrial> Scheduled(const Plan& plan, const PlanCosts& costs, const RecordedPairs* recorded, bool left) {
  std::vector<ScheduledTrial> trials;
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    if (left && costs.done[i]) continue;
    const Trial& trial = plan.trials[i];
    StageSeconds seconds = costs.trials[i].seconds;
    if (left && recorded != nullptr && !plan.study.tasks.empty()) {
      seconds[Stage::kEvaluate] *=
          1 - static_cast<double>(recorded->done_of(i)) / static_cast<double>(plan.study.tasks.size());
    }
    ScheduledTrial one;
    one.weight = WeightOf(plan, trial, seconds.sum());
    one.seconds = seconds.sum();
    one.statistics_s = seconds[Stage::kCalibrate];
    one.shared_statistics = costs.trials[i].shared_statistics;
    one.calibrates = trial.calibration.has_value();
    one.collects_statistics = trial.calibration.has_value() && trial.needs.any();
    trials.push_back(std::move(one));
  }
  return trials;
}

// By the order of claims; of too many trials by the longest first, and without what is reused.
Schedule ScheduleOf(const std::vector<ScheduledTrial>& trials, int workers, bool& is_played) {
  is_played = trials.size() <= kMostPlayed;
  if (is_played) return PlaySchedule(trials, static_cast<size_t>(workers));
  Schedule schedule;
  std::vector<double> seconds;
  std::set<std::string> groups, texts;
  for (const ScheduledTrial& trial : trials) {
    seconds.push_back(trial.seconds);
    schedule.work_s += trial.seconds;
    schedule.longest_s = std::max(schedule.longest_s, trial.seconds);
    groups.insert(trial.weight.group);
    if (trial.calibrates) texts.insert(trial.weight.group + "\n" + trial.weight.subgroup);
    schedule.statistics += trial.collects_statistics ? 1 : 0;
  }
  schedule.opened = trials.size();
  schedule.model_changes = groups.size();
  schedule.texts = texts.size();
  schedule.finish_s = ListSchedule({}, std::move(seconds), static_cast<size_t>(workers));
  return schedule;
}

void AddMemory(const Plan& plan, PlanCosts& costs) {
  double most = 0;
  std::string label;
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const TrialCost& cost = costs.trials[i];
    costs.record_bytes += cost.record_bytes;
    costs.kept_codes_bytes += cost.codes_bytes;
    costs.codes_in_hand_bytes = std::max(costs.codes_in_hand_bytes, cost.codes_bytes);
    if (cost.memory_bytes <= most) continue;
    most = cost.memory_bytes;
    label = plan.trials[i].label;
  }
  costs.codes_in_hand_bytes *= costs.workers;
  costs.worker_memory_bytes = most;
  std::map<std::string, int> on_device;
  int together = 0;
  for (const std::string& device : costs.devices) together = std::max(together, ++on_device[device]);
  costs.memory_bytes = most * together;
  if (costs.machine_memory_bytes <= 0 || costs.memory_bytes <= costs.machine_memory_bytes) return;
  const int fit = static_cast<int>(costs.machine_memory_bytes / most);
  std::string advice = "It needs a larger machine, evaluate: {stream_blocks: true}, compute: {dtype: bfloat16} or a smaller model";
  if (fit >= 1) advice = fmt::format("Give --workers {}", fit * static_cast<int>(on_device.size()));
  costs.warnings.push_back(fmt::format(
      "{} on {} may take {}, of which there are {}: up to {} each, by {}. {}.", Counted(together, "worker"),
      OnCards(plan) ? "one device" : "this machine", SizeText(costs.memory_bytes),
      SizeText(costs.machine_memory_bytes), SizeText(most), label, advice));
}

std::string Seconds(double seconds) {
  return seconds < 10 ? fmt::format("{:.2g} s", seconds) : DurationText(seconds);
}

std::string Gigaflops(double flops) { return fmt::format("{:.3g} GFLOP/s", 1e-9 * flops); }

Value ScheduleJson(const Schedule& schedule) {
  const auto count = [](size_t number) { return Value(static_cast<int64_t>(number)); };
  return Value::Map{{"work_s", schedule.work_s},
                    {"finish_s", schedule.finish_s},
                    {"longest_trial_s", schedule.longest_s},
                    {"models_opened", count(schedule.opened)},
                    {"model_changes", count(schedule.model_changes)},
                    {"calibration_texts", count(schedule.texts)},
                    {"statistics_collected", count(schedule.statistics)}};
}

// Takes the costs of trials from what some of them took; false, and nothing, if none was measured.
bool Measure(const CostModel& model, const Plan& plan, PlanCosts& costs) {
  std::vector<TrialCost> trials;
  std::vector<EstimatedTrial> estimated;
  std::map<std::string, size_t> by_id;
  for (const Trial& trial : plan.trials) {
    trials.push_back(model.Of(trial));
    by_id[trial.id] = estimated.size();
    estimated.push_back({trial.id, plan.models[trial.model].spec.name, trial.quantizer, trials.back().seconds});
  }
  MeasuredCosts measured(std::move(estimated), plan.study.tasks.size());
  measured.AddTimings(plan.study.output, kMostTimings);
  for (const auto& [id, seconds] : WholeTimes(plan.study.output)) {
    if (const auto found = by_id.find(id); found != by_id.end()) measured.AddWhole(found->second, seconds);
  }
  if (!measured.IsMeasured()) return false;
  for (size_t i = 0; i < trials.size(); ++i) trials[i].seconds = measured.Of(i);
  costs.trials = std::move(trials);
  costs.source = fmt::format("measured of {} of this study{}", Counted(measured.trials_seen(), "trial"),
                             measured.hosts().empty() ? "" : fmt::format(", on {}", fmt::join(measured.hosts(), ", ")));
  return true;
}

}  // namespace

PlanCosts CostsOf(const ResolvedStudy& resolved, const PluginHost& host, const RecordedPairs* recorded,
                  const CostArguments& arguments) {
  const Plan& plan = resolved.plan;
  PlanCosts costs;
  const int cores = AllowedCores(), threads = arguments.threads > 0 ? arguments.threads : cores;
  costs.workers = arguments.workers > 0 ? arguments.workers : ChosenWorkers(plan, threads);
  costs.threads = ThreadsOfWorker(threads, costs.workers);
  std::vector<std::string> devices;
  for (const DeviceSpec& device : plan.study.devices) devices.push_back(device.name);
  for (int i = 0; i < costs.workers; ++i) costs.devices.push_back(DeviceOfWorker(devices, static_cast<size_t>(i)));
  const bool is_here = arguments.machine.empty();
  const std::vector<std::vector<TaskWork>> tasks = CountWork(plan, host);
  costs.done.assign(plan.trials.size(), false);
  if (recorded != nullptr) {
    for (size_t i = 0; i < plan.trials.size(); ++i) costs.done[i] = recorded->done_of(i) == plan.study.tasks.size();
  }
  // At round rates what was measured is a factor that does not depend on what else the machine does now.
  bool is_measured = false;
  if (is_here) {
    costs.rates = OnCards(plan) ? Rates::OfCard() : Rates();
    is_measured = recorded != nullptr && Measure(CostModel(plan, resolved.evaluate, tasks, costs.rates), plan, costs);
    const Rates measured = Session::MeasuredRates(plan.study.compute, costs.threads, /*only_memory=*/is_measured);
    costs.machine_memory_bytes = measured.memory_bytes;
    if (!is_measured) costs.rates = measured;
  } else {
    costs.rates = ReadRates(arguments.machine);
    costs.machine_memory_bytes = costs.rates.memory_bytes;
  }
  if (!is_measured) {
    const CostModel model(plan, resolved.evaluate, tasks, costs.rates);
    for (const Trial& trial : plan.trials) costs.trials.push_back(model.Of(trial));
    costs.source = fmt::format("products of {} with {}, {}", Gigaflops(costs.rates.flops(plan.study.compute.dtype)),
                               OnCards(plan) ? "a device" : Counted(costs.threads, "thread"), costs.rates.source);
  }
  size_t assumed = 0;
  for (const auto& row : tasks) assumed += !row.empty() && row.front().is_assumed;
  if (assumed > 0 && !is_measured) {
    costs.warnings.push_back(fmt::format("the texts of {} cannot be read here ('bitlaw check' says why): each is taken for "
                                         "{:.0f} tokens.",
                                         Counted(assumed, "task"), AssumedWork().tokens));
  }
  bool ignored = true;
  costs.all = ScheduleOf(Scheduled(plan, costs, recorded, false), costs.workers, costs.is_played);
  const std::vector<ScheduledTrial> left = Scheduled(plan, costs, recorded, true);
  costs.left = ScheduleOf(left, costs.workers, ignored);
  costs.left_one_s = ScheduleOf(left, 1, ignored).finish_s;
  if (!left.empty()) {
    costs.left.finish_s += costs.rates.start_s;
    costs.left_one_s += costs.rates.start_s;
  }
  AddMemory(plan, costs);
  if (!OnCards(plan) && is_here) {
    if (const std::string many = ExplainOversubscription(costs.workers, costs.threads, cores); !many.empty())
      costs.warnings.push_back(many);
  }
  return costs;
}

void PrintCosts(const Plan& plan, const PlanCosts& costs) {
  struct Row {
    size_t trials = 0;
    double least_s = INFINITY, most_s = 0, sum_s = 0, memory = 0, codes = 0;
  };
  std::map<std::pair<size_t, std::string>, Row> rows;
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const TrialCost& cost = costs.trials[i];
    Row& row = rows[{plan.trials[i].model, plan.trials[i].quantizer}];
    const double seconds = cost.seconds.sum();
    ++row.trials;
    row.least_s = std::min(row.least_s, seconds);
    row.most_s = std::max(row.most_s, seconds);
    row.sum_s += seconds;
    row.memory = std::max(row.memory, cost.memory_bytes);
    row.codes = std::max(row.codes, cost.codes_bytes);
  }
  Say(fmt::format("\ncosts, estimated: {}\n", costs.source));
  Say(fmt::format("{:>8}  {:>17}  {:>8}  {:>9}  {:>9}  {}\n", "trials", "time a trial", "together", "memory", "codes",
                  "model and quantizer"));
  for (const auto& [key, row] : rows) {
    const std::string least = Seconds(row.least_s), most = Seconds(row.most_s);
    Say(fmt::format("{:>8}  {:>17}  {:>8}  {:>9}  {:>9}  {} {}\n", row.trials, least == most ? most : least + " - " + most,
                    Seconds(row.sum_s), SizeText(row.memory), row.codes > 0 ? SizeText(row.codes) : "",
                    plan.models[key.first].spec.name, key.second));
  }
  const auto done = static_cast<size_t>(std::count(costs.done.begin(), costs.done.end(), true));
  if (done > 0 && done < plan.trials.size()) Say(fmt::format("of {} trials {} are recorded; below: the others\n", plan.trials.size(), done));
  if (done < plan.trials.size()) {
    Say(fmt::format("time      {} of one worker", DurationText(costs.left_one_s)));
    if (costs.workers > 1) Say(fmt::format(", {} of {}", DurationText(costs.left.finish_s), Counted(costs.workers, "worker")));
    Say(fmt::format("; the longest trial {}\n", Seconds(costs.left.longest_s)));
    Say(fmt::format("          {} opened, by workers that change their model {}; {} drawn, statistics collected {}{}\n",
                    Counted(costs.left.opened, "checkpoint"), Counted(costs.left.model_changes, "time"),
                    Counted(costs.left.texts, "calibration text"), Counted(costs.left.statistics, "time"),
                    costs.is_played ? "" : " (if no worker repeats another's; the order of so many trials is not played)"));
  }
  Say(fmt::format("memory    up to {} a worker, {} {}{}\n", SizeText(costs.worker_memory_bytes), SizeText(costs.memory_bytes),
                  OnCards(plan) ? "a device" : "in all",
                  costs.machine_memory_bytes > 0 ? ", of " + SizeText(costs.machine_memory_bytes) : ""));
  Say(fmt::format("disk      {} of records, {} of codes in hand; with keep: artifacts {} of codes\n", SizeText(costs.record_bytes),
                  SizeText(costs.codes_in_hand_bytes), SizeText(costs.kept_codes_bytes)));
  std::vector<std::string> shares;
  for (size_t i = 0; i < costs.devices.size() && i < 16; ++i) shares.push_back(costs.devices[i]);
  Say(fmt::format("workers   {} with {} each, on {}{}\n", costs.workers, Counted(costs.threads, "thread"), fmt::join(shares, ", "),
                  costs.devices.size() > shares.size() ? ", ..." : ""));
  for (const std::string& warning : costs.warnings) Say("warning: " + warning + "\n");
}

Value TrialCostJson(const TrialCost& cost) {
  Value map;
  for (size_t s = 0; s < kStages; ++s) {
    map.Set(std::string(Name(static_cast<Stage>(s))) + "_s", cost.seconds.of[s]);
  }
  map.Set("total_s", cost.seconds.sum());
  map.Set("memory_bytes", cost.memory_bytes);
  map.Set("codes_bytes", cost.codes_bytes);
  map.Set("record_bytes", cost.record_bytes);
  return map;
}

Value CostsJson(const Plan& plan, const PlanCosts& costs) {
  const Dtype dtype = plan.study.compute.dtype;
  return Value::Map{{"source", costs.source},
                    {"flops", costs.rates.flops(dtype)},
                    {"workers", costs.workers},
                    {"threads_of_worker", costs.threads},
                    {"devices", Value::List(costs.devices.begin(), costs.devices.end())},
                    {"all", ScheduleJson(costs.all)},
                    {"left", ScheduleJson(costs.left)},
                    {"left_one_worker_s", costs.left_one_s},
                    {"is_order_played", costs.is_played},
                    {"worker_memory_bytes", costs.worker_memory_bytes},
                    {"memory_bytes", costs.memory_bytes},
                    {"machine_memory_bytes", costs.machine_memory_bytes > 0 ? Value(costs.machine_memory_bytes) : Value()},
                    {"record_bytes", costs.record_bytes},
                    {"codes_in_hand_bytes", costs.codes_in_hand_bytes},
                    {"kept_codes_bytes", costs.kept_codes_bytes},
                    {"warnings", Value::List(costs.warnings.begin(), costs.warnings.end())}};
}

}  // namespace bitlaw
