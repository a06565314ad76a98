#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "base/allowed_cores.h"
#include "base/files/durable_file.h"
#include "base/text/counted.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "cli/common/build_facts.h"
#include "cli/common/output.h"
#include "cli/tensor/worker_command.h"
#include "cli/verbs.h"
#include "plan/work_study.h"
#include "run/launcher.h"
#include "run/machine/machine.h"
#include "run/progress.h"
#include "run/schedule/shares.h"
#include "run/worker.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct WorkerVerb {
  WorkerOptions child;  ///< Of a process that a launcher talks to.
  fs::path claim;
  int workers = 0, threads = 0;
  std::vector<std::string> devices;
  bool wait = false;
  double grace_s = 60;
};

// What a launcher wrote for workers: three files that fit each other.
struct OpenCampaignFiles {
  Campaign campaign;
  WorkStudy work;
  std::vector<CampaignTrial> trials;
};

OpenCampaignFiles ReadOpenCampaign(const fs::path& output) {
  const fs::path file = output / kCampaignFile;
  if (!fs::exists(file)) {
    throw Error(ErrorKind::kIo, fmt::format("{}: no study is begun there. `bitlaw run STUDY.yaml --output {}` begins one; with "
                                            "--prepare it leaves the trials to workers.",
                                            output.string(), output.string()));
  }
  // Another machine may see one file earlier than another.
  for (int tries = 0;; ++tries) {
    OpenCampaignFiles found;
    found.campaign = ReadCampaign(ReadWholeFile(file), file.string());
    found.work = ReadWorkStudy(ReadWholeFile(WorkFile(output)), WorkFile(output).string());
    found.trials = ReadTrials(ReadWholeFile(output / kTrialsFile), (output / kTrialsFile).string());
    const bool fits = found.work.digest == found.campaign.work_digest && DigestOf(found.trials) == found.campaign.trials_digest;
    if (fits) return found;
    if (tries == 20) {
      throw Error(ErrorKind::kIo, fmt::format("{}: {} and {} are not those that it names. Begin the study again: `bitlaw run`.",
                                              file.string(), WorkFile(output).filename().string(), kTrialsFile));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

// Those that were asked for, or all of this machine that are of the trials' kind.
std::vector<std::string> DevicesFor(const WorkerVerb& given, const std::vector<CampaignTrial>& trials) {
  if (!given.devices.empty()) return given.devices;
  const std::string kind = trials.empty() ? "cpu" : trials.front().trial.compute.device;
  std::vector<std::string> devices;
  for (const std::string& device : Devices()) {
    if (device == kind || device.starts_with(kind + ":")) devices.push_back(device);
  }
  if (devices.empty()) {
    throw Error(ErrorKind::kUnsupported, fmt::format("the trials compute on '{}', and this machine has none. {}", kind, WhyNoCard()));
  }
  return devices;
}

int Claim(Session& session, const WorkerVerb& given) {
  const fs::path output = fs::absolute(given.claim);
  OpenCampaignFiles open = ReadOpenCampaign(output);
  Plan& plan = open.work.plan;
  plan.study.output = output;
  for (const CampaignTrial& one : open.trials) {
    CheckTrial(one.trial, plan);
    plan.trials.push_back(one.trial);
  }
  OutputLock folder(output);
  LaunchOptions options;
  options.output = output;
  options.lock = &folder;
  options.campaign = open.campaign.settings;
  options.joins = open.campaign;
  options.joined_trials = std::move(open.trials);
  options.evaluate = open.work.evaluate;
  options.devices = DevicesFor(given, options.joined_trials);
  options.workers = given.workers > 0 ? given.workers : static_cast<int>(options.devices.size());
  options.waits = given.wait;
  options.grace_s = given.grace_s;
  const Machine machine = Session::ThisMachine(given.threads, options.workers);
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
  Say(fmt::format("{}, campaign {}: {} done here, {} scored, {} failed here or elsewhere.\n", plan.study.name,
                  result.campaign, Counted(result.trials_here, "trial"), Counted(result.tasks_recorded, "task"),
                  Counted(result.failures.size(), "trial")));
  if (!result.stopped.empty()) Say("  " + result.stopped + " No other one was begun.\n");
  if (result.stopped_by != 0) {
    Complain("bitlaw: left; what it had in hand is free for other workers.\n");
    return ExitCodeOfStop(result);
  }
  return result.failures.empty() ? 0 : kExitFailedTrials;
}

}  // namespace

void AddWorkerVerb(CLI::App& app, Session& session) {
  auto given = std::make_shared<WorkerVerb>();
  CLI::App* verb = app.add_subcommand("worker", "Do trials of a study that `bitlaw run` began, beside it and others, on any machine");
  auto* claim = verb->add_option("--claim", given->claim, "The study's output folder, shared by all machines");
  verb->add_option("--workers", given->workers, "Worker processes; 0: one a device")->check(CLI::NonNegativeNumber);
  verb->add_option("--threads", given->threads, "Threads of all of them together; 0: every core this process may use")
      ->check(CLI::Range(0, 1024));
  verb->add_option("--device", given->devices,
                   "cpu, or cuda:0, cuda:1, ...; may be repeated. All of the study's kind by default");
  verb->add_flag("--wait", given->wait, "Stay until all trials have ended, for those of workers that may die");
  verb->add_option("--grace", given->grace_s, "Seconds that trials in hand have to end after SIGTERM or SIGUSR1")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  // Hidden: input and output of this one are a conversation with its launcher.
  WorkerOptions& child = given->child;
  auto* output = verb->add_option("--output", child.output)->group("")->excludes(claim);
  verb->add_flag("--keep-codes", child.keep_codes)->group("");
  verb->add_option("--memory", child.memory_bytes)->group("");
  verb->add_option("--name", child.name)->group("");
  verb->footer(
      "Takes trials of the folder one after the other, and ends when nothing is left that it could take. Records are those of "
      "`bitlaw run`, which waits for the trials of workers and then fits. SIGTERM and SIGUSR1 end it once the trials in "
      "hand are done, or their grace is over (exit codes 143, 138); what it did not end another worker does. A worker that "
      "is killed, or whose machine stops, loses its trials to others after the study's --claim-expiry.");
  verb->callback([&session, given, claim, output] {
    if (claim->count() + output->count() == 0) throw CLI::RequiredError("--claim");
    session.action = [&session, given, is_child = output->count() > 0] {
      if (!is_child) return Claim(session, *given);
      // Standard output is the launcher's; what a library prints belongs on stderr.
      WorkerOptions& options = given->child;
      options.threads = given->threads;
      if (!given->devices.empty()) options.device = given->devices.front();
      options.build = BuildFacts();
      options.out = ::dup(STDOUT_FILENO);
      ::dup2(STDERR_FILENO, STDOUT_FILENO);
      const ProcessState state;  // Before the plugins are opened.
      return ServeTrials(session.plugins(), state, options);
    };
  });
}

}  // namespace bitlaw
