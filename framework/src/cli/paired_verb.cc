#include <cmath>
#include <map>
#include <memory>

#include "cli/common/recorded_items.h"
#include "cli/verbs.h"
#include "report/paired_table.h"

namespace bitlaw {
namespace {

struct PairedArguments {
  std::string source, trial, task, metric, format = "text";
  PairedSettings settings;
  int64_t items = 0;
};

int ShowPaired(const PairedArguments& arguments, Session& session) {
  const RecordedItems recorded(arguments.source, session);
  ReportTable table = MakePairedTable({"trial", "task"}, arguments.settings);
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
        ComparePaired(metric, index, found->second, recorded.Items(record), arguments.settings);
    std::vector<ReportCell> row = PairedRow({entry.label, entry.task}, metric, paired);
    if (arguments.items > 0) {
      // The deviation of a single item's difference, spread over that many.
      const double deviation = paired.standard_error * std::sqrt(static_cast<double>(paired.items));
      row.push_back(Fixed(DetectableDifference(deviation, arguments.items, arguments.settings), 4));
    }
    table.rows.push_back(std::move(row));
  }
  if (without > 0) {
    table.notes.push_back(std::to_string(without) + " results have no unquantized model to compare with");
  }
  if (arguments.format == "csv") table.notes.clear();
  PrintReportTable(table, arguments.format);
  return 0;
}

}  // namespace

void AddPairedVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PairedArguments>();
  CLI::App* verb = app.add_subcommand("paired", "Compare quantized models with the unquantized one, item by item");
  verb->add_option("study", arguments->source, "A study file, or the output folder of one")->required();
  verb->add_option("--trial", arguments->trial, "Trials by label or id; * and ? stand for any letters");
  verb->add_option("--task", arguments->task, "One task");
  verb->add_option("--metric", arguments->metric, "Another metric than the task's first");
  verb->add_option("--resamples", arguments->settings.resamples, "Of the bootstrap")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--seed", arguments->settings.seed, "Of the bootstrap")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--confidence", arguments->settings.confidence, "Of the interval and of the test")
      ->capture_default_str()
      ->check(CLI::Range(0.5, 0.9999));
  verb->add_option("--power", arguments->settings.power, "Chance with which a detectable difference is found")
      ->capture_default_str()
      ->check(CLI::Range(0.5, 0.9999));
  verb->add_option("--items", arguments->items, "Show what so many items could detect, too")
      ->check(CLI::PositiveNumber);
  verb->add_option("--format", arguments->format, "text, markdown or csv")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "markdown", "csv"}));
  verb->callback(
      [arguments, &session] { session.action = [arguments, &session] { return ShowPaired(*arguments, session); }; });
}

}  // namespace bitlaw
