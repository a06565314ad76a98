#include "run/status/study_status.h"

#include <fmt/format.h>
#include <sys/stat.h>

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

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostTimed = 200;  // Trials whose times are asked for: on a network each answer takes a moment.
constexpr size_t kLogLines = 3;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double Now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// When a file was written; NaN if it is not there.
double TimeOf(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return kNone;
  return static_cast<double>(status.st_mtim.tv_sec) + 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

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

// Cost per second, of one process: measured on some of the trials that this campaign did.
double Speed(const fs::path& output, const ClaimFolder& folder, const std::map<std::string, ClaimState>& states,
             const std::map<std::string, double>& costs) {
  std::vector<const std::pair<const std::string, ClaimState>*> done;
  for (const auto& state : states) {
    if (state.second.is_done && state.second.generation > 0) done.push_back(&state);
  }
  double cost = 0, seconds = 0;
  const size_t step = std::max<size_t>(1, done.size() / kMostTimed);
  for (size_t i = 0; i < done.size(); i += step) {
    const auto& [trial, state] = *done[i];
    const auto found = costs.find(trial);
    const fs::path claim = output / folder.NameOf(trial, state.generation);
    const double took = TimeOf(claim.parent_path() / (trial + ".done")) - TimeOf(claim);
    if (found == costs.end() || !(took > 0)) continue;
    cost += found->second;
    seconds += took;
  }
  return seconds > 0 && cost > 0 ? cost / seconds : kNone;
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
  std::map<std::string, double> costs;
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
    found->costs[id->AsString()] = cost->AsReal();
  }
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
  double cost_left = 0;
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
    cost_left += trials.costs.at(id);
    if (worker == live.end()) {
      ++status.left;
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
    status.held.push_back(std::move(held));
  }
  CountByHost(done_claims, status);
  ReadFailures(failed, campaign, status);
  const double speed = Speed(output_, folder, states, trials.costs);
  for (const HeldTrial& held : status.held)
    cost_left -= std::min(trials.costs.at(held.trial), speed > 0 ? speed * held.since_s : 0);
  status.work_left_s = cost_left / speed;
  const size_t at_once = std::max(status.held.size(), live.size());
  if (at_once > 0) status.remaining_s = status.work_left_s / static_cast<double>(at_once);
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
