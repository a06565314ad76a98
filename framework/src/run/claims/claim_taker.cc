#include "run/claims/claim_taker.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

constexpr size_t kManyWorkers = 64;
constexpr double kBusyAges = 4;
constexpr int kManyLost = 3, kMostLost = 16;  // Claims, of one call of Next().

double SteadySeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<TrialWeight> WeightsOf(const std::vector<CampaignTrial>& trials) {
  std::vector<TrialWeight> weights;
  for (const CampaignTrial& one : trials) weights.push_back(one.weight);
  return weights;
}

std::string FieldOfClaim(const std::string& text, const char* name) {
  try {
    const Value json = ParseJson(text, "claim");
    const Value* field = json.is_map() ? json.Find(name) : nullptr;
    return field != nullptr && field->is_string() ? field->AsString() : "";
  } catch (const Error&) {  // It is being written.
    return "";
  }
}

}  // namespace

std::string ClaimText(const WorkerIdentity& worker, const std::string& date) {
  return PrettyJson(Value::Map{{"worker", worker.id}, {"host", worker.host}, {"pid", worker.pid}, {"job", worker.job}, {"date", date}});
}

std::string WorkerOfClaim(const std::string& text) { return FieldOfClaim(text, "worker"); }
std::string HostOfClaim(const std::string& text) { return FieldOfClaim(text, "host"); }

ClaimTrials::ClaimTrials(const std::vector<CampaignTrial>& trials)
    : ranked(std::make_shared<RankedTrials>(WeightsOf(trials))) {
  for (size_t i = 0; i < trials.size(); ++i) {
    ids.push_back(trials[i].trial.id);
    by_id.push_back(static_cast<uint32_t>(i));
    if (trials[i].recorded) recorded.push_back(static_cast<uint32_t>(i));
  }
  std::sort(by_id.begin(), by_id.end(), [&](uint32_t a, uint32_t b) { return ids[a] < ids[b]; });
}

ClaimTaker::ClaimTaker(SharedFiles& files, LifeWatch& watch, Options options, const std::vector<CampaignTrial>& trials)
    : ClaimTaker(files, watch, std::move(options), std::make_shared<ClaimTrials>(trials)) {}

ClaimTaker::ClaimTaker(SharedFiles& files, LifeWatch& watch, Options options, std::shared_ptr<const ClaimTrials> trials)
    : files_(files),
      watch_(watch),
      options_(std::move(options)),
      folder_(files, options_.campaign.number),
      trials_(std::move(trials)),
      order_(trials_->ranked),
      generations_(trials_->ids.size(), 0),
      random_(options_.seed) {
  if (!options_.now) options_.now = &SteadySeconds;
  for (const uint32_t trial : trials_->recorded) order_.Set(trial, ClaimOrder::State::kEnded);
}

std::optional<size_t> ClaimTaker::TrialOf(const std::string& id) const {
  const auto& [ids, by_id] = std::tie(trials_->ids, trials_->by_id);
  const auto found = std::lower_bound(by_id.begin(), by_id.end(), id,
                                      [&](uint32_t trial, const std::string& wanted) { return ids[trial] < wanted; });
  return found != by_id.end() && ids[*found] == id ? std::optional<size_t>(*found) : std::nullopt;
}

bool ClaimTaker::IsSuperseded() const {
  const auto text = files_.Read(kCampaignFile);
  if (!text) return false;  // Lagging, or being replaced; a folder that is gone is noticed by who writes into it.
  try {
    return ReadCampaign(*text, kCampaignFile).number != options_.campaign.number;
  } catch (const Error&) {
    return true;
  }
}

ClaimTaker::None ClaimTaker::WhyNone() const {
  if (superseded_) return None::kSuperseded;
  if (!stopped_.empty()) return None::kStopped;
  if (order_.free() > 0) return None::kUnsure;  // It pauses, or did not try.
  if (order_.in_work() == 0) return None::kAllEnded;
  if (others_.empty()) return None::kHere;
  return unsure_ && !leaves_to_others_ ? None::kUnsure : None::kLive;
}

ClaimTaker::Taken ClaimTaker::Next(std::optional<size_t> last) {
  superseded_ = superseded_ || IsSuperseded();
  const auto more = [&](size_t among) {
    return std::min(std::max(2 * among, 2 * workers_), std::max<size_t>(order_.free(), 1));
  };
  // Of a crowd that knows nothing of each other yet all would try the same one.
  size_t among = last || workers_ <= kManyWorkers ? 1 : 2 * workers_;
  for (int lost = 0;;) {
    if (superseded_ || !stopped_.empty() || IsPausing()) return {std::nullopt, WhyNone()};
    const auto trial = order_.Next(last, among, random_());
    if (!trial) {
      if (Look(options_.look_s) && order_.free() > 0) continue;
      DrawWhoWaits();
      return {std::nullopt, WhyNone()};
    }
    const std::string& id = IdOf(*trial);
    const std::string folder = ClaimFolder::FolderOf(id);
    const auto seen = looked_into_.find(folder);
    const double seen_s = seen == looked_into_.end() ? looked_ : std::max(looked_, seen->second);
    if (options_.now() - seen_s >= options_.campaign.settings.beat_s) {
      LookInto(folder);
      if (order_.state(*trial) != ClaimOrder::State::kFree) among = more(among);
      continue;
    }
    const int generation = ++generations_[*trial];
    order_.Set(*trial, ClaimOrder::State::kInWork);
    // A server whose first answer was lost may say that a claim is there that it made for this very worker.
    if (folder_.Claim(id, generation, options_.content) || WorkerOfClaim(folder_.Content(id, generation)) == options_.worker) {
      others_.erase(*trial);
      // Its worker may have ended it, and then itself, since the folder was listed.
      if (generation > 1 && folder_.IsDone(id)) {
        SetEnded(*trial, ended_.done);
        continue;
      }
      return {mine_[*trial] = {*trial, generation, folder_.NameOf(id, generation)}};
    }
    NoteOther(*trial);
    // Others are ahead of what can be seen: at first as many candidates as there are workers twice over, then more.
    among = more(among);
    if (++lost == kManyLost) Look(options_.look_s);
    if (lost == kMostLost) paused_until_ = options_.now() + options_.campaign.settings.beat_s;
  }
}

bool ClaimTaker::Look(double age_s) {
  // While something is free each claim's folder is seen before it is made: the rest has time.
  const double least_s = order_.free() > 0 ? kBusyAges * least_age_s_ : least_age_s_;
  if (options_.now() - looked_ < std::max(age_s, least_s)) return false;
  LookNow();
  return true;
}

void ClaimTaker::LookNow() {
  looked_ = options_.now();
  has_drawn_ = leaves_to_others_ = false;
  superseded_ = superseded_ || IsSuperseded();
  if (const auto reason = folder_.stopped()) stopped_ = *reason;
  const std::vector<std::string> folders = folder_.Folders();
  size_t names = 100 * folders.size();
  for (const std::string& folder : folders) names += LookInto(folder);
  workers_ = files_.List(kWorkersFolder).size();
  const double age = static_cast<double>(workers_) * static_cast<double>(names) / options_.names_per_s;
  least_age_s_ = age < 1 ? 0 : age;
  // Whose worker is dead may wait while there is enough to do: many workers would read each other's beats all the time.
  if (workers_ > kManyWorkers && order_.free() > 0) {
    unsure_ = true;
  } else {
    WatchOthers();
  }
}

// Of a crowd in which each may look once in many minutes only, some stay to see whether the others live: each decides by
// chance, so that about as many stay whoever of them is dead.
void ClaimTaker::DrawWhoWaits() {
  if (!unsure_ || has_drawn_ || least_age_s_ <= options_.campaign.settings.beat_s) return;
  has_drawn_ = true;
  workers_ = files_.List(kWorkersFolder).size();
  leaves_to_others_ = workers_ > kManyWorkers && random_() % workers_ >= kManyWorkers;
}

size_t ClaimTaker::LookInto(const std::string& folder) {
  looked_into_[folder] = options_.now();
  size_t names = 0;
  for (const auto& [id, state] : folder_.List(folder, &names)) {
    if (const auto trial = TrialOf(id)) See(*trial, state);
  }
  return names;
}

void ClaimTaker::WatchOthers() {
  unsure_ = false;
  std::vector<size_t> orphans;
  for (auto& [trial, worker] : others_) {
    const std::string claim = folder_.NameOf(trials_->ids[trial], generations_[trial]);
    std::string& holder = holders_[claim];
    if (holder.empty()) holder = WorkerOfClaim(folder_.Content(trials_->ids[trial], generations_[trial]));
    worker = holder;
    // Made for this worker by a server whose answer was lost, and then not to be read at once.
    if (worker == options_.worker) {
      orphans.push_back(trial);
      continue;
    }
    // Who did not live long enough to say its name is watched under the claim's.
    const WorkerLife life = watch_.Of(worker.empty() ? claim : worker);
    if (life == WorkerLife::kDead) orphans.push_back(trial);
    unsure_ = unsure_ || life == WorkerLife::kUnsure;
  }
  for (const size_t trial : orphans) {
    others_.erase(trial);
    order_.Set(trial, ClaimOrder::State::kFree);
  }
}

void ClaimTaker::See(size_t trial, const ClaimState& state) {
  if (order_.state(trial) == ClaimOrder::State::kEnded) return;
  const bool is_mine = mine_.contains(trial);
  if (state.is_done && !is_mine) return SetEnded(trial, ended_.done);
  if (is_mine || state.generation < generations_[trial]) return;  // A look at the past.
  const bool is_new = state.generation > generations_[trial];
  generations_[trial] = state.generation;
  if (!state.is_over) {
    // One that is known to be dead stays free.
    if (is_new || order_.state(trial) == ClaimOrder::State::kInWork) {
      order_.Set(trial, ClaimOrder::State::kInWork);
      NoteOther(trial);
    }
    return;
  }
  others_.erase(trial);
  if (state.failed <= options_.campaign.settings.retries) return order_.Set(trial, ClaimOrder::State::kFree);
  SetEnded(trial, ended_.failed);
  CountFailure(trial);
}

void ClaimTaker::NoteOther(size_t trial) {
  if (others_.try_emplace(trial).second) unsure_ = true;  // Until it is watched.
}

void ClaimTaker::SetEnded(size_t trial, std::vector<size_t>& list) {
  others_.erase(trial);
  order_.Set(trial, ClaimOrder::State::kEnded);
  list.push_back(trial);
}

void ClaimTaker::CountFailure(size_t trial) {
  ++failed_;
  const auto most = static_cast<size_t>(std::max(0, options_.campaign.settings.max_failures));
  if (most == 0 || failed_ < most || !stopped_.empty()) return;
  stopped_ = fmt::format("{} failed, as many as --max-failures allows; the last one was {}.", Counted(failed_, "trial"),
                         trials_->ids[trial]);
  folder_.Stop(stopped_);
}

void ClaimTaker::Done(const Claim& claim, const std::string& content) {
  folder_.Done(trials_->ids[claim.trial], content);
  mine_.erase(claim.trial);
  order_.Set(claim.trial, ClaimOrder::State::kEnded);
}

bool ClaimTaker::Fail(const Claim& claim) {
  const std::string& id = trials_->ids[claim.trial];
  folder_.Fail(id, claim.generation);
  mine_.erase(claim.trial);
  const bool is_last = folder_.CountFailed(id, claim.generation) > options_.campaign.settings.retries;
  order_.Set(claim.trial, is_last ? ClaimOrder::State::kEnded : ClaimOrder::State::kFree);
  if (is_last) CountFailure(claim.trial);
  return is_last;
}

void ClaimTaker::Release(const Claim& claim) {
  folder_.Release(trials_->ids[claim.trial], claim.generation);
  mine_.erase(claim.trial);
  order_.Set(claim.trial, ClaimOrder::State::kFree);
}

void ClaimTaker::Lose(const Claim& claim) {
  mine_.erase(claim.trial);
  NoteOther(claim.trial);
  generations_[claim.trial] = std::max(generations_[claim.trial], claim.generation + 1);
}

ClaimTaker::Ended ClaimTaker::TakeEnded() { return std::exchange(ended_, {}); }

}  // namespace bitlaw
