#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/common/unmatched_records.h"
#include "cli/study/plan_costs.h"
#include "cli/study/plan_power.h"
#include "cli/study/study_text.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "plan/plan.h"
#include "records/plan_records.h"
#include "records/record_store.h"
#include "resolve/resolved_study.h"
#include "spec/shapes.h"

namespace bitlaw {
namespace {

constexpr size_t kMaxListed = 200;

struct PlanArguments {
  std::string file;
  std::filesystem::path output, shapes;
  bool json = false;
  bool all = false;
  bool with_power = false;  ///< It opens every task and reads records: seconds of a large study.
  PowerArguments power;
  CostArguments cost;
};

/// Writes JSON piece by piece, so that a plan of any size needs no second copy in memory.
class JsonStream {
 public:
  void Raw(std::string_view text) {
    buffer_ += text;
    if (buffer_.size() > (1 << 16)) Flush();
  }
  void Text(std::string_view text) { Raw(Value(std::string(text)).CanonicalJson()); }
  void Number(double value) { Raw(std::isfinite(value) ? Value(value).CanonicalJson() : "null"); }
  void Flush() {
    std::fwrite(buffer_.data(), 1, buffer_.size(), stdout);
    buffer_.clear();
  }

 private:
  std::string buffer_;
};

void PrintJson(const Plan& plan, const std::vector<std::string>& notes, const std::optional<RecordedPairs>& recorded,
               const PlanCosts& costs, const Value& power) {
  JsonStream out;
  out.Raw("{\"study\":");
  out.Text(plan.study.name);
  out.Raw(",\"output\":");
  out.Text(plan.study.output.string());
  out.Raw(",\n\"models\":[");
  for (size_t i = 0; i < plan.models.size(); ++i) {
    const PlannedModel& model = plan.models[i];
    out.Raw(i == 0 ? "\n" : ",\n");
    Value entry;
    entry.Set("name", model.spec.name);
    entry.Set("path", model.spec.path.string());
    entry.Set("backend", model.spec.backend);
    entry.Set("family", model.spec.family);
    entry.Set("hold_out", model.spec.hold_out);
    entry.Set("parameters_total", model.summary.parameters_total);
    entry.Set("parameters_quantizable", model.summary.parameters_quantizable);
    entry.Set("stored_dtype", model.summary.stored_dtype);
    entry.Set("baseline_note", model.summary.baseline_note);
    out.Raw(entry.CanonicalJson());
  }
  out.Raw("],\n\"factors\":[");
  for (size_t i = 0; i < plan.factors.size(); ++i) {
    const FactorColumn& column = plan.factors[i];
    out.Raw(i == 0 ? "\n" : ",\n");
    out.Raw(Value(Value::Map{{"column", column.factor.column},
                             {"role", std::string(Name(column.factor.role))},
                             {"unit", column.factor.unit},
                             {"doc", column.factor.doc},
                             {"anchor", column.factor.anchor},
                             {"origin", column.origin}})
                .CanonicalJson());
  }
  out.Raw("],\n\"tasks\":[");
  for (size_t i = 0; i < plan.study.tasks.size(); ++i) {
    if (i > 0) out.Raw(",");
    out.Text(plan.study.tasks[i].name);
  }
  out.Raw("],\n\"trials\":[");
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const Trial& trial = plan.trials[i];
    out.Raw(i == 0 ? "\n{\"id\":" : ",\n{\"id\":");
    out.Text(trial.id);
    out.Raw(",\"label\":");
    out.Text(trial.label);
    out.Raw(",\"model\":");
    out.Text(plan.models[trial.model].spec.name);
    out.Raw(",\"quantizer\":");
    out.Text(trial.quantizer);
    out.Raw(",\"options\":");
    out.Raw(trial.quantizer_options.CanonicalJson());
    out.Raw(",\"axes\":");
    out.Raw(Value(Value::Map(trial.axes.begin(), trial.axes.end())).CanonicalJson());
    if (trial.calibration) {
      out.Raw(",\"calibration\":{\"corpus\":");
      out.Text(trial.calibration->corpus);
      out.Raw(fmt::format(",\"sequences\":{},\"tokens\":{},\"seed\":{}}}", trial.calibration->sequences,
                          trial.calibration->tokens, trial.calibration->seed));
    }
    out.Raw(",\"bits_requested\":");
    out.Number(trial.bits_requested);
    out.Raw(",\"bits_per_weight\":");
    out.Number(trial.bits_per_weight);
    out.Raw(",\"factors\":");
    Value::Map factors;
    for (const Factor& factor : plan.FactorsOf(trial)) factors.emplace_back(factor.column, factor.value);
    out.Raw(Value(std::move(factors)).CanonicalJson());
    if (recorded) out.Raw(fmt::format(",\"recorded_tasks\":{}", recorded->done_of(i)));
    out.Raw(",\"cost\":");
    out.Raw(TrialCostJson(costs.trials[i]).CanonicalJson());
    out.Raw("}");
  }
  out.Raw("],\n\"skipped\":[");
  for (size_t i = 0; i < plan.skipped.size(); ++i) {
    out.Raw(i == 0 ? "\n{\"label\":" : ",\n{\"label\":");
    out.Text(plan.skipped[i].label);
    out.Raw(",\"reason\":");
    out.Text(plan.skipped[i].reason);
    out.Raw("}");
  }
  out.Raw(fmt::format("],\n\"totals\":{{\"trials\":{},\"skipped\":{},\"left_out\":{},\"merged\":{},\"tasks\":{}", plan.trials.size(),
                      plan.skipped.size(), plan.left_out, plan.merged, plan.study.tasks.size()));
  if (recorded) out.Raw(fmt::format(",\"recorded\":{},\"to_record\":{}", recorded->done, recorded->total - recorded->done));
  out.Raw("},\n\"notes\":[");
  for (size_t i = 0; i < notes.size(); ++i) {
    if (i > 0) out.Raw(",");
    out.Text(notes[i]);
  }
  out.Raw("],\n\"costs\":");
  out.Raw(CostsJson(plan, costs).CanonicalJson());
  out.Raw(",\n\"power\":");
  out.Raw(power.CanonicalJson());
  out.Raw("}\n");
  out.Flush();
}

std::string RecordedText(const std::optional<RecordedPairs>& recorded, size_t trial, size_t tasks) {
  return fmt::format("{}/{}", recorded ? recorded->done_of(trial) : 0, tasks);
}

void PrintTrials(const Plan& plan, const std::optional<RecordedPairs>& recorded) {
  fmt::print("{:<12}  {:>11}  {:>9}  {:>8}  {}\n", "trial", "bits/weight", "size", "recorded", "label");
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const Trial& trial = plan.trials[i];
    fmt::print("{:<12}  {:>11.3f}  {:>9}  {:>8}  {}\n", trial.id, trial.bits_per_weight, SizeText(plan.FactorValue(trial, "size_bytes").AsReal()),
               RecordedText(recorded, i, plan.study.tasks.size()), trial.label);
  }
}

// One row a model and quantizer, for plans too long to read.
void PrintSummary(const Plan& plan, const std::optional<RecordedPairs>& recorded) {
  struct Row {
    size_t trials = 0, recorded = 0;
    double least_bits = INFINITY, most_bits = 0;
  };
  std::map<std::pair<size_t, std::string>, Row> rows;
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const Trial& trial = plan.trials[i];
    Row& row = rows[{trial.model, trial.quantizer}];
    ++row.trials;
    if (recorded) row.recorded += recorded->done_of(i);
    row.least_bits = std::min(row.least_bits, trial.bits_per_weight);
    row.most_bits = std::max(row.most_bits, trial.bits_per_weight);
  }
  fmt::print("{:>8}  {:>17}  {:>15}  {}\n", "trials", "bits/weight", "recorded", "model and quantizer");
  for (const auto& [key, row] : rows) {
    fmt::print("{:>8}  {:>17}  {:>15}  {} {}\n", row.trials, fmt::format("{:.3f} - {:.3f}", row.least_bits, row.most_bits),
               fmt::format("{}/{}", row.recorded, row.trials * plan.study.tasks.size()), plan.models[key.first].spec.name,
               key.second);
  }
  fmt::print("(--all lists every trial)\n");
}

void PrintSkipped(const Plan& plan, bool all) {
  if (plan.skipped.empty()) return;
  if (all || plan.skipped.size() <= kMaxListed) {
    fmt::print("\nskipped:\n");
    for (const SkippedCell& cell : plan.skipped) fmt::print("  {}: {}\n", cell.label, cell.reason);
    return;
  }
  std::map<std::string, size_t> reasons;
  for (const SkippedCell& cell : plan.skipped) ++reasons[cell.reason];
  std::vector<std::pair<size_t, std::string>> by_count;
  for (const auto& [reason, count] : reasons) by_count.emplace_back(count, reason);
  std::sort(by_count.rbegin(), by_count.rend());
  fmt::print("\nskipped, by reason:\n");
  for (size_t i = 0; i < std::min<size_t>(by_count.size(), 20); ++i) {
    fmt::print("  {:>7} x {}\n", by_count[i].first, by_count[i].second);
  }
  if (by_count.size() > 20) fmt::print("  and {} more reasons (--all lists every cell)\n", by_count.size() - 20);
}

int ShowPlan(Session& session, const PlanArguments& arguments) {
  const PluginHost& host = session.plugins();
  if (!arguments.shapes.empty() && !std::filesystem::is_directory(arguments.shapes)) {
    throw Error(ErrorKind::kIo, "--shapes " + arguments.shapes.string() +
                                    ": is no folder. Name one that holds a folder with config.json for each model, such as "
                                    "configs/shapes.");
  }
  StudySpec study = arguments.shapes.empty()
                        ? ReadStudy(arguments.file, host, session.SearchFolders())
                        : ReadStudyFromShapes(arguments.file, host, session.SearchFolders(), arguments.shapes);
  if (!arguments.output.empty()) study.output = std::filesystem::absolute(arguments.output).lexically_normal();
  const ResolvedStudy resolved = Resolve(study, host, nullptr);  // It may be going to run elsewhere.
  const Plan& plan = resolved.plan;
  std::optional<RecordedPairs> recorded;
  const bool is_here = std::none_of(plan.models.begin(), plan.models.end(),
                                    [](const PlannedModel& model) { return IsShapesOnly(model.spec); });
  if (is_here && std::filesystem::is_directory(plan.study.output)) {
    recorded = RecordedTasks(plan, host, plan.study.output);
  }
  std::vector<std::string> notes = plan.notes;
  if (recorded && recorded->done == 0 && RecordStore(plan.study.output).Count() > 0) {
    notes.push_back(UnmatchedRecords(plan, arguments.file));
  }
  const PlanCosts costs = CostsOf(resolved, host, recorded ? &*recorded : nullptr, arguments.cost);
  PlanPower power;
  if (arguments.with_power) power = PowerOf(plan, host, plan.study.output, arguments.power);
  if (arguments.json) {
    PrintJson(plan, notes, recorded, costs, arguments.with_power ? PowerJson(power, arguments.power) : Value());
    return 0;
  }
  fmt::print("study '{}': {}\n", plan.study.name, TotalsText(plan));
  for (const std::string& note : notes) fmt::print("note: {}\n", note);
  fmt::print("\n");
  if (arguments.all || plan.trials.size() <= kMaxListed) {
    PrintTrials(plan, recorded);
  } else {
    PrintSummary(plan, recorded);
  }
  PrintSkipped(plan, arguments.all);
  const size_t total = plan.trials.size() * plan.study.tasks.size(), done = recorded ? recorded->done : 0;
  fmt::print("\n{} x {} = {}; {} there, {} to make, in {}\n", Counted(plan.trials.size(), "trial"),
             Counted(plan.study.tasks.size(), "task"), Counted(total, "record"), done, total - done,
             plan.study.output.string());
  if (recorded) {
    for (const std::string& warning : recorded->warnings) fmt::print("warning: {}\n", warning);
  }
  PrintCosts(plan, costs);
  if (!power.rows.empty()) {
    fmt::print("\n");
    PrintReportTable(PowerTable(power, arguments.power), "text");
  } else if (!arguments.with_power) {
    fmt::print("(--detect: which differences of accuracy these items can show)\n");
  } else {
    fmt::print("no difference can be shown: no quantized trial, or no task whose first metric is an accuracy\n");
  }
  return 0;
}

}  // namespace

void AddPlanVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* verb = app.add_subcommand("plan",
                                      "List the trials of a study, what is skipped and why, what is recorded, what it "
                                      "takes, and (--detect) what differences its items can show");
  verb->add_option("spec", arguments->file, "Study file (docs/study.md)")->required();
  verb->add_option("--output", arguments->output, "Folder of records, in place of the study's own");
  verb->add_option("--shapes", arguments->shapes,
                   "Folder with a folder for each model that is not here, named as the last part of its path and "
                   "holding its config.json: plans without weights (configs/shapes)");
  verb->add_flag("--json", arguments->json, "Print every trial and skipped cell as one JSON document");
  CLI::Option* detect =
      verb->add_flag("--detect", arguments->with_power,
                     "Say which differences of accuracy the items can show; opens the tasks and reads records. The "
                     "four options below imply it");
  CLI::Option* power =
      verb->add_option("--power", arguments->power.paired.power, "Chance with which a detectable difference is found")
          ->capture_default_str()
          ->check(Number(0.5, 0.9999));
  CLI::Option* effect =
      verb->add_option("--effect", arguments->power.effect,
                       "A difference of accuracy that you want to find, 0.01 say: how many items it needs")
          ->check(Number(1e-6, 1.0));
  CLI::Option* discordance =
      verb->add_option(
              "--discordance", arguments->power.discordance,
              "Share of items on which quantized and unquantized model disagree, assumed; may be repeated. Default: "
              "measured from recorded trials; without them 0.02, 0.1 and 0.3")
          ->check(Number(1e-6, 1.0))
          ->allow_extra_args(false);
  CLI::Option* confidence = verb->add_option("--confidence", arguments->power.paired.confidence,
                                             "Of the test: 1 - the chance of a false alarm")
                                ->capture_default_str()
                                ->check(Number(0.5, 0.9999));
  verb->add_option("--workers", arguments->cost.workers, "Worker processes that costs are estimated for; 0: as `bitlaw run` chooses")
      ->check(WholeNumber(0, 100'000));
  verb->add_option("--threads", arguments->cost.threads,
                   "Threads of all workers together, likewise; 0: every core this process may use")
      ->check(WholeNumber(0, 1024));
  verb->add_option("--machine", arguments->cost.machine,
                   "File of another machine's rates, one of configs/machines for example, that costs are estimated by in "
                   "place of this one's and of what was measured")
      ->check(CLI::ExistingFile);
  verb->add_flag("--all", arguments->all, "List every trial, however many there are");
  verb->callback([&session, arguments, detect, power, effect, discordance, confidence] {
    for (const CLI::Option* option : {detect, power, effect, discordance, confidence})
      arguments->with_power = arguments->with_power || option->count() > 0;
    session.action = [&session, arguments] { return ShowPlan(session, *arguments); };
  });
}

}  // namespace bitlaw
