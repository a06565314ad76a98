#include "run/claims/claim_order.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace bitlaw {
namespace {

// The number of `name`, the next one if it is new.
uint32_t NumberOf(const std::string& name, std::map<std::string, uint32_t>& numbers) {
  return numbers.try_emplace(name, static_cast<uint32_t>(numbers.size())).first->second;
}

}  // namespace

ClaimOrder::ClaimOrder(const std::vector<TrialWeight>& trials)
    : states_(trials.size(), State::kFree), costliest_first_(trials.size()), free_(trials.size()) {
  std::map<std::string, uint32_t> groups, subgroups;
  std::vector<double> most;
  for (const TrialWeight& trial : trials) {
    groups_.push_back(NumberOf(trial.group, groups));
    subgroups_.push_back(NumberOf(trial.group + "\n" + trial.subgroup, subgroups));
    if (groups.size() > most.size()) most.push_back(trial.cost);
    most[groups_.back()] = std::max(most[groups_.back()], trial.cost);
  }
  groups_in_work_.resize(groups.size());
  subgroups_in_work_.resize(subgroups.size());
  std::iota(costliest_first_.begin(), costliest_first_.end(), uint32_t{0});
  // Within a group as they stand: the unquantized model first, and neighbours share most.
  std::stable_sort(costliest_first_.begin(), costliest_first_.end(),
                   [&](uint32_t a, uint32_t b) { return most[groups_[a]] > most[groups_[b]]; });
}

void ClaimOrder::Set(size_t trial, State state) {
  State& now = states_[trial];
  if (now == state) return;
  if (now == State::kInWork) --groups_in_work_[groups_[trial]], --subgroups_in_work_[subgroups_[trial]];
  if (state == State::kInWork) ++groups_in_work_[groups_[trial]], ++subgroups_in_work_[subgroups_[trial]];
  free_ += (state == State::kFree) - (now == State::kFree);
  in_work_ += (state == State::kInWork) - (now == State::kInWork);
  now = state;
}

std::optional<size_t> ClaimOrder::Next(std::optional<size_t> last, size_t among, uint64_t random) const {
  if (free_ == 0) return std::nullopt;
  // The better the rank, the lower: like the last one; its group's, where nobody works on them; a group of nobody's; ...
  enum Rank { kAlike, kSameGroup, kNobodys, kNobodysText, kLeft };
  std::vector<size_t> best;
  Rank best_rank = kLeft;
  for (const size_t i : costliest_first_) {
    if (states_[i] != State::kFree) continue;
    Rank rank = kLeft;
    const bool same_group = last && groups_[i] == groups_[*last];
    if (same_group && subgroups_[i] == subgroups_[*last]) {
      rank = kAlike;
    } else if (same_group && subgroups_in_work_[subgroups_[i]] == 0) {
      rank = kSameGroup;
    } else if (groups_in_work_[groups_[i]] == 0) {
      rank = kNobodys;
    } else if (subgroups_in_work_[subgroups_[i]] == 0) {
      rank = kNobodysText;
    }
    if (rank < best_rank) best.clear(), best_rank = rank;
    if (rank == best_rank && best.size() < among) best.push_back(i);
    if (best_rank == kAlike && best.size() == among) break;
  }
  return best[random % best.size()];
}

}  // namespace bitlaw
