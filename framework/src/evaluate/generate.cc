#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bitlaw/base/error.h"
#include "evaluate/forward.h"

namespace bitlaw {

namespace {

// One answer in the making.
struct Row {
  size_t request = 0;
  std::vector<int32_t> generated;
  bool has_ended = false;
};

class Generator {
 public:
  Generator(ForwardPass& forward, std::span<const GenerateRequest* const> requests,
            const std::function<std::string(size_t)>& name, const std::function<void(int64_t)>& on_done)
      : forward_(forward),
        tokenizer_(forward.model().tokenizer()),
        stop_ids_(tokenizer_.stop_ids()),
        requests_(requests),
        name_(name),
        on_done_(on_done),
        responses_(requests.size()) {}

  std::vector<GenerateResponse> Run() {
    for (size_t i = 0; i < requests_.size(); ++i) contexts_.push_back(EncodeContext(i));
    // Requests with the same context would be the same sequence twice, which the plan does not take; they are rare
    // and are planned by their first.
    std::vector<size_t> order(contexts_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return contexts_[a] < contexts_[b]; });
    std::vector<const std::vector<int32_t>*> sequences;
    std::vector<int64_t> shareable;
    std::vector<std::vector<size_t>> same;
    for (const size_t i : order) {
      if (!sequences.empty() && *sequences.back() == contexts_[i]) {
        same.back().push_back(i);
        continue;
      }
      sequences.push_back(&contexts_[i]);
      shareable.push_back(static_cast<int64_t>(contexts_[i].size()) - 1);
      same.push_back({i});
    }
    const PrefixPlan plan = PlanPrefixes(
        sequences, shareable, {forward_.options().batch_tokens, false, forward_.options().share_prefixes});
    HeaderCaches caches(forward_, plan, sequences);
    for (size_t h = 0; h < plan.headers.size(); ++h) {
      std::vector<size_t> members;
      for (const PrefixPlan::Family& family : plan.headers[h].families) {
        for (const size_t s : family.members) members.insert(members.end(), same[s].begin(), same[s].end());
      }
      if (!members.empty()) RunHeader(plan.headers[h].length, caches.Visit(static_cast<int>(h)), std::move(members));
    }
    return std::move(responses_);
  }

 private:
  std::vector<int32_t> EncodeContext(size_t i) {
    const GenerateRequest& request = *requests_[i];
    const int64_t room = forward_.max_positions() - request.max_new_tokens;
    if (room < 1) {
      throw Error(ErrorKind::kUnsupported, name_(i) + ": max_new_tokens = " + std::to_string(request.max_new_tokens) +
                                               " leaves no room for a question in the model's " +
                                               std::to_string(forward_.max_positions()) + " positions.");
    }
    std::vector<int32_t> ids = EncodeText(tokenizer_, request.context);
    if (ids.empty()) ids.push_back(PrefixToken(tokenizer_));
    if (static_cast<int64_t>(ids.size()) > room) {
      ids.erase(ids.begin(), ids.end() - room);
      forward_.CountTruncated();
    }
    forward_.CountRequested(static_cast<int64_t>(ids.size()));
    return ids;
  }

  int64_t Length(size_t i) const { return static_cast<int64_t>(contexts_[i].size()); }

  void RunHeader(int64_t base, const KvCache* header, std::vector<size_t> members) {
    std::stable_sort(members.begin(), members.end(), [&](size_t a, size_t b) { return Length(a) > Length(b); });
    for (size_t begin = 0; begin < members.size();) {
      const int64_t longest = Length(members[begin]);
      size_t end = begin;
      int64_t new_tokens = 0;
      while (end < members.size()) {
        const auto count = static_cast<int64_t>(end - begin) + 1;
        new_tokens = std::max(new_tokens, requests_[members[end]]->max_new_tokens);
        // Twice, because the rows that go on are copied when others end.
        const int64_t kv_bytes = 2 * count * (longest + new_tokens) * forward_.kv_bytes_per_token();
        // Behind a header shorter contexts are padded within its length.
        const bool fits = count * (longest - base) <= forward_.options().batch_tokens &&
                          kv_bytes <= forward_.options().kv_budget_bytes &&
                          (header == nullptr || longest - Length(members[end]) <= base);
        if (count > 1 && !fits) break;
        ++end;
      }
      RunBatch(std::span(members).subspan(begin, end - begin), base, header, new_tokens);
      begin = end;
    }
  }

  // Reads the contexts and generates until every row has ended. All rows of a cache have the same length; contexts
  // have not, so the shorter ones are padded on the left. Behind a header its copies move to the right by as much, and
  // the tokens that they lose thereby at their end are read again:
  //
  //   header h0 h1 h2 h3, contexts h.. a b c and h.. d        h0 h1 h2 h3 | a  b  c
  //                                                            -  - h0 h1 | h2 h3 d
  void RunBatch(std::span<const size_t> members, int64_t base, const KvCache* header, int64_t new_tokens) {
    const int64_t shortest = Length(members.back()), longest = Length(members.front());
    std::vector<Row> rows;
    std::vector<std::span<const int32_t>> prompts;
    std::vector<int64_t> first_valid;
    for (const size_t i : members) {
      const int64_t padding = longest - Length(i);
      prompts.push_back(std::span<const int32_t>(contexts_[i]).subspan(header == nullptr ? 0 : base - padding));
      first_valid.push_back(padding);
      rows.push_back({i, {}, false});
    }
    at::Tensor valid;
    if (shortest < longest) valid = forward_.Indices(first_valid);  // [R]
    const int64_t room = longest - base + new_tokens;
    KvCache cache = forward_.NewCache(longest + new_tokens);
    if (header != nullptr) {
      const at::Tensor same_row = forward_.Indices(std::vector<int64_t>(members.size(), 0));
      cache = valid.defined() ? header->SelectShifted(same_row, valid, room) : header->Select(same_row, room);
    }
    at::Tensor hidden = forward_.Run(prompts, &cache, /*pad_left=*/true, valid);  // [R, T, D]
    for (;;) {
      Advance(rows, hidden.select(1, hidden.size(1) - 1));
      std::vector<int64_t> going;
      for (size_t r = 0; r < rows.size(); ++r) {
        if (!rows[r].has_ended) going.push_back(static_cast<int64_t>(r));
      }
      if (going.empty()) return;
      // Leaving rows out copies the cache of the others; it pays when many have ended.
      if (going.size() * 4 <= rows.size() * 3) {
        std::vector<Row> kept;
        for (const int64_t r : going) kept.push_back(std::move(rows[r]));
        rows = std::move(kept);
        const at::Tensor indices = forward_.Indices(going);
        cache = cache.Select(indices, longest + new_tokens - cache.length());
        if (valid.defined()) valid = valid.index_select(0, indices);
      }
      std::vector<std::span<const int32_t>> inputs;
      for (const Row& row : rows) inputs.emplace_back(&row.generated.back(), 1);
      hidden = forward_.Run(inputs, &cache, /*pad_left=*/false, valid);  // [R, 1, D]
    }
  }

  // Draws the next token of every row that goes on. hidden [R, D]: after each row's last token.
  void Advance(std::vector<Row>& rows, const at::Tensor& hidden) {
    std::vector<int64_t> drawing;
    for (size_t r = 0; r < rows.size(); ++r) {
      if (!rows[r].has_ended) drawing.push_back(static_cast<int64_t>(r));
    }
    const auto step = static_cast<size_t>(forward_.logits_rows());
    for (size_t begin = 0; begin < drawing.size(); begin += step) {
      const std::vector<int64_t> piece(drawing.begin() + static_cast<int64_t>(begin),
                                       drawing.begin() + static_cast<int64_t>(std::min(drawing.size(), begin + step)));
      const at::Tensor logits = forward_.Logits(hidden.index_select(0, forward_.Indices(piece)));  // [P, V]
      const at::Tensor highest = at::amax(logits, -1).to(at::kCPU);                                // [P]
      const at::Tensor best = at::argmax(logits, -1).to(at::kCPU);                                 // [P]
      for (size_t k = 0; k < piece.size(); ++k) {
        Row& row = rows[piece[k]];
        if (!std::isfinite(highest.data_ptr<float>()[k])) {
          throw Error(ErrorKind::kNumerical, name_(row.request) + ": the model's logits are not finite. Its weights or "
                                                                  "activations overflowed.");
        }
        row.has_ended = Take(row, static_cast<int32_t>(best.data_ptr<int64_t>()[k]));
      }
    }
  }

  // Appends one token; true, with the response written, if the answer has ended.
  bool Take(Row& row, int32_t id) {
    const GenerateRequest& request = *requests_[row.request];
    GenerateResponse& response = responses_[row.request];
    const bool stopped = std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end();
    row.generated.push_back(id);
    const std::string text = tokenizer_.Decode(row.generated, /*skip_special_tokens=*/true);
    const bool cut = std::any_of(request.until.begin(), request.until.end(), [&](const std::string& stop) {
      return !stop.empty() && text.find(stop) != std::string::npos;
    });
    const bool at_limit = static_cast<int64_t>(row.generated.size()) >= request.max_new_tokens;
    if (!stopped && !cut && !at_limit) return false;
    response.text = CutAtStops(text, request.until);
    response.tokens = static_cast<int64_t>(row.generated.size());
    forward_.CountRequested(response.tokens - 1);  // The last token is not read.
    response.hit_limit = at_limit && !stopped && !cut;
    on_done_(1);
    return true;
  }

  ForwardPass& forward_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t> stop_ids_;
  std::span<const GenerateRequest* const> requests_;
  const std::function<std::string(size_t)>& name_;
  const std::function<void(int64_t)>& on_done_;
  std::vector<std::vector<int32_t>> contexts_;
  std::vector<GenerateResponse> responses_;
};

}  // namespace

std::string CutAtStops(std::string text, const std::vector<std::string>& until) {
  for (const std::string& stop : until) {
    if (!stop.empty()) text.resize(std::min(text.find(stop), text.size()));
  }
  return text;
}

std::vector<GenerateResponse> Generate(ForwardPass& forward, std::span<const GenerateRequest* const> requests,
                                       const std::function<std::string(size_t)>& name,
                                       const std::function<void(int64_t)>& on_done) {
  return Generator(forward, requests, name, on_done).Run();
}

}  // namespace bitlaw
