#include "evaluate/prefix_plan.h"

#include <algorithm>
#include <numeric>

namespace bitlaw {

namespace {

// A header shorter than this saves less than the pass of one row costs.
constexpr int64_t kShortestHeader = 16;

class Planner {
 public:
  Planner(std::span<const std::vector<int32_t>* const> sequences, std::span<const int64_t> shareable,
          const PrefixPlanOptions& options)
      : sequences_(sequences), shareable_(shareable), options_(options) {}

  PrefixPlan Run() {
    // In lexicographic order every set with a common prefix is a range.
    order_.resize(sequences_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return *sequences_[a] < *sequences_[b]; });
    common_.assign(order_.size(), 0);
    for (size_t i = 1; i < order_.size(); ++i) {
      const auto& left = *sequences_[order_[i - 1]];
      const auto& right = *sequences_[order_[i]];
      const size_t limit = std::min(left.size(), right.size());
      common_[i] = std::mismatch(left.begin(), left.begin() + static_cast<int64_t>(limit), right.begin()).first -
                   left.begin();
    }
    tokens_before_.assign(order_.size() + 1, 0);
    for (size_t i = 0; i < order_.size(); ++i) {
      tokens_before_[i + 1] = tokens_before_[i] + static_cast<int64_t>(sequences_[order_[i]]->size());
    }
    plan_.headers.push_back({});
    if (!order_.empty()) PlanRange(0, order_.size(), 0);
    return std::move(plan_);
  }

 private:
  struct Choice {
    int64_t saved = 0;
    std::vector<PrefixPlan::Family> families;
  };

  // Tokens that all of [low, high) have in common.
  int64_t Shared(size_t low, size_t high) const {
    if (high - low == 1) return static_cast<int64_t>(sequences_[order_[low]]->size());
    return *std::min_element(common_.begin() + static_cast<int64_t>(low) + 1, common_.begin() + static_cast<int64_t>(high));
  }

  int64_t Computable(size_t low, size_t high, int64_t shared) const {
    for (size_t i = low; i < high; ++i) shared = std::min(shared, shareable_[order_[i]]);
    return shared;
  }

  // Splits [low, high) after its common prefix: the children of its node in the radix tree.
  std::vector<std::pair<size_t, size_t>> Children(size_t low, size_t high, int64_t shared) const {
    std::vector<std::pair<size_t, size_t>> children;
    size_t begin = low;
    for (size_t i = low + 1; i <= high; ++i) {
      if (i < high && common_[i] > shared) continue;
      children.emplace_back(begin, i);
      begin = i;
    }
    return children;
  }

  // Tokens of [low, high) after the first `depth` of each.
  int64_t TokensBelow(size_t low, size_t high, int64_t depth) const {
    return tokens_before_[high] - tokens_before_[low] - depth * static_cast<int64_t>(high - low);
  }

  void PlanRange(size_t low, size_t high, int header) {
    const int64_t base = plan_.headers[header].length;
    const int64_t shared = Shared(low, high);
    const int64_t count = static_cast<int64_t>(high - low);
    const int64_t computable = Computable(low, high, shared);
    const bool fills_batches = TokensBelow(low, high, std::max(base, computable)) >= options_.batch_tokens;
    if (!fills_batches) {
      Choice choice = BestFamilies(low, high, base);
      auto& families = plan_.headers[header].families;
      families.insert(families.end(), std::make_move_iterator(choice.families.begin()),
                      std::make_move_iterator(choice.families.end()));
      return;
    }
    const int64_t added = computable - base;
    if (options_.headers && added >= kShortestHeader && added * (count - 1) >= options_.batch_tokens / 2) {
      plan_.headers.push_back({header, computable, order_[low], {}});
      header = static_cast<int>(plan_.headers.size()) - 1;
    }
    if (count == 1) {
      plan_.headers[header].families.push_back(Single(low, plan_.headers[header].length));
      return;
    }
    for (const auto& [begin, end] : Children(low, high, shared)) PlanRange(begin, end, header);
  }

  PrefixPlan::Family Single(size_t at, int64_t base) const {
    return {base, static_cast<int64_t>(sequences_[order_[at]]->size()), {order_[at]}};
  }

  // The partition of [low, high) into families that saves most tokens: this node as one family, or the best of each
  // child.
  Choice BestFamilies(size_t low, size_t high, int64_t base) const {
    if (high - low == 1) return {0, {Single(low, base)}};
    const int64_t shared = Shared(low, high);
    Choice apart;
    for (const auto& [begin, end] : Children(low, high, shared)) {
      Choice child = BestFamilies(begin, end, base);
      apart.saved += child.saved;
      apart.families.insert(apart.families.end(), std::make_move_iterator(child.families.begin()),
                            std::make_move_iterator(child.families.end()));
    }
    if (!options_.families) return apart;
    const int64_t prefix = Computable(low, high, shared);
    const int64_t saved = (prefix - base) * static_cast<int64_t>(high - low - 1);
    if (prefix <= base || saved <= apart.saved) return apart;
    Choice together{saved, {PrefixPlan::Family{prefix, shared, {}}}};
    for (size_t i = low; i < high; ++i) together.families[0].members.push_back(order_[i]);
    return together;
  }

  std::span<const std::vector<int32_t>* const> sequences_;
  std::span<const int64_t> shareable_;
  PrefixPlanOptions options_;
  std::vector<size_t> order_;            // Sequences in lexicographic order.
  std::vector<int64_t> common_;          // [n] tokens in common with the one before in that order.
  std::vector<int64_t> tokens_before_;   // [n + 1]
  PrefixPlan plan_;
};

}  // namespace

PrefixPlan PlanPrefixes(std::span<const std::vector<int32_t>* const> sequences, std::span<const int64_t> shareable,
                        const PrefixPlanOptions& options) {
  return Planner(sequences, shareable, options).Run();
}

}  // namespace bitlaw
