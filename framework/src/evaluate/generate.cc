#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/decoder/logit_peaks.h"
#include "evaluate/forward.h"

namespace bitlaw {

namespace {

// One answer in the making.
struct Row {
  size_t request = 0;
  int64_t segment = 0;  // Of the cache: the end of its context, and what was generated.
  std::vector<int32_t> generated;
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
        responses_(requests.size()),
        is_done_(requests.size(), false) {
    for (const GenerateRequest* request : requests) stops_.emplace_back(tokenizer_, request->until);
  }

  // Contexts are read as planned, as many as the budget for keys and values takes together with what they may grow by;
  // each pass also reads the newest token of every answer in the making. So a place is free again as soon as one ends.
  std::vector<GenerateResponse> Run() {
    for (size_t i = 0; i < requests_.size(); ++i) contexts_.push_back(EncodeContext(i));
    forward_.WithLessMemory([&] { AnswerOpen(); });
    return std::move(responses_);
  }

 private:
  // Answers what is not answered. Answers in the making begin anew.
  void AnswerOpen() {
    rows_.clear();
    open_.clear();
    header_ = KvCache::kNoParent;
    std::vector<PlannedText> texts;
    for (size_t i = 0; i < requests_.size(); ++i) {
      if (is_done_[i]) continue;
      open_.push_back(i);
      // Its last token, after which it goes on, every context has for itself; the last one generated is not read.
      const auto shareable = static_cast<int64_t>(contexts_[i].size()) - 1;
      texts.push_back({&contexts_[i], shareable, shareable, requests_[i]->max_new_tokens - 1});
    }
    const EvaluateOptions& options = forward_.options();
    const ReadingPlan plan = PlanReading(texts, {options.batch_tokens, forward_.held_tokens(), options.share_prefixes});
    PlanReader reader(forward_, texts, plan);
    for (size_t h = 0; h < plan.headers.size(); ++h) {
      if (plan.headers[h].passes.empty()) continue;
      while (!rows_.empty()) Step(reader.cache(), nullptr, {});  // A header that they need may be forgotten now.
      header_ = reader.Visit(static_cast<int>(h));
      for (const ReadingPlan::Pass& pass : plan.headers[h].passes) {
        for (;;) {
          const auto prepared = reader.Prepare(pass, header_);
          if (!prepared && rows_.empty()) throw InternalError("there is no room for a pass of the reading plan.");
          Step(reader.cache(), prepared ? &pass : nullptr, prepared.value_or(PlanReader::Pass()));
          if (prepared) break;
        }
      }
    }
    while (!rows_.empty()) Step(reader.cache(), nullptr, {});
  }

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
    RequireEmbedded(tokenizer_, ids, forward_.model().summary().vocab_size, name_(i));
    forward_.CountRequested(static_cast<int64_t>(ids.size()));
    return ids;
  }

  // One pass: a token of every row, and the contexts of `pass` (null: none), whose rows begin.
  void Step(KvCache& cache, const ReadingPlan::Pass* pass, PlanReader::Pass read) {
    std::vector<TokenRun> runs;
    std::vector<int32_t> ids;
    std::vector<int64_t> drawn_at;
    for (const Row& row : rows_) {
      drawn_at.push_back(static_cast<int64_t>(ids.size()));
      runs.push_back({row.segment, 1});
      ids.push_back(row.generated.back());
    }
    for (size_t e = 0; pass != nullptr && e < pass->endings.size(); ++e) {
      const auto [text, piece] = pass->endings[e];
      drawn_at.push_back(static_cast<int64_t>(ids.size()) + read.first_rows[piece] + read.runs[piece].tokens - 1);
      rows_.push_back({open_[text], read.runs[piece].segment, {}});
    }
    runs.insert(runs.end(), read.runs.begin(), read.runs.end());
    ids.insert(ids.end(), read.ids.begin(), read.ids.end());
    const at::Tensor hidden = forward_.Run(ids, cache, runs);  // [T, D]
    const std::vector<bool> has_ended = Draw(hidden.index_select(0, forward_.Indices(drawn_at)));
    std::vector<Row> going;
    for (size_t r = 0; r < rows_.size(); ++r) {
      if (!has_ended[r]) {
        going.push_back(std::move(rows_[r]));
        continue;
      }
      for (int64_t segment = rows_[r].segment; segment != header_ && cache.children(segment) == 0;) {
        const int64_t parent = cache.parent(segment);
        cache.Remove(segment);
        segment = parent;
      }
    }
    rows_ = std::move(going);
  }

  // Draws every row's next token and says whether its answer has ended. hidden [R, D]
  std::vector<bool> Draw(const at::Tensor& hidden) {
    std::vector<bool> has_ended;
    for (int64_t begin = 0; begin < hidden.size(0); begin += forward_.logits_rows()) {
      const at::Tensor logits = forward_.Logits(hidden.slice(0, begin, begin + forward_.logits_rows()));  // [P, V]
      const LogitPeaks peaks = PeaksOf(logits);
      for (int64_t k = 0; k < logits.size(0); ++k) {
        Row& row = rows_[begin + k];
        if (!std::isfinite(peaks.log_sum[k])) {
          throw Error(ErrorKind::kNumerical, name_(row.request) + ": the model's logits are not finite. Its weights or "
                                                                  "activations overflowed.");
        }
        has_ended.push_back(Take(row, static_cast<int32_t>(peaks.best[k])));
      }
    }
    return has_ended;
  }

  // Appends one token; true, with the response written, if the answer has ended.
  bool Take(Row& row, int32_t id) {
    const GenerateRequest& request = *requests_[row.request];
    GenerateResponse& response = responses_[row.request];
    const bool stopped = std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end();
    row.generated.push_back(id);
    const StopStrings& stops = stops_[row.request];
    const bool cut = stops.Stand(row.generated);
    const bool at_limit = static_cast<int64_t>(row.generated.size()) >= request.max_new_tokens;
    if (!stopped && !cut && !at_limit) return false;
    response.text = stops.Answer(row.generated);
    response.tokens = static_cast<int64_t>(row.generated.size());
    forward_.CountRequested(response.tokens - 1);  // The last token is not read.
    response.hit_limit = at_limit && !stopped && !cut;
    is_done_[row.request] = true;
    on_done_(1);
    return true;
  }

  ForwardPass& forward_;
  const Tokenizer& tokenizer_;
  std::vector<int32_t> stop_ids_;
  std::vector<StopStrings> stops_;  // Of each request.
  std::span<const GenerateRequest* const> requests_;
  const std::function<std::string(size_t)>& name_;
  const std::function<void(int64_t)>& on_done_;
  std::vector<std::vector<int32_t>> contexts_;
  std::vector<GenerateResponse> responses_;
  std::vector<bool> is_done_;
  std::vector<size_t> open_;  // Requests that the current plan is of.
  int64_t header_ = KvCache::kNoParent;  // The segment after which the contexts of all rows go.
  std::vector<Row> rows_;
};

}  // namespace

StopStrings::StopStrings(const Tokenizer& tokenizer, const std::vector<std::string>& until)
    : tokenizer_(tokenizer), stops_(until) {
  if (const auto eos = tokenizer.eos_id()) {
    stops_.push_back(tokenizer.Decode(std::span(&*eos, 1), /*skip_special_tokens=*/false));
  }
}

bool StopStrings::Stand(std::span<const int32_t> generated) const {
  const std::string with_special = tokenizer_.Decode(generated, /*skip_special_tokens=*/false);
  const std::string without = tokenizer_.Decode(generated, /*skip_special_tokens=*/true);
  return std::any_of(stops_.begin(), stops_.end(), [&](const std::string& stop) {
    return !stop.empty() && (with_special.find(stop) != std::string::npos || without.find(stop) != std::string::npos);
  });
}

std::string StopStrings::Answer(std::span<const int32_t> generated) const {
  return CutAtStops(tokenizer_.Decode(generated, /*skip_special_tokens=*/true), stops_);
}

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
