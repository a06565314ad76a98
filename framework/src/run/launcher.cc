#include "run/launcher.h"

#include <fmt/format.h>
#include <poll.h>
#include <stdlib.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>

#include "bitlaw/base/error.h"
#include "records/plan_records.h"
#include "records/record_store.h"
#include "run/machine.h"
#include "run/trial.h"
#include "run/worker_process.h"

namespace bitlaw {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t g_stop_signal = 0;
void OnStopSignal(int signal) { g_stop_signal = signal; }

// SIGINT and SIGTERM set a flag, SIGPIPE (a worker that died) is an error code; put back at the end.
class SignalScope {
 public:
  SignalScope() {
    g_stop_signal = 0;
    struct sigaction action {};
    action.sa_handler = &OnStopSignal;  // No SA_RESTART: poll() must return.
    ::sigaction(SIGINT, &action, &interrupt_);
    ::sigaction(SIGTERM, &action, &terminate_);
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &action, &pipe_);
  }
  ~SignalScope() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGTERM, &terminate_, nullptr);
    ::sigaction(SIGPIPE, &pipe_, nullptr);
  }

 private:
  struct sigaction interrupt_ {}, terminate_ {}, pipe_ {};
};

struct Worker {
  std::unique_ptr<WorkerProcess> process;
  bool ready = false;
  std::optional<size_t> trial;
  Clock::time_point trial_began;
  std::string stage;
};

class Launcher {
 public:
  Launcher(const Plan& plan, const PluginHost& host, const LaunchOptions& options, const LaunchSink& sink)
      : plan_(plan), options_(options), sink_(sink), store_(options.output), cache_(CacheOf(options.output)),
        contents_(plan, host, cache_) {}

  LaunchResult Run() {
    SignalScope signals;
    store_.RemoveTemporaries();
    FindMissing();
    const size_t count = std::min(queue_.size(), static_cast<size_t>(std::max(1, options_.workers)));
    workers_.resize(count);
    for (Worker& worker : workers_) Start(worker);
    while (g_stop_signal == 0 && AnyAlive()) {
      Wait();
      for (Worker& worker : workers_) {
        if (worker.process) Serve(worker);
      }
      Tick();
    }
    result_.stopped_by = g_stop_signal;
    workers_.clear();  // Kills what still runs: everything that is recorded is on the disk.
    cache_.Save();
    return std::move(result_);
  }

 private:
  void FindMissing() {
    std::vector<size_t> wanted = options_.trials;
    if (wanted.empty()) {
      wanted.resize(plan_.trials.size());
      std::iota(wanted.begin(), wanted.end(), size_t{0});
    }
    const size_t tasks = plan_.study.tasks.size();
    recorded_.assign(plan_.trials.size(), std::vector<bool>(tasks, false));
    for (const size_t index : wanted) {
      if (g_stop_signal != 0) return;
      const Trial& trial = plan_.trials[index];
      progress_.current = fmt::format("{}: read weights", plan_.models[trial.model].spec.name);
      Tick();
      contents_.WeightsDigest(trial.model);
      size_t done = 0;
      if (const auto content = contents_.Cached(trial)) {
        std::vector<std::string> faults;
        for (size_t t = 0; t < tasks; ++t) {
          recorded_[index][t] = FindUsable(store_, plan_, *content, contents_.task_content(t), faults).has_value();
          done += recorded_[index][t];
        }
        for (const std::string& fault : faults) Event("warning: " + fault + " It is done again.");
        if (done == tasks && trial.quantizer != "none") {
          std::error_code ignored;  // A kill after the last record leaves the codes behind.
          std::filesystem::remove(ArtifactPath(store_, *content), ignored);
        }
      }
      progress_.tasks_at_start += done;
      if (done == tasks) {
        ++result_.trials_done;
      } else {
        queue_.push_back(index);
      }
    }
    cache_.Save();  // Workers read it and need not digest the weights again.
    progress_.tasks_total = wanted.size() * tasks;
    progress_.tasks_done = progress_.tasks_at_start;
    progress_.current.clear();
    began_ = Clock::now();
  }

  void Start(Worker& worker) {
    worker = Worker();
    worker.process = std::make_unique<WorkerProcess>(options_.worker_command);
  }

  bool AnyAlive() const {
    for (const Worker& worker : workers_)
      if (worker.process) return true;
    return false;
  }

  void Wait() {
    std::vector<pollfd> files;
    for (const Worker& worker : workers_) {
      if (!worker.process) continue;
      if (worker.process->output() >= 0) files.push_back({worker.process->output(), POLLIN, 0});
      if (worker.process->errors() >= 0) files.push_back({worker.process->errors(), POLLIN, 0});
    }
    ::poll(files.data(), files.size(), 200);  // A signal ends it early.
  }

  void Serve(Worker& worker) {
    worker.process->ReadErrors();
    std::vector<WorkerMessage> messages;
    const bool open = worker.process->ReadOutput(messages);
    for (const WorkerMessage& message : messages) Handle(worker, message);
    if (!worker.process) return;
    if (!open) return Bury(worker);
    if (worker.trial && options_.trial_timeout_s > 0 && Elapsed(worker.trial_began) > options_.trial_timeout_s) {
      worker.process->Kill();
      Fail(worker, "timeout", fmt::format("it took longer than the {} s of --trial-timeout.", options_.trial_timeout_s));
      Replace(worker);
    }
  }

  void Handle(Worker& worker, const WorkerMessage& message) {
    using Kind = WorkerMessage::Kind;
    switch (message.kind) {
      case Kind::kReady:
        worker.ready = true;
        GiveNext(worker);
        break;
      case Kind::kStage: worker.stage = message.text; break;
      case Kind::kCalibration:
        cache_.SetEntry(message.entry, message.digest);
        cache_.Save();
        break;
      case Kind::kTask: TaskDone(worker, message); break;
      case Kind::kWarning: Event("warning: " + message.text); break;
      case Kind::kDone:
        if (!worker.trial) break;
        store_.ForgetFailure(plan_.trials[*worker.trial].id);
        ++result_.trials_done;
        Event(fmt::format("{} done in {:.0f} s", plan_.trials[*worker.trial].label, Elapsed(worker.trial_began)));
        GiveNext(worker);
        break;
      case Kind::kFailed:
        worker.stage = message.task.empty() ? worker.stage : message.task;
        Fail(worker, message.error_kind, message.text);
        GiveNext(worker);
        break;
    }
  }

  void GiveNext(Worker& worker) {
    worker.trial.reset();
    worker.stage.clear();
    if (next_ == queue_.size()) return worker.process->CloseInput();
    worker.trial = queue_[next_++];
    worker.trial_began = Clock::now();
    worker.process->Send(plan_.trials[*worker.trial].id);
  }

  void TaskDone(Worker& worker, const WorkerMessage& message) {
    if (!worker.trial) return;
    const size_t task = TaskIndex(message.task);
    if (task == plan_.study.tasks.size() || recorded_[*worker.trial][task]) return;
    recorded_[*worker.trial][task] = true;
    ++progress_.tasks_done;
    if (message.found) {
      ++progress_.tasks_at_start;  // Its key could not be known before the calibration tokens were.
      return;
    }
    ++result_.tasks_recorded;
    progress_.last_score = fmt::format("{} {} {:.4g}", message.task, message.metric, message.value);
    if (!std::isnan(message.standard_error)) progress_.last_score += fmt::format(" +- {:.2g}", message.standard_error);
    Event(fmt::format("{}: {} ({:.1f} s)", plan_.trials[*worker.trial].label, progress_.last_score, message.elapsed_s), true);
  }

  size_t TaskIndex(const std::string& name) const {
    size_t index = 0;
    while (index < plan_.study.tasks.size() && plan_.study.tasks[index].name != name) ++index;
    return index;
  }

  // The worker's output ended: it finished, or it died.
  void Bury(Worker& worker) {
    worker.process->ReadErrors();
    const std::string end = worker.process->Reap();
    worker.process->ReadErrors();
    if (worker.trial) {
      Fail(worker, "crash", fmt::format("the worker process ended: {}.", end.empty() ? "exit code 0" : end));
      return Replace(worker);
    }
    if (!worker.ready) {
      throw Error(ErrorKind::kPlugin, fmt::format("a worker process ended before it took a trial: {}. It wrote:\n{}",
                                                  end.empty() ? "exit code 0" : end, worker.process->stderr_tail()));
    }
    worker.process.reset();
  }

  void Replace(Worker& worker) {
    worker.process.reset();
    if (next_ < queue_.size()) Start(worker);
  }

  void Fail(Worker& worker, const std::string& kind, const std::string& reason) {
    if (!worker.trial) return;
    const Trial& trial = plan_.trials[*worker.trial];
    FailureRecord failure{trial.id, trial.label, worker.stage, kind, reason, worker.process->stderr_tail(), UtcNow()};
    store_.WriteFailure(failure);
    result_.failures.push_back({*worker.trial, worker.stage, kind, reason});
    ++progress_.trials_failed;
    Event(fmt::format("FAILED {}: {}{}", trial.label, worker.stage.empty() ? "" : worker.stage + ": ", reason));
  }

  void Tick() {
    if (!sink_.tick) return;
    progress_.elapsed_s = Elapsed(began_);
    for (const Worker& worker : workers_) {
      if (worker.trial) progress_.current = fmt::format("{}: {}", plan_.trials[*worker.trial].label, worker.stage);
    }
    sink_.tick(progress_);
  }

  void Event(const std::string& line, bool detail = false) {
    if (sink_.event) sink_.event(line, detail);
  }
  static double Elapsed(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

  const Plan& plan_;
  const LaunchOptions& options_;
  const LaunchSink& sink_;
  RecordStore store_;
  DigestCache cache_;
  PlanContents contents_;
  std::vector<size_t> queue_;  ///< Trials to do.
  std::vector<std::vector<bool>> recorded_;  ///< [trials][tasks]
  size_t next_ = 0;
  std::vector<Worker> workers_;
  LaunchProgress progress_;
  LaunchResult result_;
  Clock::time_point began_ = Clock::now();
};

}  // namespace

double LaunchProgress::remaining_s() const {
  const size_t done = tasks_done - tasks_at_start;
  if (done == 0) return std::numeric_limits<double>::quiet_NaN();
  return elapsed_s / static_cast<double>(done) * static_cast<double>(tasks_total - tasks_done);
}

LaunchResult Launch(const Plan& plan, const PluginHost& host, const LaunchOptions& options, const LaunchSink& sink) {
  return Launcher(plan, host, options, sink).Run();
}

}  // namespace bitlaw
