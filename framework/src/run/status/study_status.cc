#include "run/status/study_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "run/claims/claim_folder.h"
#include "run/claims/claim_taker.h"
#include "run/claims/liveness.h"
#include "run/schedule/schedule.h"
#include "run/schedule/whole_times.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostTimings = 1000;  // Files of times that are read: on a network each takes a moment.
constexpr size_t kLogLines = 3;

double Now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// Seconds since then; 0 if another machine's clock says that it is still to come.
double Age(const fs::path& file) {
  const double age = Now() - TimeOf(file);
  return age < 0 ? 0 : age;
}

std::vector<std::string> LastLines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (!line.empty()) lines.push_back(line);
  }
  if (lines.size() > kLogLines) lines.erase(lines.begin(), lines.end() - kLogLines);
  return lines;
}

// How many tasks each trial is scored on; more than there can be where that cannot be read.
size_t TasksOf(const fs::path& output) {
  constexpr size_t kUnknown = std::numeric_limits<size_t>::max();
  std::error_code error;
  const fs::path file = output / "work.json";
  if (!fs::exists(file, error)) return kUnknown;
  try {
    const Value json = ParseJson(ReadWholeFile(file), file.string());
    const Value* tasks = json.is_map() ? json.Find("tasks") : nullptr;
    return tasks != nullptr && tasks->is_list() ? tasks->AsList().size() : kUnknown;
  } catch (const Error&) {
    return kUnknown;
  }
}

}  // namespace

std::string_view Name(StudyState state) {
  switch (state) {
    case StudyState::kNotBegun: return "not begun";
    case StudyState::kPrepared: return "prepared";
    case StudyState::kRunning: return "running";
    case StudyState::kInterrupted: return "interrupted";
    case StudyState::kFinished: return "finished";
    case StudyState::kFailed: return "failed";
  }
  return "";
}

struct StatusReader::Trials {
  std::string digest;  ///< Campaign::trials_digest.
  int64_t campaign = 0;
  std::vector<std::string> ids, labels;
  std::vector<bool> recorded;
  std::vector<EstimatedTrial> estimated;
  std::map<std::string, size_t> by_id;
  size_t tasks = 0;
};

StatusReader::StatusReader(fs::path output) : output_(std::move(output)), files_(output_) {}
StatusReader::~StatusReader() = default;

// The list is read once a campaign: of each trial no more than a status shows.
const StatusReader::Trials& StatusReader::TrialsOf(const Campaign& campaign) {
  if (trials_ && trials_->digest == campaign.trials_digest && trials_->campaign == campaign.number) return *trials_;
  const std::string origin = (output_ / kTrialsFile).string();
  auto found = std::make_unique<Trials>();
  found->digest = campaign.trials_digest;
  found->campaign = campaign.number;
  std::istringstream lines(ReadWholeFile(output_ / kTrialsFile));
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const Value json = ParseJson(line, fmt::format("{}:{}", origin, number));
    const Value *trial = json.Find("trial"), *cost = json.Find("cost"), *recorded = json.Find("recorded");
    const Value *id = trial == nullptr ? nullptr : trial->Find("id"),
                *label = trial == nullptr ? nullptr : trial->Find("label");
    if (id == nullptr || !id->is_string() || label == nullptr || !label->is_string() || cost == nullptr ||
        !cost->is_number() || recorded == nullptr || !recorded->is_bool()) {
      throw Error(ErrorKind::kIo,
                  fmt::format("{}:{}: this line is no trial. Begin the study again: `bitlaw run`.", origin, number));
    }
    found->ids.push_back(id->AsString());
    found->labels.push_back(label->AsString());
    found->recorded.push_back(recorded->AsBool());
    const Value *model = trial->Find("model"), *quantizer = trial->Find("quantizer");
    EstimatedTrial one;
    one.id = id->AsString();
    if (model != nullptr && model->is_int()) one.model = std::to_string(model->AsInt());
    if (quantizer != nullptr && quantizer->is_string()) one.quantizer = quantizer->AsString();
    one.seconds = SecondsFrom(json);
    if (one.seconds.sum() <= 0) one.seconds[Stage::kRecord] = cost->AsReal();
    found->by_id[one.id] = found->estimated.size();
    found->estimated.push_back(std::move(one));
  }
  found->tasks = TasksOf(output_);
  trials_ = std::move(found);
  return *trials_;
}

StudyStatus StatusReader::Read() {
  std::error_code error;
  if (!fs::is_directory(output_, error)) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: there is no such folder. Name the output folder of a study, the one that "
                            "`bitlaw run` writes.",
                            output_.string()));
  }
  StudyStatus status;
  status.jobs = ReadSlurmJobs(output_);
  const fs::path file = output_ / kCampaignFile;
  if (!fs::exists(file, error)) {
    status.records = RecordStore(output_).Count();
    return status;
  }
  const Campaign campaign = ReadCampaign(ReadWholeFile(file), file.string());
  status.study = campaign.study;
  status.campaign = campaign.number;
  ReadWorkers(campaign, status);
  ReadTrials(campaign, status);
  return status;
}

void StatusReader::ReadWorkers(const Campaign& campaign, StudyStatus& status) {
  if (!watch_) watch_ = std::make_unique<LifeWatch>(files_, campaign.settings.expiry_s);
  for (const WorkerBeat& beat : ListWorkers(files_)) {
    if (beat.campaign != campaign.number) continue;
    WorkerStatus worker;
    worker.worker = beat.worker;
    worker.trials = beat.trials;
    worker.silent_s = Age(output_ / BeatFile(beat.worker.id));
    if (std::isnan(worker.silent_s)) continue;  // It left meanwhile.
    const WorkerLife life = watch_->Of(beat.worker.id);
    worker.lives =
        life == WorkerLife::kLives || (life == WorkerLife::kUnsure && worker.silent_s <= campaign.settings.expiry_s);
    status.workers.push_back(std::move(worker));
  }
}

void StatusReader::ReadTrials(const Campaign& campaign, StudyStatus& status) {
  const Trials& trials = TrialsOf(campaign);
  ClaimFolder folder(files_, campaign.number);
  const std::map<std::string, ClaimState> states = folder.List();
  std::map<std::string, const WorkerStatus*> live;
  for (const WorkerStatus& worker : status.workers) {
    if (worker.lives) live[worker.worker.id] = &worker;
  }
  status.stopped = folder.stopped().value_or("");
  status.total = trials.ids.size();
  std::vector<std::string> done_claims;
  std::map<std::string, int> failed;  // Trials with failed attempts that are not done, and how many.
  std::vector<std::pair<size_t, double>> in_hand;
  std::vector<size_t> left;
  for (size_t i = 0; i < trials.ids.size(); ++i) {
    const std::string& id = trials.ids[i];
    const auto found = states.find(id);
    const ClaimState state = found == states.end() ? ClaimState() : found->second;
    status.recorded_before += trials.recorded[i] ? 1 : 0;
    if (trials.recorded[i] || state.is_done) {
      ++status.done;
      if (!trials.recorded[i]) done_claims.push_back(state.generation > 0 ? folder.NameOf(id, state.generation) : "");
      continue;
    }
    if (state.failed > 0) failed[id] = state.failed;
    if (state.failed > campaign.settings.retries) {
      ++status.failed;
      continue;
    }
    const bool is_claimed = state.generation > 0 && !state.is_over;
    const auto worker = is_claimed ? live.find(WorkerOfClaim(folder.Content(id, state.generation))) : live.end();
    if (worker == live.end()) {
      ++status.left;
      left.push_back(i);
      continue;
    }
    HeldTrial held;
    held.trial = id;
    held.label = trials.labels[i];
    held.worker = worker->second->worker;
    held.silent_s = worker->second->silent_s;
    held.attempt = state.generation;
    const double since_s = Age(output_ / folder.NameOf(id, state.generation));
    held.since_s = std::isnan(since_s) ? 0 : since_s;
    in_hand.emplace_back(i, held.since_s);
    status.held.push_back(std::move(held));
  }
  CountByHost(done_claims, status);
  ReadFailures(failed, campaign, status);
  if (!in_hand.empty() || !left.empty()) {
    MeasuredCosts costs(trials.estimated, trials.tasks);
    costs.AddTimings(output_, kMostTimings);
    for (const auto& [id, seconds] : WholeTimes(output_, folder, states)) {
      if (const auto found = trials.by_id.find(id); found != trials.by_id.end()) costs.AddWhole(found->second, seconds);
    }
    const TimeLeft time = TimeLeftOf(costs, in_hand, left, live.size());
    status.work_left_s = time.work_s;
    status.remaining_s = time.remaining_s;
  }
  const bool is_ended = status.left == 0 || !status.stopped.empty();
  if (!live.empty()) {
    status.state = StudyState::kRunning;
  } else if (is_ended) {
    status.state = status.failed > 0 ? StudyState::kFailed : StudyState::kFinished;
  } else {
    status.state = states.empty() ? StudyState::kPrepared : StudyState::kInterrupted;
  }
}

void StatusReader::CountByHost(const std::vector<std::string>& done, StudyStatus& status) {
  std::vector<std::pair<const std::string, std::string>*> unread;
  for (const std::string& claim : done) {
    const auto [entry, is_new] = hosts_.try_emplace(claim);
    if (entry->second.empty() && !claim.empty()) unread.push_back(&*entry);
  }
  // A network answers many at once as fast as one.
  constexpr size_t kThreads = 16, kFewest = 64;
  std::atomic<size_t> next = 0;
  const auto read = [&] {
    for (size_t i; (i = next++) < unread.size();)
      unread[i]->second = HostOfClaim(files_.Read(unread[i]->first).value_or(""));
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(kThreads, unread.size() / kFewest); ++i) threads.emplace_back(read);
  read();
  for (std::thread& thread : threads) thread.join();
  for (const std::string& claim : done) ++status.hosts[hosts_[claim]].done;
  for (const HeldTrial& held : status.held) ++status.hosts[held.worker.host].in_hand;
}

void StatusReader::ReadFailures(const std::map<std::string, int>& failed, const Campaign& campaign,
                                StudyStatus& status) {
  const RecordStore store(output_);
  std::map<std::string, std::string> labels;
  for (size_t i = 0; i < trials_->ids.size(); ++i) {
    if (failed.contains(trials_->ids[i])) labels[trials_->ids[i]] = trials_->labels[i];
  }
  for (const auto& [trial, attempts] : failed) {
    FailedTrial one;
    one.failure = store.Failure(trial).value_or(FailureRecord());
    one.failure.trial = trial;
    one.failure.label = labels[trial];
    one.is_final = attempts > campaign.settings.retries;
    one.log = LastLines(one.failure.stderr_tail);
    status.failures.push_back(std::move(one));
  }
}

}  // namespace bitlaw
