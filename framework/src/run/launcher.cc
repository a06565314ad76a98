#include "run/launcher.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

#include "base/files/durable_file.h"
#include "base/text/counted.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "cost/task_work.h"
#include "plan/work_study.h"
#include "records/record_store.h"
#include "run/launch/campaign_member.h"
#include "run/launch/death.h"
#include "run/launch/stop_signals.h"
#include "run/launch/study_records.h"
#include "run/launch/time_teller.h"
#include "run/machine/code_watch.h"
#include "run/machine/machine.h"
#include "run/schedule/shares.h"
#include "run/worker_process.h"

namespace bitlaw {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostFailedStarts = 3;
constexpr double kLeastStart_s = 60;  // A start is not a trial, and reads libraries and plugins.
constexpr double kLook_s = 1;         // Between two looks at what others do, where there is nothing else to do.
constexpr double kTellWaiting_s = 60;
constexpr double kClosedGrace_s = 5;  // Between the end of a worker's output and its own.

struct Worker {
  std::unique_ptr<WorkerProcess> process;
  bool ready = false;
  bool sent_away = false;  ///< No trial was left for it: it ends.
  Clock::time_point started = Clock::now();
  Clock::time_point heard = Clock::now();  ///< Of it, last.
  MemoryKills memory_kills;  ///< Before it was started.
  std::optional<ClaimTaker::Claim> claim;
  std::optional<size_t> trial;  ///< That of the claim, in the plan.
  std::optional<size_t> last;   ///< The one before, in the list of trials.
  Clock::time_point trial_began;
  std::optional<Clock::time_point> closed;  ///< Its output, while it runs on.
  bool told_stopped = false;
  std::string stage;
};

class Launcher {
 public:
  Launcher(const Plan& plan, const PluginHost& host, const LaunchOptions& options, const LaunchSink& sink)
      : plan_(plan), host_(host), options_(options), sink_(sink), store_(options.output), cache_(CacheOf(options.output)),
        records_(plan, host, store_, cache_), member_(options.output) {}

  LaunchResult Run() {
    if (!cache_.fault().empty()) Event("warning: " + cache_.fault());
    // Before the signals: nothing is lost here, and a digest of many gigabytes would not hear them.
    options_.joins ? TakeList() : FindMissing();
    const StopSignals signals(options_.joins.has_value());
    if (!options_.joins && done_.size() == wanted_.size()) return AllRecorded();
    if (!TakePart()) {
      result_.stopped_by = StopSignals::stops() != 0 ? StopSignals::stops() : StopSignals::leaves();
      return std::move(result_);
    }
    result_.trials_left = taker_->free();
    if (options_.prepare_only) return std::move(result_);
    workers_.resize(std::min(taker_->free(), static_cast<size_t>(std::max(1, options_.workers))));
    if (workers_.empty()) workers_.resize(1);  // For what others may leave behind.
    while (StopSignals::stops() == 0) {
      StartWhereFree();
      if (!AnyAlive() && !IsAwaited()) break;
      Wait();
      CheckOutput();
      for (Worker& worker : workers_) {
        if (worker.process) Serve(worker);
      }
      LookAround();
      if (HasLeft()) break;
      Tick();
    }
    result_.stopped_by = StopSignals::stops() != 0 ? StopSignals::stops() : StopSignals::leaves();
    StopWorkers();
    CheckOutput();
    result_.is_complete = result_.stopped_by == 0 && taker_->WhyNone() == ClaimTaker::None::kAllEnded;
    result_.stopped = taker_->stopped();
    if (taker_->WhyNone() == ClaimTaker::None::kSuperseded) {
      Event(fmt::format("note: another run was begun in {}, with claims of its own; this one, of campaign {}, ends.",
                        options_.output.string(), campaign().number));
    }
    if (result_.stopped_by == 0) Verify();
    cache_.Save();
    return std::move(result_);
  }

 private:
  void CheckOutput() const {
    if (options_.lock != nullptr) options_.lock->CheckHeld();
  }

  LaunchResult AllRecorded() {
    std::vector<std::string> live;
    for (const WorkerBeat& beat : member_.Others(options_.campaign.expiry_s)) live.push_back(beat.worker.id);
    store_.RemoveTemporaries(live);
    Verify();
    cache_.Save();
    return std::move(result_);
  }

  void FindMissing() {
    wanted_ = options_.trials;
    if (wanted_.empty()) {
      wanted_.resize(plan_.trials.size());
      std::iota(wanted_.begin(), wanted_.end(), size_t{0});
    }
    if (options_.force) Forget();
    const size_t tasks = plan_.study.tasks.size();
    recorded_.assign(plan_.trials.size(), std::vector<bool>(tasks, false));
    for (const size_t index : wanted_) {
      const Trial& trial = plan_.trials[index];
      progress_.current = fmt::format("{}: read weights", plan_.models[trial.model].spec.name);
      Tick();
      const StudyRecords::Found found = records_.Find(index, options_.campaign.keep_codes);
      for (const std::string& fault : found.faults) Event("warning: " + fault + " It is done again.");
      recorded_[index] = found.tasks;
      progress_.tasks_at_start += found.done;
      if (found.is_complete) {
        done_.push_back(index);
        store_.ForgetFailure(trial.id);
      }
      trials_.push_back({trial, records_.WeightsDigest(trial.model), {}, {}, found.is_complete});
    }
    cache_.Save();  // Workers read it and need not digest the weights again.
    if (done_.size() < wanted_.size()) EstimateCosts();
    for (const auto& [plugin, records] : records_.rebuilt()) {
      Event(fmt::format("warning: {} task records were made by another build of plugin {} than the one that is loaded. They "
                        "are used, for its version is the same: raise it in BITLAW_PLUGIN(...) if its numbers changed, or "
                        "give another --output.",
                        records, plugin));
    }
    if (done_.size() < wanted_.size()) {
      if (const size_t others = store_.CountOtherFormats(); others > 0) {
        Event(fmt::format(
            "note: {} in {} {} another format than {}, which this bitlaw writes and reads. Such records are "
            "left there and not used; their trials are done again (docs/records.md).",
            Counted(others, "record"), (store_.output() / "records").string(), others == 1 ? "has" : "have",
            kRecordFormat));
      }
    }
    Begin();
  }

  // By which trials are ordered, and the time left is told: at round rates, since what was measured corrects them.
  void EstimateCosts() {
    const std::vector<std::vector<TaskWork>> tasks = CountWork(plan_, host_);
    const CostModel model(plan_, options_.evaluate, tasks,
                          plan_.study.compute.device == "cpu" ? Rates() : Rates::OfCard());
    for (CampaignTrial& one : trials_) {
      one.seconds = model.Of(one.trial).seconds;
      one.weight = WeightOf(plan_, one.trial, one.seconds.sum());
    }
  }

  // The trials of a campaign that another launcher opened: nothing is read for them here but what is done here.
  void TakeList() {
    trials_ = options_.joined_trials;
    recorded_.assign(plan_.trials.size(), std::vector<bool>(plan_.study.tasks.size(), false));
    for (size_t i = 0; i < trials_.size(); ++i) {
      wanted_.push_back(i);
      records_.AssumeWeightsDigest(trials_[i].trial.model, trials_[i].weights_digest);
      if (!trials_[i].recorded) continue;
      recorded_[i].assign(recorded_[i].size(), true);
      progress_.tasks_at_start += recorded_[i].size();
    }
    Begin();
  }

  void Begin() {
    progress_.tasks_total = wanted_.size() * plan_.study.tasks.size();
    progress_.tasks_done = progress_.tasks_at_start;
    progress_.current.clear();
    began_ = Clock::now();
    std::vector<EstimatedTrial> estimated;
    for (const CampaignTrial& one : trials_) {
      estimated.push_back({one.trial.id, plan_.models[one.trial.model].spec.name, one.trial.quantizer, one.seconds});
    }
    time_.emplace(options_.output, std::move(estimated), plan_.study.tasks.size());
  }

  void TellTimeLeft() {
    if (taker_ == nullptr) return;
    if (progress_.tasks_done >= progress_.tasks_total) {
      progress_.remaining_s = 0;
      return;
    }
    if (!time_->IsDue()) return;
    TimeTeller::Work work;
    work.workers = taker_->others().size();
    std::set<size_t> begun;
    for (const Worker& worker : workers_) {
      work.workers += worker.process != nullptr;
      if (!worker.claim || taker_->state(worker.claim->trial) == ClaimOrder::State::kEnded) continue;
      work.in_hand.emplace_back(worker.claim->trial, Elapsed(worker.trial_began));
      begun.insert(worker.claim->trial);
    }
    for (const auto& [trial, name] : taker_->others()) {
      work.of_others.push_back(trial);
      begun.insert(trial);
    }
    for (size_t i = 0; i < trials_.size(); ++i) {
      if (taker_->state(i) != ClaimOrder::State::kEnded && !begun.contains(i)) work.left.push_back(i);
    }
    progress_.remaining_s = time_->Remaining(work);
  }

  void Forget() {
    for (const WorkerBeat& beat : member_.Others(options_.campaign.expiry_s)) {
      throw Error(ErrorKind::kIo, fmt::format("--force does trials again whose records others may be using: {} works in this "
                                              "output folder, or did a moment ago. Wait for it, or stop it.",
                                              beat.worker.Text()));
    }
    for (const size_t index : wanted_) records_.Forget(index);
  }

  // Opens a campaign, or joins one. False: a signal came first.
  bool TakePart() {
    code_digest_ = DigestOf(records_.Code());
    if (options_.joins) {
      member_.Join(*options_.joins, code_digest_, trials_);
    } else {
      const std::string work = WriteWorkStudy(plan_, options_.evaluate);
      const Campaign wanted{.study = plan_.study.name,
                            .work_digest = DigestOf(work),
                            .trials_digest = DigestOf(trials_),
                            .code_digest = code_digest_,
                            .settings = options_.campaign};
      const auto wait = [this] {
        ::poll(nullptr, 0, 200);
        Tick();
        return StopSignals::stops() == 0 && StopSignals::leaves() == 0;
      };
      const auto tell = [this](const std::string& line) { Event(line); };
      if (!member_.Open(wanted, work, trials_, options_.lock, store_, options_.goes_on, tell, wait)) return false;
    }
    taker_ = &member_.taker();
    result_.campaign = campaign().number;
    TakeOthersEnds();  // What ended before this one came.
    return true;
  }

  const Campaign& campaign() const { return member_.campaign(); }

  // The last word: records may have been removed since they were written, and models replaced.
  void Verify() {
    const auto until = Clock::now() + std::chrono::seconds(10);
    for (const size_t index : done_) {
      if (options_.joins && done_elsewhere_.contains(index)) continue;  // Whoever opened the campaign looks.
      const auto look = [&] { return options_.joins ? records_.Lacking(index) : records_.LackingAtTheEnd(index); };
      std::string lacking = look();
      // What another machine wrote may be a moment on its way.
      while (!lacking.empty() && done_elsewhere_.contains(index) && Clock::now() < until && StopSignals::stops() == 0) {
        ::poll(nullptr, 0, 500);
        lacking = look();
      }
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

  // Starts workers for trials that nobody has, as long as there are more of these than workers that come for one.
  void StartWhereFree() {
    if (IsLeaving() || failed_starts_ >= kMostFailedStarts) return;
    size_t coming = 0;
    for (const Worker& worker : workers_) coming += worker.process && !worker.trial && !worker.sent_away ? 1 : 0;
    for (Worker& worker : workers_) {
      if (worker.process || coming >= taker_->free()) continue;
      Start(worker);
      ++coming;
    }
  }

  bool IsLeaving() const { return StopSignals::leaves() != 0; }

  // Whether somebody else's trial may still come here, or its end is waited for.
  bool IsAwaited() const {
    if (IsLeaving() || taker_->free() > 0) return !IsLeaving() && failed_starts_ < kMostFailedStarts;
    const ClaimTaker::None none = taker_->WhyNone();
    return none == ClaimTaker::None::kUnsure || (none == ClaimTaker::None::kLive && options_.waits);
  }

  // Once a signal asked to leave: no further trial, and those in hand end within the grace.
  bool HasLeft() {
    if (!IsLeaving()) return false;
    if (!leaving_since_) {
      leaving_since_ = Clock::now();
      Event(fmt::format("note: leaves; trials in hand have {:.0f} s.", options_.grace_s));
      for (Worker& worker : workers_) {
        if (worker.process && !worker.trial) worker.process->CloseInput();
      }
    }
    bool works = false;
    for (const Worker& worker : workers_) works = works || worker.trial;
    return !works || Elapsed(*leaving_since_) > options_.grace_s;
  }

  // What others did, and whether this one's trials are still its own.
  void LookAround() {
    const bool is_idle = !AnyAlive();
    if (!taker_->Look(is_idle ? kLook_s : std::max(kLook_s, campaign().settings.beat_s))) return;
    for (Worker& worker : workers_) {
      if (worker.claim && !taker_->IsHeld(*worker.claim)) {
        worker.process->Kill();
        Lose(worker);
        worker.process.reset();
      }
    }
    TakeOthersEnds();
    if (const std::string fault = member_.heartbeat().fault(); !fault.empty() && warned_.insert(fault).second) {
      Event("warning: " + fault + " Others will think that this worker is dead, and take its trials over.");
    }
    if (is_idle && Elapsed(told_waiting_) > kTellWaiting_s) {
      told_waiting_ = Clock::now();
      std::map<std::string, size_t> by_worker;
      for (const auto& [trial, worker] : taker_->others()) ++by_worker[worker.empty() ? "(a worker that just began)" : worker];
      std::vector<std::string> who;
      for (const auto& [worker, count] : by_worker) who.push_back(fmt::format("{} of {}", count, worker));
      if (!who.empty()) Event(fmt::format("note: waits for trials of others: {}.", fmt::join(who, ", ")));
    }
  }

  void TakeOthersEnds() {
    const ClaimTaker::Ended ended = taker_->TakeEnded();
    for (const size_t i : ended.done) {
      const size_t index = wanted_[i];
      records_.TakeCalibration(taker_->DoneContent(i));
      done_.push_back(index);
      done_elsewhere_.insert(index);
      for (size_t t = 0; t < recorded_[index].size(); ++t) progress_.tasks_done += recorded_[index][t] ? 0 : 1;
      recorded_[index].assign(recorded_[index].size(), true);
    }
    if (!ended.done.empty()) cache_.Save();
    for (const size_t i : ended.failed) {
      const FailureRecord failure = store_.Failure(plan_.trials[wanted_[i]].id).value_or(FailureRecord());
      result_.failures.push_back({wanted_[i], failure.stage, failure.kind, failure.reason});
      ++progress_.trials_failed;
    }
  }

  void Start(Worker& worker) {
    worker = Worker();
    std::vector<std::string> command = options_.worker_command;
    const size_t slot = static_cast<size_t>(&worker - workers_.data());
    command.insert(command.end(), {"--device", DeviceOfWorker(options_.devices, slot), "--name", member_.self().id});
    if (campaign().settings.keep_codes) command.push_back("--keep-codes");
    if (const int64_t bytes = campaign().settings.worker_memory_bytes; bytes > 0) {
      command.insert(command.end(), {"--memory", std::to_string(bytes)});
    }
    worker.memory_kills = CountMemoryKills();
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
    const double limit_s = campaign().settings.trial_timeout_s;
    if (limit_s <= 0) return;
    if (worker.trial && Elapsed(worker.trial_began) > limit_s) {
      worker.process->Kill();
      Fail(worker, "timeout",
           fmt::format("it took longer than the {} s of --trial-timeout. It had said nothing for {:.1f} s.", limit_s,
                       Elapsed(worker.heard)));
      worker.process.reset();
    } else if (!worker.ready && Elapsed(worker.started) > std::max(limit_s, kLeastStart_s)) {
      worker.process->Kill();
      Bury(worker, fmt::format("it was not ready after {:.0f} s, and was killed", Elapsed(worker.started)));
    }
  }

  void Handle(Worker& worker, const WorkerMessage& message) {
    using Kind = WorkerMessage::Kind;
    worker.heard = Clock::now();
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
        if (const std::string lacking = records_.Lacking(*worker.trial); !lacking.empty()) {
          worker.process->Kill();
          Fail(worker, "crash", fmt::format("its worker said that it was done, but {}.", lacking));
          worker.process.reset();
          break;
        }
        TrialDone(worker);
        GoOn(worker, message);
        break;
      case Kind::kFailed:
        worker.stage = message.task.empty() ? worker.stage : message.task;
        if (message.error_kind == kClaimLost) {
          Lose(worker);
          GoOn(worker, message);
          break;
        }
        Fail(worker, message.error_kind, message.text);
        GoOn(worker, message);
        break;
    }
  }

  void TrialDone(Worker& worker) {
    done_.push_back(*worker.trial);
    store_.ForgetFailure(plan_.trials[*worker.trial].id);
    ++result_.trials_here;
    taker_->Done(*worker.claim, records_.CalibrationText(*worker.trial));
    time_->AddWhole(worker.claim->trial, Elapsed(worker.trial_began));
    Event(fmt::format("{} done in {:.0f} s", plan_.trials[*worker.trial].label, Elapsed(worker.trial_began)));
    Drop(worker);
  }

  // It has no trial any more.
  void Drop(Worker& worker) {
    if (worker.claim) worker.last = worker.claim->trial;
    worker.claim.reset();
    worker.trial.reset();
    TellTrials();
  }

  // Another worker has its trial: no failure, and nothing more of it is written here.
  void Lose(Worker& worker) {
    const Trial& trial = plan_.trials[*worker.trial];
    const std::string by = WorkerOfClaim(taker_->folder().Content(trial.id, worker.claim->generation + 1));
    Event(fmt::format("warning: {} was taken over by {}: this worker did not beat for {} s, or another campaign was begun.",
                      trial.label, by.empty() ? "another worker" : by, campaign().settings.expiry_s));
    taker_->Lose(*worker.claim);
    Drop(worker);
  }

  void TellTrials() {
    std::vector<std::string> trials;
    for (const Worker& worker : workers_) {
      if (worker.trial) trials.push_back(plan_.trials[*worker.trial].id);
    }
    member_.heartbeat().SetTrials(std::move(trials));
  }

  // After the end of a trial.
  void GoOn(Worker& worker, const WorkerMessage& message) {
    message.spent ? worker.process.reset() : GiveNext(worker);
  }

  void GiveNext(Worker& worker) {
    worker.stage.clear();
    const auto claim = IsLeaving() ? std::nullopt : taker_->Next(worker.last).claim;
    TakeOthersEnds();
    if (!claim) {
      worker.sent_away = true;
      return worker.process->CloseInput();
    }
    worker.claim = claim;
    worker.trial = wanted_[claim->trial];
    worker.trial_began = Clock::now();
    TellTrials();
    worker.process->Send(ToOrderLine({plan_.trials[*worker.trial], trials_[claim->trial].weights_digest, code_digest_,
                                      campaign().work_digest, claim->file}));
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
      Death death{"crash", fmt::format("the worker process ended: {}.", end)};
      if (reason.empty()) death = DeathOf(end, worker.process->ended_by(), worker.memory_kills, CountMemoryKills());
      Fail(worker, death.kind, death.reason);
      return worker.process.reset();
    }
    if (worker.ready || IsLeaving()) return worker.process.reset();
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

  void Fail(Worker& worker, const std::string& kind, const std::string& reason) {
    if (!worker.trial) return;
    const Trial& trial = plan_.trials[*worker.trial];
    if (records_.Lacking(*worker.trial).empty()) return TrialDone(worker);  // It died after its last record.
    CheckOutput();
    if (!taker_->IsHeld(*worker.claim)) return Lose(worker);
    const int attempt = worker.claim->generation;
    store_.WriteFailure({trial.id, trial.label, worker.stage, kind, reason, worker.process->stderr_tail(), UtcNow(),
                         member_.self().Text(), attempt});
    const bool is_last = taker_->Fail(*worker.claim);
    if (is_last) {
      result_.failures.push_back({*worker.trial, worker.stage, kind, reason});
      ++progress_.trials_failed;
    }
    Event(fmt::format("{} {}: {}{}{}", is_last ? "FAILED" : "warning:", trial.label,
                      worker.stage.empty() ? "" : worker.stage + ": ", reason, is_last ? "" : " It is tried again."));
    if (!taker_->stopped().empty() && warned_.insert(taker_->stopped()).second) Event("note: " + taker_->stopped());
    Drop(worker);
  }

  // Kills what still runs: everything that is recorded is on the disk. Others may take its trials at once.
  void StopWorkers() {
    for (Worker& worker : workers_) {
      worker.process.reset();
      if (!worker.claim) continue;
      ++result_.given_back;
      try {
        taker_->Release(*worker.claim);
      } catch (const Error&) {  // Then they wait for the expiry.
      }
      Drop(worker);
    }
  }

  void Tick() {
    if (!sink_.tick) return;
    progress_.elapsed_s = Elapsed(began_);
    TellTimeLeft();
    for (const Worker& worker : workers_) {
      if (worker.trial) progress_.current = fmt::format("{}: {}", plan_.trials[*worker.trial].label, worker.stage);
    }
    sink_.tick(progress_);
  }

  void Event(const std::string& line, bool detail = false) {
    progress_.elapsed_s = Elapsed(began_);
    TellTimeLeft();
    if (sink_.event) sink_.event(progress_, line, detail);
  }
  static double Elapsed(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

  const Plan& plan_;
  const PluginHost& host_;
  const LaunchOptions& options_;
  const LaunchSink& sink_;
  RecordStore store_;
  DigestCache cache_;
  StudyRecords records_;
  CampaignMember member_;
  ClaimTaker* taker_ = nullptr;  ///< The member's.
  std::set<std::string> warned_;  // What workers warned of: once each.
  std::vector<size_t> wanted_;          ///< Trials of the plan that are to be done, or were before.
  std::vector<CampaignTrial> trials_;   ///< These, as the campaign lists them.
  std::string code_digest_;
  std::vector<std::vector<bool>> recorded_;  ///< [trials][tasks]
  std::vector<size_t> done_;  ///< Trials that are recorded, as far as is known.
  std::set<size_t> done_elsewhere_;
  int failed_starts_ = 0;     ///< In a row.
  std::optional<Clock::time_point> leaving_since_;
  std::vector<Worker> workers_;
  LaunchProgress progress_;
  LaunchResult result_;
  std::optional<TimeTeller> time_;  ///< Since Begin().
  Clock::time_point began_ = Clock::now(), told_waiting_ = Clock::now();
};

}  // namespace

LaunchResult Launch(const Plan& plan, const PluginHost& host, const LaunchOptions& options, const LaunchSink& sink) {
  try {
    return Launcher(plan, host, options, sink).Run();
  } catch (const Error&) {
    if (options.lock != nullptr) options.lock->CheckHeld();  // Of a folder that is gone, that is what is wrong.
    throw;
  }
}

}  // namespace bitlaw
