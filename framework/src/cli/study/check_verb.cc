#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "cli/study/study_text.h"
#include "cli/verbs.h"
#include "resolve/resolved_study.h"

namespace bitlaw {
namespace {

// One line about a task: what it is, in which stratum, what it asks and how often.
std::string TaskLine(const TaskSpec& spec, const ResolvedTask& task, const std::vector<ResolvedStratum>& strata) {
  const TaskCard& card = task.card;
  const auto own = std::find_if(strata.begin(), strata.end(), [&](const ResolvedStratum& stratum) {
    return !stratum.is_pool && std::find(stratum.tasks.begin(), stratum.tasks.end(), spec.name) != stratum.tasks.end();
  });
  return fmt::format("{}  {} {}, {}, {}-shot, {}, {}, {}", spec.name, spec.component, card.version,
                     own == strata.end() ? "no stratum" : own->name, card.few_shot, Counted(task.items, "item"),
                     card.metrics.empty() ? "no metric" : card.metrics.front().name,
                     JoinNames({task.requests.begin(), task.requests.end()}));
}

std::string ModelLine(const PlannedModel& model) {
  const ModelSummary& summary = model.summary;
  std::string line = fmt::format("{}  {}, {} parameters, {} to quantize in {}, stored as {}", model.spec.name,
                                 summary.architecture, CountText(static_cast<double>(summary.parameters_total)),
                                 CountText(static_cast<double>(summary.parameters_quantizable)),
                                 Counted(summary.linears.size(), "layer"), summary.stored_dtype);
  if (model.spec.hold_out) line += ", held out of fits";
  if (!summary.baseline_note.empty()) line += fmt::format("\n               ({})", summary.baseline_note);
  return line;
}

// "a label   line" for the first line, the label left out of the others.
void Print(const std::string& label, const std::vector<std::string>& lines) {
  for (size_t i = 0; i < lines.size(); ++i) fmt::print("  {:<12} {}\n", i == 0 ? label : "", lines[i]);
}

std::vector<std::string> GridLines(const StudySpec& study) {
  std::vector<std::string> lines;
  for (const QuantizeSpec& entry : study.quantize) {
    std::string line = entry.component;
    const std::string axes = AxesText(entry);
    if (!axes.empty()) line += "  " + axes;
    if (!entry.where.empty()) line += ", where " + entry.where;
    if (!entry.skip.empty()) line += fmt::format(", skip {}", Value(Value::List(entry.skip)).Text());
    lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<std::string> TrialLines(const Plan& plan) {
  std::vector<std::string> lines = {TotalsText(plan)};
  std::map<std::string, size_t> counts;
  for (const Trial& trial : plan.trials) ++counts[trial.quantizer];
  std::string by_quantizer;
  for (const auto& [quantizer, count] : counts) {
    by_quantizer += fmt::format("{}{} {}", by_quantizer.empty() ? "" : ", ", quantizer, count);
  }
  lines.push_back(by_quantizer);
  if (!plan.skipped.empty()) {
    const SkippedCell& first = plan.skipped.front();
    lines.push_back(fmt::format("skipped: {}: {}{}", first.label, first.reason,
                                plan.skipped.size() == 1 ? "" : " ('bitlaw plan' lists all)"));
  }
  for (const std::string& note : plan.notes) lines.push_back(note);
  return lines;
}

int Check(Session& session, const std::string& file) {
  const PluginHost& host = session.plugins();
  const StudySpec study = ReadStudy(file, host, session.SearchFolders());
  const Machine machine = Session::ThisMachine();
  const ResolvedStudy resolved = Resolve(study, host, &machine);

  std::vector<std::string> tasks, laws, devices;
  for (size_t i = 0; i < study.tasks.size(); ++i) {
    tasks.push_back(TaskLine(study.tasks[i], resolved.tasks[i], resolved.strata));
  }
  for (const auto& law : resolved.laws)
    laws.push_back(fmt::format("{}  {} = {}", law->name(), law->response(), law->formula_text()));
  for (const DeviceSpec& device : study.devices) devices.push_back(device.name);
  std::vector<std::string> models, corpora;
  for (const PlannedModel& model : resolved.plan.models) models.push_back(ModelLine(model));
  for (const CorpusSpec& corpus : study.corpora) corpora.push_back(corpus.name + "  " + corpus.component);
  fmt::print("study '{}' ({}) is in order.\n", study.name, file);
  Print("models", models);
  Print("corpora", corpora);
  Print("grid", GridLines(study));
  Print("trials", TrialLines(resolved.plan));
  Print("tasks", tasks);
  Print("laws", laws);
  Print("compute", {fmt::format("{} on {}", Name(study.compute.dtype), JoinNames(devices))});
  Print("output", {study.output.string()});
  return 0;
}

}  // namespace

void AddCheckVerb(CLI::App& app, Session& session) {
  auto file = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("check", "Say what a study file means, or everything that is wrong with it");
  verb->add_option("spec", *file, "Study file (docs/study.md)")->required();
  verb->callback([&session, file] { session.action = [&session, file] { return Check(session, *file); }; });
}

}  // namespace bitlaw
