#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/model.h"
#include "evaluate/block_stream.h"
#include "evaluate/encode.h"
#include "evaluate/evaluate.h"
#include "evaluate/reading_plan.h"

namespace bitlaw {

/// `options` with the budgets that they leave to the program (0). On the host: passes of 2,048 tokens, 1 GiB for keys and
/// values, 128 MiB for logits. On a device that says how much of its memory is free: a quarter of that for keys and values, a
/// sixteenth, at most 4 GiB, for logits, and passes of as many tokens, 2,048 to 16,384, as an eighth holds the activations of.
BITLAW_EXPORT EvaluateOptions WithBudgets(EvaluateOptions options, Model& model);

/// Forward passes, with the accounts of an evaluation: tokens read, bytes of keys and values.
class ForwardPass {
 public:
  ForwardPass(Model& model, const EvaluateOptions& options, EvaluateCost& cost);

  Model& model() { return model_; }
  const EvaluateOptions& options() const { return options_; }  ///< With budgets.
  /// For passes of two models in one plan: the budgets of the one that was opened last.
  void SetOptions(const EvaluateOptions& options) { options_ = options; }
  int64_t max_positions() const;
  /// Tokens whose keys and values fit the budget.
  int64_t held_tokens() const;

  /// Until EndStream(), Run() notes passes for a BlockStream instead of running them, and gives an undefined tensor.
  void BeginStream() { stream_.emplace(model_, options_.reads_ahead); }
  /// The passes since BeginStream(), carried out block by block.
  BlockStream EndStream();
  /// Of the pass that was noted last.
  size_t noted_pass() const { return noted_; }
  /// Tokens of all passes whose hidden states fit the budget for keys and values.
  int64_t streamed_tokens() const;

  /// The ids of `runs` in their order -> hidden [T, D]. Adds to `cache`.
  at::Tensor Run(std::span<const int32_t> ids, KvCache& cache, std::span<const TokenRun> runs);

  /// hidden [..., D] -> logits [..., V] in the compute dtype.
  at::Tensor Logits(const at::Tensor& hidden) { return model_.Logits(hidden); }

  /// Runs `body`, and again with half the budgets each time that memory runs out in it; `body` goes on where it was left.
  void WithLessMemory(const std::function<void()>& body);

  /// Positions whose logits fit the budget.
  int64_t logits_rows() const;

  void CountTruncated() { ++cost_.truncated_requests; }
  void CountRequested(int64_t tokens) { cost_.tokens_requested += tokens; }

  /// Index tensor on the model's device.
  at::Tensor Indices(const std::vector<int64_t>& values) const;

 private:
  Model& model_;
  EvaluateOptions options_;
  EvaluateCost& cost_;
  int64_t kv_bytes_per_token_ = 0;  // Of all blocks, or of one where they are streamed.
  std::optional<BlockStream> stream_;
  size_t noted_ = 0;
};

/// Carries out a plan: reads headers when they are needed, and keeps those that lead to the current one.
class PlanReader {
 public:
  PlanReader(ForwardPass& forward, std::span<const PlannedText> texts, const ReadingPlan& plan);

  KvCache& cache() { return cache_; }

  /// The segment of header `index`, after which its passes go; KvCache::kNoParent for the root. Headers are visited in
  /// plan order; those that do not lead to this one are forgotten, so their passes must be.
  int64_t Visit(int index);

  /// A pass as segments of the cache.
  struct Pass {
    std::vector<TokenRun> runs;
    std::vector<int32_t> ids;
    std::vector<int64_t> first_rows;  ///< Of each piece.
  };
  /// Adds the pieces of `pass` after segment `header`, the last piece of each text with the text's room as well; empty,
  /// with nothing added, if the cache has no such room now.
  std::optional<Pass> Prepare(const ReadingPlan::Pass& pass, int64_t header);
  /// Reads a pass of header `index` and gives it to use(read, hidden [T, D]); nothing of it is kept.
  void Read(int index, const ReadingPlan::Pass& pass, const std::function<void(const Pass&, const at::Tensor&)>& use);
  /// The rows of a pass where tokens [begin, end) of the text are that ends in `piece`. They must not be of the header.
  static std::vector<int64_t> RowsOf(const ReadingPlan::Pass& pass, const Pass& read, int64_t piece, int64_t begin,
                                     int64_t end);

 private:
  struct Held {
    int index;
    int64_t segment;
  };
  ForwardPass& forward_;
  std::span<const PlannedText> texts_;
  const ReadingPlan& plan_;
  KvCache cache_;
  std::vector<Held> held_;
};

/// What scored texts gave, one for each.
struct ScoredSum {
  double loglikelihood_nats = 0;
  bool is_greedy = true;
};

/// Sum of ln p and greedy match of every input's targets. `name(i)` names input i in errors; `on_done(n)` is told of
/// every n more inputs that are done.
std::vector<ScoredSum> ScoreInputs(ForwardPass& forward, std::span<const ScoredInput> inputs,
                                   const std::function<std::string(size_t)>& name,
                                   const std::function<void(int64_t)>& on_done);

/// Greedy continuations. Error(kUnsupported) naming the request that leaves no room for its answer.
std::vector<GenerateResponse> Generate(ForwardPass& forward, std::span<const GenerateRequest* const> requests,
                                       const std::function<std::string(size_t)>& name,
                                       const std::function<void(int64_t)>& on_done);

/// Says when an answer ends, by the rules of the public harness: a stop string counts where it stands in the text with
/// its special tokens, and those are left out of the answer. Beside `until` the text of the tokenizer's EOS is one.
class BITLAW_EXPORT StopStrings {
 public:
  StopStrings(const Tokenizer& tokenizer, const std::vector<std::string>& until);

  bool Stand(std::span<const int32_t> generated) const;
  /// The answer, cut before each stop string in turn.
  std::string Answer(std::span<const int32_t> generated) const;

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::string> stops_;
};

/// Cuts `text` before each of `until` in turn, as the public harness does. Empty strings are skipped.
BITLAW_EXPORT std::string CutAtStops(std::string text, const std::vector<std::string>& until);

}  // namespace bitlaw
