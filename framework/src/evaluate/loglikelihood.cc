#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "bitlaw/base/error.h"
#include "evaluate/forward.h"

namespace bitlaw {

namespace {

// One distinct token sequence to be read, and the scored texts that it serves: those with the same ids, or with ids
// that it starts with (answers of one token all read the context alone).
struct Row {
  const std::vector<int32_t>* ids = nullptr;
  std::vector<size_t> inputs;
};

// A row in the second pass: which row of the prefix cache it follows on from, and its family.
struct Follower {
  size_t row = 0;
  int64_t cache_row = 0;
  int64_t family = 0;  // Unique within the pass.
  int64_t shared = 0;  // Tokens that it has in common with its family.
  int64_t cut = 0;     // Tokens that the cache row holds.
};

// A batch may be padded to its longest row by so much of it; beyond that a shorter row begins the next batch, unless
// this one is still too small to keep a processor busy.
constexpr int64_t kPaddingShare = 8;
constexpr int64_t kSmallBatch = 8;  // Share of batch_tokens.

class Scorer {
 public:
  Scorer(ForwardPass& forward, std::span<const ScoredInput> inputs, const std::function<std::string(size_t)>& name,
         const std::function<void(int64_t)>& on_done)
      : forward_(forward), inputs_(inputs), name_(name), on_done_(on_done), sums_(inputs.size()) {}

  std::vector<ScoredSum> Run() {
    CollectRows();
    std::vector<const std::vector<int32_t>*> sequences;
    std::vector<int64_t> shareable;
    for (const Row& row : rows_) {
      sequences.push_back(row.ids);
      int64_t before_scored = static_cast<int64_t>(row.ids->size());
      for (const size_t i : row.inputs) before_scored = std::min(before_scored, inputs_[i].first_scored);
      shareable.push_back(before_scored);
    }
    const bool share = forward_.options().share_prefixes;
    const PrefixPlan plan = PlanPrefixes(sequences, shareable, {forward_.options().batch_tokens, share, share});
    HeaderCaches caches(forward_, plan, sequences);
    for (size_t h = 0; h < plan.headers.size(); ++h) {
      if (plan.headers[h].families.empty()) continue;
      RunHeader(plan.headers[h], caches.Visit(static_cast<int>(h)));
    }
    return std::move(sums_);
  }

 private:
  void CollectRows() {
    std::vector<size_t> order(inputs_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    if (!forward_.options().share_prefixes) {
      for (const size_t i : order) rows_.push_back({&inputs_[i].input, {i}});
      return;
    }
    // From the end of the lexicographic order a sequence meets those that it is a prefix of first.
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return inputs_[a].input > inputs_[b].input; });
    for (const size_t i : order) {
      const std::vector<int32_t>& ids = inputs_[i].input;
      const bool served = !rows_.empty() && ids.size() <= rows_.back().ids->size() &&
                          std::equal(ids.begin(), ids.end(), rows_.back().ids->begin());
      if (!served) rows_.push_back({&ids, {}});
      rows_.back().inputs.push_back(i);
    }
  }

  std::span<const int32_t> Ids(size_t row, int64_t from, int64_t to) const {
    return {rows_[row].ids->data() + from, static_cast<size_t>(to - from)};
  }
  int64_t Length(size_t row) const { return static_cast<int64_t>(rows_[row].ids->size()); }

  // How many rows of `tokens` positions each may have keys and values in one of the two caches alive at once.
  int64_t RowsInMemory(int64_t tokens) const {
    const int64_t bytes = forward_.kv_bytes_per_token() * std::max<int64_t>(1, tokens);
    return std::max<int64_t>(1, forward_.options().kv_budget_bytes / 2 / bytes);
  }

  void RunHeader(const PrefixPlan::Header& header, const KvCache* cache) {
    std::vector<Follower> alone;
    std::vector<const PrefixPlan::Family*> families;
    for (const PrefixPlan::Family& family : header.families) {
      if (family.prefix > header.length) {
        families.push_back(&family);
        continue;
      }
      for (const size_t row : family.members) {
        alone.push_back({row, 0, static_cast<int64_t>(alone.size()), Length(row), header.length});
      }
    }
    RunFollowers(std::move(alone), cache, {}, header.length);

    std::sort(families.begin(), families.end(), [](const auto* a, const auto* b) { return a->prefix > b->prefix; });
    for (size_t begin = 0; begin < families.size();) {
      const int64_t longest = families[begin]->prefix, fresh = longest - header.length;
      const int64_t most = std::min(std::max<int64_t>(1, forward_.options().batch_tokens / fresh), RowsInMemory(longest));
      size_t end = begin + 1;
      while (end < families.size() && static_cast<int64_t>(end - begin) < most) {
        const int64_t padding = longest - families[end]->prefix;
        // Behind a header there is room for padding in its length alone.
        if (cache != nullptr && padding > header.length) break;
        if (IsTooShort(fresh - padding, fresh, static_cast<int64_t>(end - begin))) break;
        ++end;
      }
      RunFamilies(std::span(families).subspan(begin, end - begin), header.length, cache);
      begin = end;
    }
  }

  // Whether a row of `length` tokens had better not join a batch of `count` rows padded to `longest`.
  bool IsTooShort(int64_t length, int64_t longest, int64_t count) const {
    return (longest - length) * kPaddingShare > longest &&
           count * longest * kSmallBatch >= forward_.options().batch_tokens;
  }

  // Prefixes of different length end together, as contexts of generation do (generate.cc): shorter ones are padded on
  // the left, before the header if there is one, whose last tokens are then read again.
  void RunFamilies(std::span<const PrefixPlan::Family* const> families, int64_t base, const KvCache* header) {
    const int64_t longest = families.front()->prefix;
    std::vector<std::span<const int32_t>> prefixes;
    std::vector<Follower> followers;
    std::vector<int64_t> first_valid;
    for (size_t f = 0; f < families.size(); ++f) {
      const int64_t cut = families[f]->prefix, padding = longest - cut;
      prefixes.push_back(Ids(families[f]->members[0], header == nullptr ? 0 : base - padding, cut));
      first_valid.push_back(padding);
      for (const size_t row : families[f]->members) {
        followers.push_back({row, static_cast<int64_t>(f), static_cast<int64_t>(f), families[f]->shared, cut});
      }
    }
    const bool padded = first_valid.back() > 0;
    const at::Tensor valid = padded ? forward_.Indices(first_valid) : at::Tensor();  // [F]
    KvCache cache = forward_.NewCache(longest);
    if (header != nullptr) {
      const at::Tensor same_row = forward_.Indices(std::vector<int64_t>(families.size(), 0));
      cache = padded ? header->SelectShifted(same_row, valid, longest - base) : header->Select(same_row, longest - base);
    }
    forward_.Run(prefixes, &cache, /*pad_left=*/true, valid);  // [F, longest - base, D]; only its keys and values are wanted.
    RunFollowers(std::move(followers), &cache, padded ? first_valid : std::vector<int64_t>(), longest);
  }

  // Reads what follows the first `cut` tokens of each row, in batches of like length. `first_valid` is of the rows of
  // `cache`, which holds `held` positions; empty: none is padded.
  void RunFollowers(std::vector<Follower> followers, const KvCache* cache, const std::vector<int64_t>& first_valid,
                    int64_t held) {
    const auto own = [&](const Follower& follower) { return Length(follower.row) - follower.cut; };
    std::stable_sort(followers.begin(), followers.end(),
                     [&](const Follower& a, const Follower& b) { return own(a) > own(b); });
    for (size_t begin = 0; begin < followers.size();) {
      const int64_t longest = own(followers[begin]);
      int64_t most = std::max<int64_t>(1, forward_.options().batch_tokens / longest);
      if (cache != nullptr) most = std::min(most, RowsInMemory(held + longest));
      size_t end = begin + 1;
      while (end < followers.size() && static_cast<int64_t>(end - begin) < most &&
             !IsTooShort(own(followers[end]), longest, static_cast<int64_t>(end - begin))) {
        ++end;
      }
      const std::span<const Follower> batch = std::span(followers).subspan(begin, end - begin);
      std::vector<std::span<const int32_t>> rows;
      std::vector<int64_t> cache_rows, valid_rows;
      for (const Follower& follower : batch) {
        rows.push_back(Ids(follower.row, follower.cut, Length(follower.row)));
        cache_rows.push_back(follower.cache_row);
        if (!first_valid.empty()) valid_rows.push_back(first_valid[follower.cache_row]);
      }
      const at::Tensor valid = first_valid.empty() ? at::Tensor() : forward_.Indices(valid_rows);  // [R]
      at::Tensor hidden;                                                                           // [R, T, D]
      if (cache != nullptr) {
        KvCache selected = cache->Select(forward_.Indices(cache_rows), longest);
        hidden = forward_.Run(rows, &selected, /*pad_left=*/false, valid);
      } else {
        hidden = forward_.Run(rows, nullptr);
      }
      ScoreBatch(batch, hidden);
      begin = end;
    }
  }

  // ln p of every target of the batch. Logits are taken once for each distinct (prefix, position).
  void ScoreBatch(std::span<const Follower> batch, const at::Tensor& hidden) {
    const int64_t length = hidden.size(1);
    struct Wanted {
      size_t position;  // Index into `positions`.
      int32_t target;
      size_t input;
    };
    std::vector<int64_t> positions;  // Flat indices into [R * T].
    std::vector<Wanted> wanted;
    std::map<std::pair<int64_t, int64_t>, size_t> known;
    int64_t done = 0;
    for (size_t r = 0; r < batch.size(); ++r) {
      const Follower& follower = batch[r];
      for (const size_t i : rows_[follower.row].inputs) {
        const ScoredInput& input = inputs_[i];
        for (size_t t = 0; t < input.targets.size(); ++t) {
          const int64_t at = input.first_scored + static_cast<int64_t>(t);
          // Before `shared` the position has the same past for the whole family.
          const auto key = std::pair(at < follower.shared ? follower.family : -1 - static_cast<int64_t>(r), at);
          const auto [entry, is_new] = known.try_emplace(key, positions.size());
          if (is_new) positions.push_back(static_cast<int64_t>(r) * length + at - follower.cut);
          wanted.push_back({entry->second, input.targets[t], i});
        }
        ++done;
      }
    }
    std::stable_sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) { return a.position < b.position; });

    const at::Tensor flat = hidden.reshape({-1, hidden.size(2)});  // [R * T, D]
    const size_t step = static_cast<size_t>(forward_.logits_rows());
    auto next = wanted.begin();
    for (size_t begin = 0; begin < positions.size(); begin += step) {
      const size_t end = std::min(positions.size(), begin + step);
      const std::vector<int64_t> piece(positions.begin() + static_cast<int64_t>(begin),
                                       positions.begin() + static_cast<int64_t>(end));
      const at::Tensor logits = forward_.Logits(flat.index_select(0, forward_.Indices(piece)));  // [P, V]
      const at::Tensor normalizer = at::logsumexp(logits, -1).to(at::kCPU);                      // [P]
      const at::Tensor best = at::argmax(logits, -1).to(at::kCPU);                               // [P]
      const auto last = std::find_if(next, wanted.end(), [&](const Wanted& w) { return w.position >= end; });
      std::vector<int64_t> rows, targets;
      for (auto w = next; w != last; ++w) {
        rows.push_back(static_cast<int64_t>(w->position - begin));
        targets.push_back(w->target);
      }
      const at::Tensor picked =
          logits.index({forward_.Indices(rows), forward_.Indices(targets)}).to(at::kCPU).contiguous();  // [wanted]
      for (size_t k = 0; next != last; ++next, ++k) {
        const double log_p = static_cast<double>(picked.data_ptr<float>()[k]) -
                             static_cast<double>(normalizer.data_ptr<float>()[rows[k]]);
        if (!std::isfinite(log_p)) {
          throw Error(ErrorKind::kNumerical, name_(next->input) + ": the model's logits are not finite. Its weights or "
                                                                  "activations overflowed.");
        }
        sums_[next->input].loglikelihood_nats += log_p;
        if (best.data_ptr<int64_t>()[rows[k]] != next->target) sums_[next->input].is_greedy = false;
      }
    }
    on_done_(done);
  }

  ForwardPass& forward_;
  std::span<const ScoredInput> inputs_;
  const std::function<std::string(size_t)>& name_;
  const std::function<void(int64_t)>& on_done_;
  std::vector<Row> rows_;
  std::vector<ScoredSum> sums_;
};

}  // namespace

std::vector<ScoredSum> ScoreInputs(ForwardPass& forward, std::span<const ScoredInput> inputs,
                                   const std::function<std::string(size_t)>& name,
                                   const std::function<void(int64_t)>& on_done) {
  return Scorer(forward, inputs, name, on_done).Run();
}

}  // namespace bitlaw
