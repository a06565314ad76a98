#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "run/claims/claim_taker.h"

namespace bitlaw {

/// A study on many nodes, in simulated time: each worker is the real ClaimTaker over a file server that is modelled.
struct ClaimsModel {
  size_t trials = 1000, workers = 20;
  size_t models = 20, texts = 4;  ///< Trials of each share what was opened.
  double trial_s = 60;            ///< Mean; log-normal, of a model by its size.
  double spread = 0.5;            ///< Standard deviation of log time within a model.
  double start_s = 30;            ///< Workers start within that time.
  double lag_s = 30;              ///< How late a client sees names that others made (NFS: acdirmin is 30 s).
  double operation_s = 0.001;     ///< Of one request; listing takes one more per 1000 names.
  double beat_s = 15, expiry_s = 60;
  size_t killed = 0;              ///< Workers that end at a random moment without a word.
  double names_per_s = 100000;    ///< ClaimTaker::Options::names_per_s.
  uint64_t seed = 1;
};

/// What came of it.
struct ClaimsOutcome {
  size_t done = 0;              ///< Trials that have an end.
  size_t done_twice = 0;        ///< Those that were done again by who took them from a dead worker's hands, or beside it.
  size_t claims = 0, refused = 0;  ///< Files created as claims, and those that were there already.
  uint64_t creates = 0, lists = 0, names = 0, reads = 0, looks_up = 0;  ///< Requests of all workers, beats among creates.
  double peak_per_s = 0;        ///< Requests in the busiest second, a thousand listed names counting as one.
  double span_s = 0;            ///< Until the last trial was done.
  double ideal_s = 0;           ///< All work divided by the workers that were not killed.
  double choose_ms = 0;         ///< Processor time of ClaimTaker::Next(), the mean.
  double look_ms = 0;           ///< Of one look, the mean.
  double idle_s = 0;            ///< From the end of a worker's last trial until it leaves, the mean.
  size_t largest_folder = 0, files = 0;
  double per_s(uint64_t count) const { return static_cast<double>(count) / std::max(span_s, 1.0); }
};

/// The server, as the worker whose turn it is sees it. `now` goes on with each request.
class ModelledFiles final : public SharedFiles {
 public:
  explicit ModelledFiles(const ClaimsModel& model) : model_(model), deaths_(model.workers, kNever) {}

  bool Create(const std::string& name, const std::string& content) override {
    Ask(1);
    ++outcome.creates;
    if (!files_.try_emplace(name, File{now, self, content}).second) return false;
    const size_t slash = name.rfind('/');
    const std::string folder = name.substr(0, slash);
    auto [entry, is_new] = folders_.try_emplace(folder);
    if (is_new) {
      const size_t above = folder.rfind('/');
      folders_[folder.substr(0, above)].push_back({folder.substr(above + 1), now, self});
    }
    folders_[folder].push_back({name.substr(slash + 1), now, self});
    return true;
  }
  void Replace(const std::string&, const std::string&) override { Ask(1); }
  void Remove(const std::string&) override { Ask(1); }
  void RemoveFolder(const std::string&) override { Ask(1); }
  std::optional<std::string> Read(const std::string& name) const override {
    Ask(1);
    ++outcome.reads;
    if (name == kCampaignFile) return campaign;
    if (name.starts_with("workers/claims")) return std::nullopt;  // Of a claim whose text is not seen yet.
    if (name.starts_with("workers/")) return BeatOf(static_cast<size_t>(std::stoul(name.substr(9))));
    const auto found = files_.find(name);
    return found != files_.end() && Sees(found->second.since, found->second.maker)
               ? std::optional<std::string>(found->second.content)
               : std::nullopt;
  }
  bool Exists(const std::string& name) const override {
    Ask(1);
    ++outcome.looks_up;
    const auto found = files_.find(name);
    return found != files_.end() && Sees(found->second.since, found->second.maker);
  }
  std::vector<std::string> List(const std::string& folder) const override {
    std::vector<std::string> names;
    if (folder == kWorkersFolder) {
      for (size_t w = 0; w < model_.workers; ++w) names.push_back(NameOf(w) + ".json");
    } else if (const auto found = folders_.find(folder); found != folders_.end()) {
      for (const Entry& entry : found->second) {
        if (Sees(entry.since, entry.maker)) names.push_back(entry.name);
      }
    }
    ++outcome.lists;
    outcome.names += names.size();
    Ask(1 + static_cast<double>(names.size()) / 1000);
    return names;
  }

  static std::string NameOf(size_t worker) { return fmt::format("w{}", worker); }
  void Kill(size_t worker) { deaths_[worker] = now; }
  bool IsDead(size_t worker) const { return deaths_[worker] <= now; }
  bool HasFile(const std::string& name) const { return files_.contains(name); }
  void Finish() {
    for (const auto& [second, requests] : requests_) outcome.peak_per_s = std::max(outcome.peak_per_s, requests);
    for (const auto& [name, entries] : folders_) outcome.largest_folder = std::max(outcome.largest_folder, entries.size());
    outcome.files = files_.size();
  }

  mutable double now = 0;
  size_t self = 0;
  std::string campaign;
  mutable ClaimsOutcome outcome;

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();
  struct File {
    double since;
    size_t maker;
    std::string content;
  };
  struct Entry {
    std::string name;
    double since;
    size_t maker;
  };
  void Ask(double requests) const {
    requests_[static_cast<int64_t>(now)] += requests;
    now += model_.operation_s * requests;
  }
  bool Sees(double since, size_t maker) const { return maker == self || since <= now - model_.lag_s; }
  std::optional<std::string> BeatOf(size_t worker) const {
    WorkerBeat beat;
    beat.worker.id = NameOf(worker);
    beat.campaign = 1;
    beat.beat = static_cast<int64_t>(std::max(0.0, std::min(now - model_.lag_s, deaths_[worker])) / model_.beat_s);
    return WriteBeat(beat);
  }

  const ClaimsModel& model_;
  std::vector<double> deaths_;
  std::unordered_map<std::string, File> files_;
  std::unordered_map<std::string, std::vector<Entry>> folders_;
  mutable std::unordered_map<int64_t, double> requests_;
};

inline ClaimsOutcome Simulate(const ClaimsModel& model) {
  std::mt19937_64 random(model.seed);
  std::vector<CampaignTrial> trials(model.trials);
  std::vector<double> seconds(model.trials);
  double all = 0;
  for (size_t i = 0; i < trials.size(); ++i) {
    const size_t size = i * model.models / model.trials;
    trials[i].trial.id = fmt::format("{:012x}", random() >> 16);
    const double mean = 2.0 * (static_cast<double>(size) + 0.5) / static_cast<double>(model.models);
    trials[i].weight = {fmt::format("model {}", size), fmt::format("text {}", i % model.texts), mean};
    seconds[i] = model.trial_s * mean *
                 std::exp(std::normal_distribution<double>(-model.spread * model.spread / 2, model.spread)(random));
    all += seconds[i];
  }
  Campaign campaign;
  campaign.number = 1;
  campaign.study = "simulated";
  campaign.work_digest = campaign.trials_digest = campaign.code_digest = std::string(64, '0');
  campaign.settings.beat_s = model.beat_s;
  campaign.settings.expiry_s = model.expiry_s;

  ModelledFiles files(model);
  files.campaign = WriteCampaign(campaign);
  const auto clock = [&files] { return files.now; };
  struct Worker {
    std::unique_ptr<LifeWatch> watch;
    std::unique_ptr<ClaimTaker> taker;
    std::optional<ClaimTaker::Claim> claim;
    std::optional<size_t> last;
    double last_done_s = 0;
  };
  std::vector<Worker> workers(model.workers);
  const auto shared = std::make_shared<const ClaimTrials>(trials);
  enum class Kind { kStart, kNext, kDone, kLook, kKill };
  struct Event {
    double at;
    uint64_t number;
    size_t worker;
    Kind kind;
    bool operator>(const Event& other) const { return std::pair(at, number) > std::pair(other.at, other.number); }
  };
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events;
  uint64_t number = 0;
  const auto at = [&](double when, size_t worker, Kind kind) { events.push({when, number++, worker, kind}); };
  files.outcome.ideal_s = all / static_cast<double>(model.workers - model.killed);
  for (size_t w = 0; w < model.workers; ++w) {
    at(std::uniform_real_distribution<double>(0, model.start_s)(random), w, Kind::kStart);
    if (w < model.killed) at(std::uniform_real_distribution<double>(0, 1)(random) * files.outcome.ideal_s, w, Kind::kKill);
  }

  using Cpu = std::chrono::steady_clock;
  double chose_s = 0, looked_s = 0, last_done = 0, idle_s = 0;
  size_t choices = 0, looks = 0;
  while (!events.empty()) {
    const Event event = events.top();
    events.pop();
    files.now = event.at;
    files.self = event.worker;
    Worker& worker = workers[event.worker];
    if (event.kind == Kind::kKill) {
      files.Kill(event.worker);
      continue;
    }
    if (files.IsDead(event.worker)) {
      worker = Worker();
      continue;
    }
    const auto look = [&](double age_s) {
      const Cpu::time_point begin = Cpu::now();
      const bool has_looked = worker.taker->Look(age_s);
      if (!has_looked) return;
      worker.taker->TakeEnded();
      looked_s += std::chrono::duration<double>(Cpu::now() - begin).count();
      ++looks;
    };
    if (event.kind == Kind::kStart) {
      worker.watch = std::make_unique<LifeWatch>(files, model.expiry_s, clock,
                                                 [](const WorkerIdentity&) { return LifeWatch::Process::kUnknown; });
      WorkerIdentity identity;
      identity.id = ModelledFiles::NameOf(event.worker);
      ClaimTaker::Options options;
      options.campaign = campaign;
      options.worker = identity.id;
      options.content = ClaimText(identity, "");
      options.now = clock;
      options.seed = random();
      options.names_per_s = model.names_per_s;
      worker.taker = std::make_unique<ClaimTaker>(files, *worker.watch, std::move(options), shared);
      look(0);
      at(files.now + model.beat_s, event.worker, Kind::kLook);
    }
    if (!worker.taker) continue;  // It has left.
    if (event.kind == Kind::kLook) {
      if (worker.claim) look(model.beat_s);
      at(std::max(files.now, event.at + model.beat_s), event.worker, Kind::kLook);
      continue;
    }
    if (event.kind == Kind::kDone) {
      if (worker.taker->IsHeld(*worker.claim)) {
        const std::string done = worker.taker->folder().NameOf(trials[worker.claim->trial].trial.id, worker.claim->generation);
        const std::string end = done.substr(0, done.rfind('.')) + ".done";
        if (files.HasFile(end)) ++files.outcome.done_twice; else ++files.outcome.done;
        worker.taker->Done(*worker.claim, "");
        last_done = worker.last_done_s = std::max(last_done, files.now);
      } else {
        ++files.outcome.done_twice;
        worker.taker->Lose(*worker.claim);
      }
      worker.last = worker.claim->trial;
      worker.claim.reset();
    }
    const uint64_t creates = files.outcome.creates;
    const Cpu::time_point begin = Cpu::now();
    const ClaimTaker::Taken taken = worker.taker->Next(worker.last);
    chose_s += std::chrono::duration<double>(Cpu::now() - begin).count();
    ++choices;
    files.outcome.claims += taken.claim ? 1 : 0;
    files.outcome.refused += files.outcome.creates - creates - (taken.claim ? 1 : 0);
    if (taken.claim) {
      worker.claim = taken.claim;
      at(files.now + seconds[taken.claim->trial], event.worker, Kind::kDone);
    } else if (taken.none == ClaimTaker::None::kUnsure) {
      at(files.now + 1, event.worker, Kind::kNext);
    } else {
      idle_s += files.now - worker.last_done_s;
      worker = Worker();
    }
  }
  files.Finish();
  files.outcome.span_s = last_done;
  files.outcome.idle_s = idle_s / static_cast<double>(std::max<size_t>(model.workers - model.killed, 1));
  files.outcome.creates += static_cast<uint64_t>(last_done / model.beat_s * static_cast<double>(model.workers));
  files.outcome.choose_ms = 1000 * chose_s / static_cast<double>(std::max<size_t>(choices, 1));
  files.outcome.look_ms = 1000 * looked_s / static_cast<double>(std::max<size_t>(looks, 1));
  return files.outcome;
}

}  // namespace bitlaw
