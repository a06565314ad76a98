#include "run/launcher.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "plan/work_study.h"
#include "records/plan_records.h"
#include "records/record_store.h"
#include "run/machine/code_watch.h"
#include "run/machine/machine.h"
#include "run/trial.h"
#include "run/worker_process.h"

namespace bitlaw {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t g_stop_signal = 0;
void OnStopSignal(int signal) { g_stop_signal = signal; }

// SIGINT, SIGTERM and SIGHUP (unless it is ignored: nohup) set a flag, SIGPIPE (a worker that died) is an error code; put
// back at the end.
class SignalScope {
 public:
  SignalScope() {
    g_stop_signal = 0;
    struct sigaction action {};
    action.sa_handler = &OnStopSignal;  // No SA_RESTART: poll() must return.
    ::sigaction(SIGINT, &action, &interrupt_);
    ::sigaction(SIGTERM, &action, &terminate_);
    ::sigaction(SIGHUP, nullptr, &hang_up_);
    if (hang_up_.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &action, &pipe_);
  }
  ~SignalScope() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGTERM, &terminate_, nullptr);
    ::sigaction(SIGHUP, &hang_up_, nullptr);
    ::sigaction(SIGPIPE, &pipe_, nullptr);
  }

 private:
  struct sigaction interrupt_ {}, terminate_ {}, hang_up_ {}, pipe_ {};
};

constexpr int kMostFailedStarts = 3;
constexpr double kLeastStart_s = 60;  // A start is not a trial, and reads libraries and plugins.
constexpr double kClosedGrace_s = 5;  // Between the end of a worker's output and its own.

struct Worker {
  std::unique_ptr<WorkerProcess> process;
  bool ready = false;
  Clock::time_point started = Clock::now();
  std::optional<size_t> trial;
  Clock::time_point trial_began;
  std::optional<Clock::time_point> closed;  ///< Its output, while it runs on.
  bool told_stopped = false;
  std::string stage;
};

class Launcher {
 public:
  Launcher(const Plan& plan, const PluginHost& host, const LaunchOptions& options, const LaunchSink& sink)
      : plan_(plan), host_(host), options_(options), sink_(sink), store_(options.output), cache_(CacheOf(options.output)),
        contents_(plan, host, cache_) {}

  LaunchResult Run() {
    store_.RemoveTemporaries();
    if (!cache_.fault().empty()) Event("warning: " + cache_.fault());
    FindMissing();  // Before the signals: nothing is lost here, and a digest of many gigabytes would not hear them.
    SignalScope signals;
    const size_t count = std::min(queue_.size(), static_cast<size_t>(std::max(1, options_.workers)));
    if (count > 0) {
      code_digest_ = DigestOf(Code());
      const std::string work = WriteWorkStudy(plan_, options_.evaluate);
      WriteDurably(WorkFile(options_.output), work);
      work_digest_ = DigestOf(work);
    }
    workers_.resize(count);
    for (Worker& worker : workers_) Start(worker);
    while (g_stop_signal == 0 && AnyAlive()) {
      Wait();
      CheckOutput();
      for (Worker& worker : workers_) {
        if (worker.process) Serve(worker);
      }
      Tick();
    }
    result_.stopped_by = g_stop_signal;
    workers_.clear();  // Kills what still runs: everything that is recorded is on the disk.
    CheckOutput();
    if (result_.stopped_by == 0) Verify();
    cache_.Save();
    return std::move(result_);
  }

 private:
  void CheckOutput() const {
    if (options_.lock != nullptr) options_.lock->CheckHeld();
  }

  void FindMissing() {
    std::vector<size_t> wanted = options_.trials;
    if (wanted.empty()) {
      wanted.resize(plan_.trials.size());
      std::iota(wanted.begin(), wanted.end(), size_t{0});
    }
    const size_t tasks = plan_.study.tasks.size();
    recorded_.assign(plan_.trials.size(), std::vector<bool>(tasks, false));
    for (const size_t index : wanted) {
      const Trial& trial = plan_.trials[index];
      progress_.current = fmt::format("{}: read weights", plan_.models[trial.model].spec.name);
      Tick();
      contents_.WeightsDigest(trial.model);
      cache_.Save();  // The next model's may take minutes, too.
      size_t done = 0;
      bool quantized = false;
      if (const auto content = contents_.Cached(trial)) {
        std::vector<std::string> faults;
        for (size_t t = 0; t < tasks; ++t) {
          const auto record = FindUsable(store_, plan_, *content, contents_.task_content(t), faults);
          recorded_[index][t] = record.has_value();
          done += recorded_[index][t];
          if (record) CountRebuilt(RecordDigest(record->key));
        }
        quantized = HasQuantization(trial, *content, done > 0 ? &faults : nullptr);
        for (const std::string& fault : faults) Event("warning: " + fault + " It is done again.");
        if (done == tasks && quantized && trial.quantizer != "none" && !options_.keep_codes) {
          std::error_code ignored;  // A kill after the last record leaves the codes behind.
          std::filesystem::remove(ArtifactPath(store_, *content), ignored);
        }
      }
      progress_.tasks_at_start += done;
      if (done == tasks && quantized) {
        done_.push_back(index);
        store_.ForgetFailure(trial.id);
      } else {
        queue_.push_back(index);
      }
    }
    cache_.Save();  // Workers read it and need not digest the weights again.
    for (const auto& [plugin, records] : rebuilt_) {
      Event(fmt::format("warning: {} task records were made by another build of plugin {} than the one that is loaded. They "
                        "are used, for its version is the same: raise it in BITLAW_PLUGIN(...) if its numbers changed, or "
                        "give another --output.",
                        records, plugin));
    }
    if (!queue_.empty()) {
      if (const size_t others = store_.CountOtherFormats(); others > 0) {
        Event(fmt::format("note: {} records in {} have another format than {}, which this bitlaw writes and reads. They "
                          "are left there and not used; their trials are done again (docs/records.md).",
                          others, (store_.output() / "records").string(), kRecordFormat));
      }
    }
    progress_.tasks_total = wanted.size() * tasks;
    progress_.tasks_done = progress_.tasks_at_start;
    progress_.current.clear();
    began_ = Clock::now();
  }

  void CountRebuilt(const std::string& digest) {
    for (const std::string& plugin : RebuiltPlugins(store_.Timings(digest), host_, Code())) ++rebuilt_[plugin];
  }

  const FileWatch& Code() {
    if (!code_) code_ = WatchCode(host_);
    return *code_;
  }

  // Whether the record of a trial's quantization is whole; the unquantized model has none to lack.
  bool HasQuantization(const Trial& trial, const TrialContent& content, std::vector<std::string>* faults) const {
    if (trial.quantizer == "none") return true;
    std::vector<std::string> found;
    const bool has = store_.FindQuantization(RecordDigest(QuantizationKey(content)), found).has_value();
    if (faults == nullptr) return has;
    if (!has && found.empty()) {
      found.push_back(fmt::format("{}: the record of its quantization is missing.", trial.label));
    }
    faults->insert(faults->end(), found.begin(), found.end());
    return has;
  }

  // What a trial lacks in the records, "" if nothing: what a worker says is not proof.
  std::string Lacking(size_t index) {
    const Trial& trial = plan_.trials[index];
    const auto content = contents_.Cached(trial);
    if (!content) return "the digest of its calibration tokens is not known";
    std::vector<std::string> faults;
    for (size_t t = 0; t < plan_.study.tasks.size(); ++t) {
      if (FindUsable(store_, plan_, *content, contents_.task_content(t), faults)) continue;
      return faults.empty() ? fmt::format("there is no record of task '{}'", plan_.study.tasks[t].name) : faults.front();
    }
    if (HasQuantization(trial, *content, nullptr)) return "";
    return "there is no record of its quantization";
  }

  // Reads a model's files again if they were touched, and remembers them as they are now.
  std::string ModelChange(size_t model) {
    try {
      const std::string before = contents_.WeightsDigest(model);
      return contents_.TakeWeightsDigest(model) == before ? "" : "its model was replaced since";
    } catch (const Error& error) {
      return error.what();
    }
  }

  // The last word: records may have been removed since they were written, and models replaced.
  void Verify() {
    std::map<size_t, std::string> changed;  // By model; "" if it is what it was.
    for (const size_t index : done_) {
      const size_t model = plan_.trials[index].model;
      if (!changed.contains(model)) changed[model] = ModelChange(model);
      std::string lacking = changed[model].empty() ? Lacking(index) : changed[model];
      if (lacking.ends_with('.')) lacking.pop_back();
      if (lacking.empty()) {
        ++result_.trials_done;
        continue;
      }
      const Trial& trial = plan_.trials[index];
      const std::string reason = fmt::format("it was recorded, and at the end of the study it is not: {}.", lacking);
      result_.failures.push_back({index, "", "file", reason});
      Event(fmt::format("FAILED {}: {}", trial.label, reason));
    }
  }

  void Start(Worker& worker) {
    worker = Worker();
    std::vector<std::string> command = options_.worker_command;
    const size_t slot = static_cast<size_t>(&worker - workers_.data());
    command.insert(command.end(), {"--device", DeviceOfWorker(options_, slot)});
    worker.process = std::make_unique<WorkerProcess>(command);
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
    using Life = WorkerProcess::Life;
    const Life life = worker.process->life();  // Before reading: what an ended process wrote is then all there.
    // A message may end the process, and begin another one in its place.
    const pid_t pid = worker.process->pid();
    const auto is_there = [&] { return worker.process && worker.process->pid() == pid; };
    bool open = true;
    for (bool more = true; more && is_there(); more = more && life == Life::kEnded) {
      worker.process->ReadErrors();
      std::vector<WorkerMessage> messages;
      open = worker.process->ReadOutput(messages, &more);
      for (const WorkerMessage& message : messages) {
        if (is_there()) Handle(worker, message);
      }
    }
    if (!is_there()) return;
    if (life == Life::kEnded) return Bury(worker, "");
    if (!open) {
      if (!worker.closed) worker.closed = Clock::now();
      if (Elapsed(*worker.closed) < kClosedGrace_s) return;
      worker.process->Kill();
      return Bury(worker, "it closed its output and went on, and was killed");
    }
    if (life == Life::kStopped && !worker.told_stopped) {
      worker.told_stopped = true;
      Event(fmt::format("warning: worker process {} was stopped by a signal (SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU) and "
                        "waits. `kill -CONT {}` lets it go on; `kill -KILL {}` gives its trial up.",
                        worker.process->pid(), worker.process->pid(), worker.process->pid()));
    }
    worker.told_stopped = worker.told_stopped && life == Life::kStopped;
    const double limit_s = options_.trial_timeout_s;
    if (limit_s <= 0) return;
    if (worker.trial && Elapsed(worker.trial_began) > limit_s) {
      worker.process->Kill();
      Fail(worker, "timeout", fmt::format("it took longer than the {} s of --trial-timeout.", limit_s));
      Replace(worker);
    } else if (!worker.ready && Elapsed(worker.started) > std::max(limit_s, kLeastStart_s)) {
      worker.process->Kill();
      Bury(worker, fmt::format("it was not ready after {:.0f} s, and was killed", Elapsed(worker.started)));
    }
  }

  void Handle(Worker& worker, const WorkerMessage& message) {
    using Kind = WorkerMessage::Kind;
    switch (message.kind) {
      case Kind::kReady:
        if (worker.ready) break;
        worker.ready = true;
        failed_starts_ = 0;
        GiveNext(worker);
        break;
      case Kind::kStage: worker.stage = message.text; break;
      case Kind::kCalibration:
        cache_.SetEntry(message.entry, message.digest);
        cache_.Save();
        break;
      case Kind::kTask: TaskDone(worker, message); break;
      case Kind::kWarning:
        if (warned_.insert(message.text).second) Event("warning: " + message.text);
        break;
      case Kind::kDone:
        if (!worker.trial) break;
        if (const std::string lacking = Lacking(*worker.trial); !lacking.empty()) {
          worker.process->Kill();
          Fail(worker, "crash", fmt::format("its worker said that it was done, but {}.", lacking));
          Replace(worker);
          break;
        }
        TrialDone(worker);
        GoOn(worker, message);
        break;
      case Kind::kFailed:
        worker.stage = message.task.empty() ? worker.stage : message.task;
        Fail(worker, message.error_kind, message.text);
        GoOn(worker, message);
        break;
    }
  }

  void TrialDone(const Worker& worker) {
    done_.push_back(*worker.trial);
    store_.ForgetFailure(plan_.trials[*worker.trial].id);
    Event(fmt::format("{} done in {:.0f} s", plan_.trials[*worker.trial].label, Elapsed(worker.trial_began)));
  }

  // After the end of a trial.
  void GoOn(Worker& worker, const WorkerMessage& message) { message.spent ? Replace(worker) : GiveNext(worker); }

  void GiveNext(Worker& worker) {
    worker.trial.reset();
    worker.stage.clear();
    if (next_ == queue_.size()) return worker.process->CloseInput();
    worker.trial = queue_[next_++];
    worker.trial_began = Clock::now();
    const Trial& trial = plan_.trials[*worker.trial];
    worker.process->Send(ToOrderLine({trial, contents_.WeightsDigest(trial.model), code_digest_, work_digest_}));
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

  // The worker ended: it finished, or it died, or was killed for the reason given.
  void Bury(Worker& worker, const std::string& reason) {
    std::string end = worker.process->Reap();
    worker.process->ReadErrors();
    if (end.empty()) end = "exit code 0";
    if (!reason.empty()) end = reason;
    if (worker.trial) {
      Fail(worker, "crash", fmt::format("the worker process ended: {}.", end));
      return Replace(worker);
    }
    if (worker.ready) return worker.process.reset();
    const std::string what = fmt::format("a worker process ended before it took a trial: {}. It wrote:\n{}", end,
                                         worker.process->stderr_tail());
    worker.process.reset();
    if (++failed_starts_ < kMostFailedStarts) {
      Event(fmt::format("warning: {} Another one is started.", what));
      Start(worker);
    } else if (!AnyAlive()) {
      throw Error(ErrorKind::kPlugin, what);
    }
  }

  void Replace(Worker& worker) {
    worker.process.reset();
    if (next_ < queue_.size()) Start(worker);
  }

  void Fail(Worker& worker, const std::string& kind, const std::string& reason) {
    if (!worker.trial) return;
    const Trial& trial = plan_.trials[*worker.trial];
    if (Lacking(*worker.trial).empty()) {  // It died after its last record.
      TrialDone(worker);
      worker.trial.reset();
      return;
    }
    CheckOutput();
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
  const PluginHost& host_;
  const LaunchOptions& options_;
  const LaunchSink& sink_;
  RecordStore store_;
  DigestCache cache_;
  std::set<std::string> warned_;  // What workers warned of: once each.
  PlanContents contents_;
  std::vector<size_t> queue_;  ///< Trials to do.
  std::vector<std::vector<bool>> recorded_;  ///< [trials][tasks]
  size_t next_ = 0;
  std::vector<size_t> done_;  ///< Trials that are recorded, as far as is known.
  int failed_starts_ = 0;     ///< In a row.
  std::optional<FileWatch> code_;
  std::string code_digest_, work_digest_;
  std::map<std::string, size_t> rebuilt_;  // Plugins of another build: how many records that are used are of it.
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

const std::string& DeviceOfWorker(const LaunchOptions& options, size_t number) {
  return options.devices[number % options.devices.size()];
}

LaunchResult Launch(const Plan& plan, const PluginHost& host, const LaunchOptions& options, const LaunchSink& sink) {
  return Launcher(plan, host, options, sink).Run();
}

}  // namespace bitlaw
