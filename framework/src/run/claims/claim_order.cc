#include "run/claims/claim_order.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace bitlaw {
namespace {

std::string SubgroupKey(const TrialWeight& trial) { return trial.group + "\n" + trial.subgroup; }

}  // namespace

ClaimOrder::ClaimOrder(std::vector<TrialWeight> trials)
    : trials_(std::move(trials)), states_(trials_.size(), State::kFree), costliest_first_(trials_.size()), free_(trials_.size()) {
  std::iota(costliest_first_.begin(), costliest_first_.end(), size_t{0});
  std::map<std::string, double> most;
  for (const TrialWeight& trial : trials_) {
    double& cost = most.try_emplace(trial.group, trial.cost).first->second;
    cost = std::max(cost, trial.cost);
  }
  // Within a group as they stand: the unquantized model first, and neighbours share most.
  std::stable_sort(costliest_first_.begin(), costliest_first_.end(),
                   [&](size_t a, size_t b) { return most[trials_[a].group] > most[trials_[b].group]; });
}

void ClaimOrder::Count(size_t trial, int by) {
  groups_in_work_[trials_[trial].group] += by;
  subgroups_in_work_[SubgroupKey(trials_[trial])] += by;
}

void ClaimOrder::Set(size_t trial, State state) {
  State& now = states_[trial];
  if (now == state) return;
  if (now == State::kInWork) Count(trial, -1);
  if (state == State::kInWork) Count(trial, 1);
  free_ += (state == State::kFree) - (now == State::kFree);
  in_work_ += (state == State::kInWork) - (now == State::kInWork);
  now = state;
}

std::optional<size_t> ClaimOrder::Next(std::optional<size_t> last, size_t skip) const {
  if (free_ == 0) return std::nullopt;
  // The better the rank, the lower: like the last one; its group's, where nobody works on them; a group of nobody's; ...
  enum Rank { kAlike, kSameGroup, kNobodys, kNobodysText, kLeft };
  std::vector<size_t> best;
  Rank best_rank = kLeft;
  for (const size_t i : costliest_first_) {
    if (states_[i] != State::kFree) continue;
    const TrialWeight& trial = trials_[i];
    const auto works = [](const std::map<std::string, int>& counts, const std::string& key) {
      const auto found = counts.find(key);
      return found != counts.end() && found->second > 0;
    };
    Rank rank = kLeft;
    const bool same_group = last && trial.group == trials_[*last].group;
    if (same_group && trial.subgroup == trials_[*last].subgroup) {
      rank = kAlike;
    } else if (same_group && !works(subgroups_in_work_, SubgroupKey(trial))) {
      rank = kSameGroup;
    } else if (!works(groups_in_work_, trial.group)) {
      rank = kNobodys;
    } else if (!works(subgroups_in_work_, SubgroupKey(trial))) {
      rank = kNobodysText;
    }
    if (rank < best_rank) best.clear(), best_rank = rank;
    if (rank == best_rank && best.size() <= skip) best.push_back(i);
    if (best_rank == kAlike && best.size() > skip) break;
  }
  return best.back();
}

}  // namespace bitlaw
