#include "evaluate/reading_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace bitlaw {

namespace {

// What a pass costs beyond its tokens is as much as this share of the tokens that it may have.
constexpr int64_t kPassShare = 16;

class Planner {
 public:
  Planner(std::span<const PlannedText> texts, const ReadingPlanOptions& options) : texts_(texts), options_(options) {}

  ReadingPlan Run() {
    // In lexicographic order every set with a common prefix is a range.
    order_.resize(texts_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    if (options_.share) {
      std::stable_sort(order_.begin(), order_.end(),
                       [&](size_t a, size_t b) { return *texts_[a].ids < *texts_[b].ids; });
    }
    common_.assign(order_.size(), 0);
    for (size_t i = 1; options_.share && i < order_.size(); ++i) {
      const PlannedText &left = Text(i - 1), &right = Text(i);
      const int64_t most = std::min(left.shared_end, right.shared_end);
      const auto end_of_common = std::mismatch(left.ids->begin(), left.ids->begin() + most, right.ids->begin()).first;
      common_[i] = end_of_common - left.ids->begin();
    }
    added_before_.assign(order_.size() + 1, 0);
    for (size_t i = 0; i < order_.size(); ++i) added_before_[i + 1] = added_before_[i] + Length(i) - common_[i];
    plan_.headers.push_back({});
    places_.push_back({});
    if (!order_.empty()) PlanRange(0, order_.size(), 0);
    for (size_t h = 0; h < plan_.headers.size(); ++h) CutPasses(plan_.headers[h], places_[h]);
    return std::move(plan_);
  }

 private:
  const PlannedText& Text(size_t place) const { return texts_[order_[place]]; }
  int64_t Length(size_t place) const { return static_cast<int64_t>(Text(place).ids->size()); }

  int64_t PassCost() const { return std::max<int64_t>(1, options_.pass_tokens / kPassShare); }

  // Tokens that all of the places [low, high) have in common.
  int64_t Shared(size_t low, size_t high) const {
    if (high - low == 1) return Text(low).shared_end;
    return *std::min_element(common_.begin() + static_cast<int64_t>(low) + 1,
                             common_.begin() + static_cast<int64_t>(high));
  }

  // Tokens to be read for [low, high) after the first `depth`, which they share, if what they share is read once.
  int64_t TokensBelow(size_t low, size_t high, int64_t depth) const {
    return Length(low) - depth + added_before_[high] - added_before_[low + 1];
  }

  void PlanRange(size_t low, size_t high, size_t header) {
    const int64_t base = plan_.headers[header].length, shared = Shared(low, high);
    int64_t depth = shared;
    for (size_t i = low; i < high; ++i) depth = std::min(depth, Text(i).header_end);
    const int64_t below = TokensBelow(low, high, std::max(base, depth));
    if (high - low == 1 || below < options_.pass_tokens) {
      for (size_t i = low; i < high; ++i) places_[header].push_back(i);
      return;
    }
    // Without a header every pass would read the prefix again.
    const int64_t read_again = (depth - base) * (below / options_.pass_tokens);
    if (options_.share && read_again > PassCost() && depth <= options_.held_tokens / 2) {
      plan_.headers.push_back({static_cast<int>(header), depth, order_[low], {}});
      places_.push_back({});
      header = plan_.headers.size() - 1;
    }
    size_t begin = low;
    for (size_t i = low + 1; i <= high; ++i) {
      if (i < high && common_[i] > shared) continue;
      PlanRange(begin, i, header);
      begin = i;
    }
  }

  // Cuts the texts of a header, in their order, such that fewest tokens are read twice.
  void CutPasses(ReadingPlan::Header& header, const std::vector<size_t>& places) {
    const size_t n = places.size();
    shared_before_.assign(n, 0);
    for (size_t i = 1; i < n; ++i) {
      const int64_t shared = *std::min_element(common_.begin() + static_cast<int64_t>(places[i - 1]) + 1,
                                               common_.begin() + static_cast<int64_t>(places[i]) + 1);
      shared_before_[i] = std::max(shared, header.length);
    }
    const int64_t held = options_.held_tokens - header.length;
    std::vector<int64_t> cost(n + 1, std::numeric_limits<int64_t>::max());
    std::vector<size_t> from(n + 1, 0);
    cost[0] = 0;
    for (size_t end = 1; end <= n; ++end) {
      int64_t added = 0, room = 0;  // Of places [begin + 1, end), and room of place `begin` too.
      for (size_t begin = end; begin-- > 0;) {
        room += Text(places[begin]).room;
        const int64_t tokens = Length(places[begin]) - header.length + added;
        if (end - begin > 1 && (added > options_.pass_tokens || added + room > held)) break;
        const bool fits = tokens <= options_.pass_tokens && tokens + room <= held;
        if ((fits || end - begin == 1) && cost[begin] + tokens + PassCost() < cost[end]) {
          cost[end] = cost[begin] + tokens + PassCost();
          from[end] = begin;
        }
        added += Length(places[begin]) - shared_before_[begin];
      }
    }
    for (size_t end = n; end > 0; end = from[end]) {
      ReadingPlan::Pass pass;
      AddPieces(places, from[end], end, header.length, -1, pass);
      int64_t kept = header.length;
      for (const ReadingPlan::Piece& piece : pass.pieces) kept += piece.end - piece.begin;
      for (const ReadingPlan::Ending& ending : pass.endings) kept += texts_[ending.text].room;
      plan_.held_tokens = std::max(plan_.held_tokens, kept);
      header.passes.push_back(std::move(pass));
    }
    std::reverse(header.passes.begin(), header.passes.end());
  }

  // The tree below the first `depth` tokens of the texts [low, high) of `places`.
  void AddPieces(const std::vector<size_t>& places, size_t low, size_t high, int64_t depth, int64_t parent,
                 ReadingPlan::Pass& pass) const {
    const bool is_one = high - low == 1;
    const int64_t shared = is_one ? Length(places[low])
                                  : *std::min_element(shared_before_.begin() + static_cast<int64_t>(low) + 1,
                                                      shared_before_.begin() + static_cast<int64_t>(high));
    if (shared > depth) {
      pass.pieces.push_back({parent, order_[places[low]], depth, shared});
      parent = static_cast<int64_t>(pass.pieces.size()) - 1;
    }
    if (is_one) {
      pass.endings.push_back({order_[places[low]], parent});
      return;
    }
    size_t begin = low;
    for (size_t i = low + 1; i <= high; ++i) {
      if (i < high && shared_before_[i] > shared) continue;
      AddPieces(places, begin, i, shared, parent, pass);
      begin = i;
    }
  }

  std::span<const PlannedText> texts_;
  ReadingPlanOptions options_;
  std::vector<size_t> order_;              // Texts in lexicographic order. An index into it is a "place".
  std::vector<int64_t> common_;            // [n] tokens shared with the place before.
  std::vector<int64_t> added_before_;      // [n + 1] tokens of the prefix tree of the places before.
  std::vector<std::vector<size_t>> places_;  // Of each header.
  std::vector<int64_t> shared_before_;     // Of the header that is being cut: tokens shared with its place before.
  ReadingPlan plan_;
};

}  // namespace

ReadingPlan PlanReading(std::span<const PlannedText> texts, const ReadingPlanOptions& options) {
  return Planner(texts, options).Run();
}

}  // namespace bitlaw
