#include "run/claims/claim_order.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace bitlaw {
namespace {

// The number of `name`, the next one if it is new.
uint32_t NumberOf(const std::string& name, std::map<std::string, uint32_t>& numbers) {
  return numbers.try_emplace(name, static_cast<uint32_t>(numbers.size())).first->second;
}

}  // namespace

RankedTrials::RankedTrials(const std::vector<TrialWeight>& trials) : costliest_first(trials.size()) {
  std::map<std::string, uint32_t> group_numbers, subgroup_numbers;
  std::vector<double> most;
  for (const TrialWeight& trial : trials) {
    groups.push_back(NumberOf(trial.group, group_numbers));
    subgroups.push_back(NumberOf(trial.group + "\n" + trial.subgroup, subgroup_numbers));
    if (group_numbers.size() > most.size()) most.push_back(trial.cost);
    if (subgroup_numbers.size() > group_of.size()) group_of.push_back(groups.back());
    most[groups.back()] = std::max(most[groups.back()], trial.cost);
  }
  std::iota(costliest_first.begin(), costliest_first.end(), uint32_t{0});
  // Within a group as they stand: the unquantized model first, and neighbours share most.
  std::stable_sort(costliest_first.begin(), costliest_first.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(-most[groups[a]], groups[a]) < std::pair(-most[groups[b]], groups[b]);
  });
  range_of.resize(most.size());
  for (uint32_t i = 0; i < costliest_first.size(); ++i) {
    const uint32_t group = groups[costliest_first[i]];
    if (ranges.empty() || ranges.back().group != group) {
      range_of[group] = static_cast<uint32_t>(ranges.size());
      ranges.push_back({group, i, i});
    }
    ranges.back().end = i + 1;
  }
}

ClaimOrder::ClaimOrder(const std::vector<TrialWeight>& trials) : ClaimOrder(std::make_shared<RankedTrials>(trials)) {}

ClaimOrder::ClaimOrder(std::shared_ptr<const RankedTrials> trials)
    : trials_(std::move(trials)),
      states_(trials_->groups.size(), State::kFree),
      groups_(trials_->range_of.size()),
      subgroups_(trials_->group_of.size()),
      free_(states_.size()) {
  for (size_t i = 0; i < states_.size(); ++i) {
    ++groups_[trials_->groups[i]].free;
    ++groups_[trials_->groups[i]].quiet;
    ++subgroups_[trials_->subgroups[i]].free;
  }
}

void ClaimOrder::Set(size_t trial, State state) {
  State& now = states_[trial];
  if (now == state) return;
  const int more_free = (state == State::kFree) - (now == State::kFree);
  const int more_in_work = (state == State::kInWork) - (now == State::kInWork);
  Count& group = groups_[trials_->groups[trial]];
  Count& subgroup = subgroups_[trials_->subgroups[trial]];
  const auto quiet = [](const Count& count) { return count.in_work == 0 ? count.free : 0; };
  group.quiet -= quiet(subgroup);
  for (Count* count : {&group, &subgroup}) {
    count->free += static_cast<uint32_t>(more_free);
    count->in_work += static_cast<uint32_t>(more_in_work);
  }
  group.quiet += quiet(subgroup);
  free_ += static_cast<size_t>(more_free);
  in_work_ += static_cast<size_t>(more_in_work);
  now = state;
}

std::optional<size_t> ClaimOrder::Next(std::optional<size_t> last, size_t among, uint64_t random) const {
  if (free_ == 0) return std::nullopt;
  const RankedTrials& all = *trials_;
  std::vector<size_t> best;
  const auto take = [&](const RankedTrials::Range& range, auto&& is_wanted) {
    for (uint32_t i = range.begin; i < range.end && best.size() < among; ++i) {
      const uint32_t trial = all.costliest_first[i];
      if (states_[trial] == State::kFree && is_wanted(all.subgroups[trial])) best.push_back(trial);
    }
  };
  const auto any = [](uint32_t) { return true; };
  const auto is_quiet = [&](uint32_t subgroup) { return subgroups_[subgroup].in_work == 0; };
  if (last) {
    const uint32_t group = all.groups[*last], alike = all.subgroups[*last];
    const RankedTrials::Range& range = all.ranges[all.range_of[group]];
    if (subgroups_[alike].free > 0) {
      take(range, [&](uint32_t subgroup) { return subgroup == alike; });
    } else if (groups_[group].quiet > 0) {
      take(range, is_quiet);
    }
  }
  // The group of nobody's, then the text of nobody's, then what is left.
  const auto take_of_groups = [&](auto&& has_some, auto&& is_wanted) {
    if (!best.empty()) return;
    for (const RankedTrials::Range& range : all.ranges) {
      if (has_some(groups_[range.group])) take(range, is_wanted);
      if (best.size() == among) return;
    }
  };
  take_of_groups([](const Count& count) { return count.free > 0 && count.in_work == 0; }, any);
  take_of_groups([](const Count& count) { return count.quiet > 0; }, is_quiet);
  take_of_groups([](const Count& count) { return count.free > 0; }, any);
  return best[random % best.size()];
}

}  // namespace bitlaw
