#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "base/allowed_cores.h"
#include "base/files/durable_file.h"
#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/common/select_trials.h"
#include "cli/tensor/slurm_run.h"
#include "cli/tensor/worker_command.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "fit/study/study_description.h"
#include "records/observations.h"
#include "records/plan_records.h"
#include "records/record_store.h"
#include "report/page/study_page.h"
#include "report/study_report.h"
#include "resolve/resolved_study.h"
#include "run/launcher.h"
#include "run/machine/output_lock.h"
#include "run/progress.h"
#include "run/schedule/shares.h"
#include "run/slurm/slurm_queue.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct RunVerb {
  std::string spec, only;
  fs::path output;
  int workers = 0, threads = 0;
  CampaignSettings campaign;
  double expiry_s = 0;  ///< 0: four beats.
  double grace_s = 60;
  bool no_fit = false, dry_run = false, failed = false, force = false, prepare = false, go_on = false;
  std::string launcher = "local", cluster;

  bool by_slurm() const { return launcher == "slurm"; }
  CampaignSettings Settings() const {
    CampaignSettings settings = campaign;
    settings.expiry_s = expiry_s > 0 ? expiry_s : 4 * campaign.beat_s;
    return settings;
  }
};

// Options that do not go with each other.
void CheckLauncher(const RunVerb& given) {
  const auto refuse = [](const std::string& why) { throw Error(ErrorKind::kSpec, why); };
  if (!given.by_slurm()) {
    if (!given.cluster.empty()) refuse("--cluster says what jobs of --launcher slurm are given. Add --launcher slurm.");
    return;
  }
  if (given.workers > 0 || given.threads > 0) {
    refuse("--launcher slurm takes workers and threads of a job from the cluster file: its keys 'workers' and 'cpus'.");
  }
  if (given.failed)
    refuse("--launcher slurm does failed trials again with all others that are missing. Leave --failed out.");
  if (given.go_on || given.prepare)
    refuse("--launcher slurm begins a campaign and submits its jobs. Leave --go-on and --prepare out.");
}

// Of the chosen trials those that a file in failures/ tells of.
std::vector<size_t> FailedOf(const Plan& plan, const std::vector<size_t>& trials, const fs::path& output) {
  std::vector<size_t> failed;
  const RecordStore store(output);
  for (const size_t trial : trials) {
    if (fs::exists(store.FailurePath(plan.trials[trial].id))) failed.push_back(trial);
  }
  return failed;
}

// Waits for the folder's lock, saying so once; a signal ends the program.
bool WaitForLock(const std::string& line) {
  if (!line.empty()) Complain("bitlaw: " + line + "\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  return true;
}

std::string SignalText(int signal) {
  switch (signal) {
    case SIGINT: return "Ctrl-C";
    case SIGHUP: return "SIGHUP";
    case SIGUSR1: return "SIGUSR1";
    default: return "SIGTERM";
  }
}

void PrintPlan(const Plan& plan, const std::vector<size_t>& trials, const RecordedPairs& recorded) {
  for (const size_t i : trials) {
    Say(fmt::format("{}  {}/{} recorded  {}\n", plan.trials[i].id, recorded.done_of(i),
                    Counted(plan.study.tasks.size(), "task"), plan.trials[i].label));
  }
  for (const SkippedCell& cell : plan.skipped) Say(fmt::format("skipped       {}: {}\n", cell.label, cell.reason));
}

void PrintSummary(const Plan& plan, const LaunchResult& result, size_t wanted, const fs::path& output) {
  Say(fmt::format("{}: {} of {} complete, {} scored now, {} failed.\n", plan.study.name, result.trials_done,
                  Counted(wanted, "trial"), Counted(result.tasks_recorded, "task"),
                  Counted(result.failures.size(), "trial")));
  for (const TrialFailure& failure : result.failures) {
    const Trial& trial = plan.trials[failure.trial];
    Say(fmt::format("  failed: {} {} [{}] {}{}\n", trial.id, trial.label, failure.kind,
               failure.stage.empty() ? "" : failure.stage + ": ", failure.reason));
  }
  if (!result.stopped.empty()) Say("  " + result.stopped + " No other one was begun.\n");
  if (!result.failures.empty()) {
    Say(fmt::format("  more in {}; run again to try them again (--failed: only them).\n", (output / "failures").string()));
  }
}

int ComplainOfStop(const LaunchResult& result) {
  Complain(fmt::format("bitlaw: stopped by {}; run again to go on.\n", SignalText(result.stopped_by)));
  return ExitCodeOfStop(result);
}

int Run(Session& session, const RunVerb& given) {
  StudySpec study = ReadStudy(given.spec, session.plugins(), session.SearchFolders());
  if (!given.output.empty()) study.output = fs::absolute(given.output);
  const fs::path output = study.output;
  CheckLauncher(given);
  const SlurmRun slurm = {given.spec, given.cluster, given.only, output, given.Settings(), given.no_fit};
  const Cluster cluster = given.by_slurm() ? FindCluster(slurm, session) : Cluster();
  Machine machine = Session::ThisMachine(given.threads, given.workers);
  if (given.by_slurm()) machine.devices.clear();  // Those of the nodes are not known here.
  ResolvedStudy resolved = Resolve(study, session.plugins(), given.dry_run ? nullptr : &machine);
  const Plan& plan = resolved.plan;
  std::vector<size_t> trials = SelectTrials(plan, given.only, "--only");
  if (given.force && given.only.empty() && !given.failed) {
    throw Error(ErrorKind::kSpec, "--force does trials again that are recorded: say which, with --only or --failed.");
  }
  if (given.failed) {
    trials = FailedOf(plan, trials, output);
    if (trials.empty()) {
      Say("No trial of the study failed: there is no file of one in " + (output / "failures").string() + ".\n");
      return 0;
    }
  }
  if (given.dry_run) {
    const RecordedPairs recorded = RecordedTasks(plan, session.plugins(), output);
    const auto is_left = [&](size_t trial) { return recorded.done_of(trial) < study.tasks.size(); };
    if (!given.by_slurm()) {
      PrintPlan(plan, trials, recorded);
    } else {
      const auto left = static_cast<size_t>(std::count_if(trials.begin(), trials.end(), is_left));
      PrintScripts(MakeSlurmStudy(slurm, session, study.name, left), cluster);
    }
    return 0;
  }
  if (given.by_slurm()) {
    CheckSlurm();
    CheckNoJobs(output);
  }
  OutputLock lock(output);
  LaunchOptions options;
  options.output = output;
  options.lock = &lock;
  options.campaign = given.Settings();
  options.campaign.keep_codes = options.campaign.keep_codes || study.keep_artifacts;
  options.force = given.force;
  options.prepare_only = given.prepare || given.by_slurm();
  options.goes_on = given.go_on;
  options.grace_s = given.grace_s;
  options.trials = trials;
  options.workers = resolved.workers;
  options.evaluate = resolved.evaluate;
  options.devices.clear();
  for (const DeviceSpec& device : study.devices) options.devices.push_back(device.name);
  if (const std::string many = ExplainOversubscription(
          options.workers, ThreadsOfWorker(machine.threads, options.workers), AllowedCores());
      !many.empty() && !options.prepare_only) {
    Complain("warning: " + many + "\n");
  }
  options.worker_command = WorkerCommand(session, output, ThreadsOfWorker(machine.threads, options.workers));
  LaunchResult result;
  {
    ProgressDisplay display(stderr, session.quiet);
    result = Launch(plan, session.plugins(), options, display.sink());
  }
  if (given.prepare && result.stopped_by == 0) {
    Say(result.campaign == 0 ? fmt::format("{}: everything is recorded; there is nothing to prepare.\n", plan.study.name)
                             : fmt::format("{}: campaign {} is open. Start `bitlaw worker --claim {}` wherever it shall be "
                                           "worked on; `bitlaw run` takes part, waits for all, and fits.\n",
                                           plan.study.name, result.campaign, output.string()));
    return 0;
  }
  if (given.by_slurm() && result.stopped_by == 0 && result.campaign != 0) {
    SubmitStudy(MakeSlurmStudy(slurm, session, study.name, result.trials_left), cluster, result.campaign);
    return 0;
  }
  std::vector<std::string> warnings;
  // One at a time writes what follows; who was stopped leaves it to who did not end yet.
  const bool is_mine = lock.Take([&](const std::string& line) { return result.stopped_by == 0 && WaitForLock(line); });
  if (!is_mine) return ComplainOfStop(result);
  lock.CheckHeld();
  Table observations = Observations(plan, session.plugins(), output, &warnings);
  WriteDurably(output / "observations.csv", WriteCsv(observations));
  WriteDurably(output / "columns.json", WriteColumns(ObservationColumns(plan)));
  // With --no-fit too: whoever fits the folder later needs the study's map and laws.
  WriteDurably(output / "study.json", WriteStudyDescription(Describe(plan)));
  if (result.stopped_by != 0) return ComplainOfStop(result);
  for (const std::string& warning : warnings) Complain("warning: " + warning + "\n");
  PrintSummary(plan, result, trials.size(), output);
  if (given.no_fit) {
    Say(fmt::format("observations: {}\n", (output / "observations.csv").string()));
  } else {
    const StudyResults report = FitStudy(plan, output, std::move(observations), std::move(warnings), resolved.fit,
                                         std::move(resolved.laws));
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
  verb->add_flag("--failed", given->failed, "Only trials that failed before: those in <output>/failures");
  verb->add_flag("--force", given->force,
                 "Do the trials that --only or --failed choose again, though they are recorded; their records are moved to "
                 "<output>/quarantine");
  CampaignSettings& campaign = given->campaign;
  verb->add_option("--trial-timeout", campaign.trial_timeout_s, "Seconds after which a trial has failed; 0: never")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--retries", campaign.retries, "How often a trial that failed is tried again before it counts as failed")
      ->check(CLI::Range(0, 100));
  verb->add_option("--max-failures", campaign.max_failures,
                   "Begin no other trial once so many have failed; 0: all are tried")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--worker-memory", campaign.worker_memory_bytes,
                   "Memory that a worker process may hold beside mapped files, 8GiB for example; a trial that needs more "
                   "fails alone. 0: no limit")
      ->transform(CLI::AsSizeValue(false));
  verb->add_option("--beat", campaign.beat_s, "Seconds between two signs of life that workers on all machines give")
      ->check(CLI::Range(0.05, 3600.0))
      ->capture_default_str();
  verb->add_option("--claim-expiry", given->expiry_s,
                   "Seconds without a sign of life after which a worker's trials are taken over; 0: four times --beat")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--prepare", given->prepare,
                 "Begin the study for workers elsewhere (`bitlaw worker --claim <output>`), and end");
  verb->add_option("--grace", given->grace_s, "Seconds that trials in hand have to end after SIGUSR1")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_flag(
      "--go-on", given->go_on,
      "Go on with the campaign that is open, though nobody works on it now; without it the next one is begun, in "
      "which failed trials are tried again");
  verb->add_option("--launcher", given->launcher,
                   "local: worker processes of this one; slurm: an array of batch jobs, and one that fits after them")
      ->check(OneOf({"local", "slurm"}))
      ->capture_default_str();
  verb->add_option("--cluster", given->cluster, "What a job is given: a file of configs/clusters, by name or path");
  verb->add_flag("--keep-codes", campaign.keep_codes,
                 "Keep the codes of each trial that is quantized now in <output>/artifacts, for `bitlaw export`, as "
                 "`keep: artifacts` of the study does; a run without either drops them");
  verb->add_flag("--no-fit", given->no_fit, "Stop once everything is recorded");
  verb->add_flag("--dry-run", given->dry_run, "Say what would be done; of --launcher slurm print its scripts");
  verb->footer(
      "Ctrl-C stops at once (exit code 130); a second run goes on where the first stopped. A second run beside the first, "
      "here or on another machine, shares its trials. SIGUSR1 ends it once the trials in hand are done. Exit code 8: the "
      "study ended, but trials failed.");
  verb->callback([&session, given] { session.action = [&session, given] { return Run(session, *given); }; });
}

}  // namespace bitlaw
