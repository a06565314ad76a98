#include <cmath>
#include <cstdio>
#include <map>
#include <memory>

#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/results/recorded_items.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "report/paired_table.h"

namespace bitlaw {
namespace {

struct PairedArguments {
  std::string source, trial, task, metric, format = "text", show, combine = "any";
  PairedSettings settings;
  int64_t items = 0;
};

// Both tables where people read; a file of CSV holds one.
std::string Shown(const PairedArguments& arguments) {
  if (arguments.show.empty()) return arguments.format == "csv" ? "tasks" : "both";
  if (arguments.show == "both" && arguments.format == "csv") {
    throw Error(ErrorKind::kSpec,
                "--show both --format csv: CSV holds one table. Choose --show verdicts or --show tasks.");
  }
  return arguments.show;
}

int ShowPaired(const PairedArguments& arguments, Session& session) {
  const std::string shown = Shown(arguments);
  PairedSettings settings = arguments.settings;
  if (shown == "verdicts") settings.resamples = 0;
  DegradationSettings verdict_settings{settings.confidence, ParseCombineBenchmarks(arguments.combine)};
  std::vector<TrialFlips> trials;
  std::map<std::string, size_t> places;  // Of trials among `trials`.
  size_t no_accuracy = 0;
  const RecordedItems recorded(arguments.source, session);
  ReportTable table = MakePairedTable({"trial", "task"}, settings);
  if (arguments.items > 0) table.header.push_back("detectable at " + std::to_string(arguments.items));
  std::map<std::string, std::vector<ItemScore>> baselines;  // By digest: many trials share one.
  size_t without = 0;
  for (const auto& entry : recorded.Select(arguments.trial, arguments.task)) {
    if (entry.quantizer == "none") continue;
    const RecordedItems::Entry* baseline = recorded.BaselineOf(entry);
    if (baseline == nullptr) {
      ++without;
      continue;
    }
    const TaskRecord record = recorded.Record(entry);
    auto [found, is_new] = baselines.try_emplace(baseline->digest);
    if (is_new) found->second = recorded.Items(recorded.Record(*baseline));
    const size_t index = MetricIndex(record.card, arguments.metric);
    const MetricCard& metric = record.card.metrics[index];
    const PairedDifference paired =
        ComparePaired(metric, index, found->second, recorded.Items(record), settings);
    const auto [place, is_first] = places.try_emplace(entry.trial, trials.size());
    if (is_first) trials.push_back({entry.trial, entry.label, entry.model, entry.quantizer, {}});
    if (metric.kind == MetricKind::kAccuracy) {
      trials[place->second].benchmarks.push_back(
          {entry.task, entry.stratum, paired.items, paired.only_first, paired.only_second});
    } else {
      ++no_accuracy;
    }
    std::vector<ReportCell> row = PairedRow({entry.label, entry.task}, metric, paired);
    if (arguments.items > 0) {
      // The deviation of a single item's difference, spread over that many.
      const double deviation = paired.standard_error * std::sqrt(static_cast<double>(paired.items));
      row.push_back(Fixed(DetectableDifference(deviation, arguments.items, settings), 4));
    }
    table.rows.push_back(std::move(row));
  }
  ReportTable verdicts = VerdictTable(JudgeDegradation(trials, verdict_settings), verdict_settings);
  if (no_accuracy > 0) {
    verdicts.notes.push_back(std::to_string(no_accuracy) +
                             " results are no accuracies (perplexities, say): no part of it");
  }
  ReportTable& last = shown == "verdicts" ? verdicts : table;
  if (without > 0) {
    last.notes.push_back(std::to_string(without) + " results have no unquantized model to compare with");
  }
  if (arguments.format == "csv") last.notes.clear();
  if (shown != "tasks") PrintReportTable(verdicts, arguments.format);
  if (shown == "both") std::fputs("\n", stdout);
  if (shown != "verdicts") PrintReportTable(table, arguments.format);
  return 0;
}

}  // namespace

void AddPairedVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PairedArguments>();
  CLI::App* verb =
      app.add_subcommand("paired", "Say which quantized models have got worse, and by how much, item by item");
  verb->add_option("study", arguments->source, "A study file, or the output folder of one")->required();
  verb->add_option("--trial", arguments->trial, "Trials by label or id; * and ? stand for any letters");
  verb->add_option("--task", arguments->task, "One task");
  verb->add_option("--metric", arguments->metric, "Another metric than the task's first");
  verb->add_option("--resamples", arguments->settings.resamples, "Of the bootstrap")
      ->capture_default_str()
      ->check(WholeNumber(0));
  verb->add_option("--seed", arguments->settings.seed, "Of the bootstrap")->capture_default_str();
  verb->add_option("--confidence", arguments->settings.confidence, "Of the interval and of the test")
      ->capture_default_str()
      ->check(Number(0.5, 0.9999));
  verb->add_option("--power", arguments->settings.power, "Chance with which a detectable difference is found")
      ->capture_default_str()
      ->check(Number(0.5, 0.9999));
  verb->add_option("--items", arguments->items, "Show what so many items could detect, too")
      ->check(WholeNumber(1));
  verb->add_option("--show", arguments->show,
                   "verdicts (degraded or not, a row a trial), tasks (a row a trial and task), or both. Default: both; "
                   "of csv tasks")
      ->check(OneOf({"verdicts", "tasks", "both"}));
  verb->add_option("--combine", arguments->combine,
                   "How a trial's benchmarks become one verdict: pooled, worst, fisher or any (docs/evaluation.md)")
      ->capture_default_str()
      ->check(OneOf(CombineBenchmarksNames()));
  verb->add_option("--format", arguments->format, "text, markdown or csv")
      ->capture_default_str()
      ->check(OneOf({"text", "markdown", "csv"}));
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return ShowPaired(*arguments, session); }; });
}

}  // namespace bitlaw
