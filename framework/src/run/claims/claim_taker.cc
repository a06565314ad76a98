#include "run/claims/claim_taker.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

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

ClaimTaker::ClaimTaker(SharedFiles& files, LifeWatch& watch, Options options, const std::vector<CampaignTrial>& trials)
    : files_(files),
      watch_(watch),
      options_(std::move(options)),
      folder_(files, options_.campaign.number),
      order_(WeightsOf(trials)),
      generations_(trials.size(), 0),
      random_(options_.seed) {
  if (!options_.now) options_.now = &SteadySeconds;
  for (size_t i = 0; i < trials.size(); ++i) {
    ids_.push_back(trials[i].trial.id);
    by_id_.push_back(static_cast<uint32_t>(i));
    if (trials[i].recorded) order_.Set(i, ClaimOrder::State::kEnded);
  }
  std::sort(by_id_.begin(), by_id_.end(), [&](uint32_t a, uint32_t b) { return ids_[a] < ids_[b]; });
}

std::optional<size_t> ClaimTaker::TrialOf(const std::string& id) const {
  const auto found = std::lower_bound(by_id_.begin(), by_id_.end(), id,
                                      [&](uint32_t trial, const std::string& wanted) { return ids_[trial] < wanted; });
  return found != by_id_.end() && ids_[*found] == id ? std::optional<size_t>(*found) : std::nullopt;
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
  if (order_.in_work() == 0) return None::kAllEnded;
  if (others_.empty()) return None::kHere;
  return unsure_ ? None::kUnsure : None::kLive;
}

ClaimTaker::Taken ClaimTaker::Next(std::optional<size_t> last) {
  superseded_ = superseded_ || IsSuperseded();
  constexpr int kManyLost = 3;
  int lost = 0;
  for (size_t among = 1;;) {
    if (superseded_ || !stopped_.empty()) return {std::nullopt, WhyNone()};
    const auto trial = order_.Next(last, among, random_());
    if (!trial) {
      if (!Look(options_.look_s) || order_.free() == 0) return {std::nullopt, WhyNone()};
      continue;
    }
    const int generation = ++generations_[*trial];
    const std::string& id = ids_[*trial];
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
    others_[*trial];
    // Others are ahead of what this one knows: at first as many as there are workers, then more each time.
    among = among == 1 ? 2 * std::max<size_t>(workers_, 2) : std::min(2 * among, ids_.size());
    if (++lost == kManyLost) Look(options_.look_s);
  }
}

bool ClaimTaker::Look(double age_s) {
  if (options_.now() - looked_ < std::max(age_s, least_age_s_)) return false;
  LookNow();
  return true;
}

void ClaimTaker::LookNow() {
  looked_ = options_.now();
  superseded_ = superseded_ || IsSuperseded();
  if (const auto reason = folder_.stopped()) stopped_ = *reason;
  size_t names = 0, folders = 0;
  for (const auto& [id, state] : folder_.List(&names, &folders)) {
    if (const auto trial = TrialOf(id)) See(*trial, state);
  }
  workers_ = files_.List(kWorkersFolder).size();
  const double age = static_cast<double>(workers_) * static_cast<double>(names + 100 * folders) / options_.names_per_s;
  least_age_s_ = age < 1 ? 0 : age;
  // Whose worker is dead may wait while there is enough to do: many workers would read each other's beats all the time.
  constexpr size_t kMany = 64;
  if (workers_ > kMany && order_.free() > 0) {
    unsure_ = true;
  } else {
    WatchOthers();
  }
}

void ClaimTaker::WatchOthers() {
  unsure_ = false;
  std::vector<size_t> orphans;
  for (auto& [trial, worker] : others_) {
    const std::string claim = folder_.NameOf(ids_[trial], generations_[trial]);
    std::string& holder = holders_[claim];
    if (holder.empty()) holder = WorkerOfClaim(folder_.Content(ids_[trial], generations_[trial]));
    worker = holder;
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
      others_[trial];
    }
    return;
  }
  others_.erase(trial);
  if (state.failed <= options_.campaign.settings.retries) return order_.Set(trial, ClaimOrder::State::kFree);
  SetEnded(trial, ended_.failed);
  CountFailure(trial);
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
                         ids_[trial]);
  folder_.Stop(stopped_);
}

void ClaimTaker::Done(const Claim& claim, const std::string& content) {
  folder_.Done(ids_[claim.trial], content);
  mine_.erase(claim.trial);
  order_.Set(claim.trial, ClaimOrder::State::kEnded);
}

bool ClaimTaker::Fail(const Claim& claim) {
  const std::string& id = ids_[claim.trial];
  folder_.Fail(id, claim.generation);
  mine_.erase(claim.trial);
  const bool is_last = folder_.CountFailed(id, claim.generation) > options_.campaign.settings.retries;
  order_.Set(claim.trial, is_last ? ClaimOrder::State::kEnded : ClaimOrder::State::kFree);
  if (is_last) CountFailure(claim.trial);
  return is_last;
}

void ClaimTaker::Release(const Claim& claim) {
  folder_.Release(ids_[claim.trial], claim.generation);
  mine_.erase(claim.trial);
  order_.Set(claim.trial, ClaimOrder::State::kFree);
}

void ClaimTaker::Lose(const Claim& claim) {
  mine_.erase(claim.trial);
  others_[claim.trial];
  generations_[claim.trial] = std::max(generations_[claim.trial], claim.generation + 1);
}

ClaimTaker::Ended ClaimTaker::TakeEnded() { return std::exchange(ended_, {}); }

}  // namespace bitlaw
