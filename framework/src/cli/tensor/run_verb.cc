#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/common/select_trials.h"
#include "cli/verbs.h"
#include "records/observations.h"
#include "records/plan_records.h"
#include "report/page/study_page.h"
#include "report/study_report.h"
#include "resolve/resolved_study.h"
#include "run/launcher.h"
#include "run/machine/output_lock.h"
#include "run/progress.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr int kExitFailedTrials = 8;

struct RunVerb {
  std::string spec, only;
  fs::path output;
  int workers = 0, threads = 0;
  double trial_timeout_s = 0;
  bool no_fit = false, dry_run = false, keep_codes = false;
};

std::vector<std::string> WorkerCommand(const Session& session, const fs::path& output, int threads) {
  std::vector<std::string> command = {fs::read_symlink("/proc/self/exe").string()};
  auto absolute = [](const fs::path& path) { return fs::absolute(path).string(); };
  for (const auto& path : session.plugin_paths) command.insert(command.end(), {"--plugin", absolute(path)});
  command.insert(command.end(), {"worker", "--output", absolute(output), "--threads", std::to_string(threads)});
  return command;
}

void PrintPlan(const Plan& plan, const std::vector<size_t>& trials, const RecordedPairs& recorded) {
  for (const size_t i : trials) {
    Say(fmt::format("{}  {}/{} tasks recorded  {}\n", plan.trials[i].id, recorded.done_of(i), plan.study.tasks.size(),
               plan.trials[i].label));
  }
  for (const SkippedCell& cell : plan.skipped) Say(fmt::format("skipped       {}: {}\n", cell.label, cell.reason));
}

void PrintSummary(const Plan& plan, const LaunchResult& result, size_t wanted, const fs::path& output) {
  Say(fmt::format("{}: {} of {} trials complete, {} tasks scored now, {} trials failed.\n", plan.study.name,
             result.trials_done, wanted, result.tasks_recorded, result.failures.size()));
  for (const TrialFailure& failure : result.failures) {
    const Trial& trial = plan.trials[failure.trial];
    Say(fmt::format("  failed: {} {} [{}] {}{}\n", trial.id, trial.label, failure.kind,
               failure.stage.empty() ? "" : failure.stage + ": ", failure.reason));
  }
  if (!result.failures.empty()) {
    Say(fmt::format("  more in {}; run again to try them again.\n", (output / "failures").string()));
  }
}

int Run(Session& session, const RunVerb& given) {
  StudySpec study = ReadStudy(given.spec, session.plugins(), session.SearchFolders());
  if (!given.output.empty()) study.output = fs::absolute(given.output);
  const fs::path output = study.output;
  const Machine machine = Session::ThisMachine(given.threads, given.workers);
  ResolvedStudy resolved = Resolve(study, session.plugins(), given.dry_run ? nullptr : &machine);
  const Plan& plan = resolved.plan;
  const std::vector<size_t> trials = SelectTrials(plan, given.only, "--only");
  if (given.dry_run) {
    PrintPlan(plan, trials, RecordedTasks(plan, session.plugins(), output));
    return 0;
  }
  const OutputLock lock(output);
  LaunchOptions options;
  options.output = output;
  options.lock = &lock;
  options.trial_timeout_s = given.trial_timeout_s;
  options.trials = trials;
  options.workers = resolved.workers;
  options.evaluate = resolved.evaluate;
  options.devices.clear();
  for (const DeviceSpec& device : study.devices) options.devices.push_back(device.name);
  options.worker_command = WorkerCommand(session, output, std::max(1, machine.threads / options.workers));
  options.keep_codes = given.keep_codes;
  if (given.keep_codes) options.worker_command.push_back("--keep-codes");
  LaunchResult result;
  {
    ProgressDisplay display(stderr, session.quiet);
    result = Launch(plan, session.plugins(), options, display.sink());
  }
  std::vector<std::string> warnings;
  lock.CheckHeld();
  const Table observations = Observations(plan, session.plugins(), output, &warnings);
  WriteDurably(output / "observations.csv", WriteCsv(observations));
  WriteDurably(output / "columns.json", WriteColumns(ObservationColumns(plan)));
  if (result.stopped_by != 0) {
    Complain(fmt::format("bitlaw: stopped by {}; run again to go on.\n",
                         result.stopped_by == SIGINT   ? "Ctrl-C"
                         : result.stopped_by == SIGHUP ? "SIGHUP"
                                                       : "SIGTERM"));
    return 128 + result.stopped_by;
  }
  for (const std::string& warning : warnings) Complain("warning: " + warning + "\n");
  PrintSummary(plan, result, trials.size(), output);
  if (given.no_fit) {
    Say(fmt::format("observations: {}\n", (output / "observations.csv").string()));
  } else {
    const StudyResults report = FitStudy(plan, session.plugins(), output, resolved.fit, std::move(resolved.laws));
    lock.CheckHeld();
    ReportDocument page = StudyPage(report);
    const DrawnFigures drawn = DrawPage(page);
    if (!drawn.why_none.empty()) Complain("bitlaw: figures are not drawn: " + drawn.why_none + ".\n");
    WriteStudyReport(report, page, drawn, output);
    for (const std::string& line : SummaryLines(report)) Say(line + "\n");
    Say("Report: " + (output / "report.html").string() + " (also .md, .tex and .txt, figures and tables there)\n");
    for (const FitFault& fault : report.fit_faults) Complain("bitlaw: " + fault.text + "\n");
    if (!report.fit_faults.empty() && result.failures.empty()) return ExitCode(report.fit_faults.front().kind);
  }
  return result.failures.empty() ? 0 : kExitFailedTrials;
}

}  // namespace

void AddRunVerb(CLI::App& app, Session& session) {
  auto given = std::make_shared<RunVerb>();
  CLI::App* verb = app.add_subcommand("run", "Do what is not yet recorded of a study, then fit its laws and report");
  verb->add_option("spec", given->spec, "The study (YAML)")->required()->check(CLI::ExistingFile);
  verb->add_option("--output", given->output, "Folder of records and tables; the study's own by default");
  verb->add_option("--workers", given->workers,
                   "Worker processes; they share the threads and take the study's devices in turn. 0: one a device, where "
                   "it lists several; one a thread if every model is small (20 million parameters) and on the CPU, at "
                   "most 16; else one")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--threads", given->threads, "Threads of all workers together; 0: every core this process may use")
      ->check(CLI::Range(0, 1024));
  verb->add_option("--only", given->only, "Trials whose id begins with this or whose label holds it (* and ? allowed)");
  verb->add_option("--trial-timeout", given->trial_timeout_s, "Seconds after which a trial has failed; 0: never")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--keep-codes", given->keep_codes,
                 "Keep the codes of each trial that is quantized now in <output>/artifacts, for `bitlaw export`; a run "
                 "without it drops them");
  verb->add_flag("--no-fit", given->no_fit, "Stop once everything is recorded");
  verb->add_flag("--dry-run", given->dry_run, "Say what would be done");
  verb->footer(
      "Ctrl-C stops at once (exit code 130); a second run goes on where the first stopped. Exit code 8: the study "
      "ended, but trials failed.");
  verb->callback([&session, given] { session.action = [&session, given] { return Run(session, *given); }; });
}

}  // namespace bitlaw
