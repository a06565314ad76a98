#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/model.h"
#include "evaluate/encode.h"
#include "evaluate/evaluate.h"
#include "evaluate/prefix_plan.h"

namespace bitlaw {

/// Forward passes over padded batches, with the accounts of an evaluation: tokens read, bytes of keys and values.
class ForwardPass {
 public:
  ForwardPass(Model& model, const EvaluateOptions& options, EvaluateCost& cost);

  Model& model() { return model_; }
  const EvaluateOptions& options() const { return options_; }
  int64_t max_positions() const;
  /// Keys and values of one token in one row, for all blocks.
  int64_t kv_bytes_per_token() const { return kv_bytes_per_token_; }

  /// rows.size() rows of ids, padded to the longest on the right, or on the left if `pad_left` -> hidden
  /// [R, T, D]. Extends `cache` (null: none is kept). `first_valid` [R] or undefined.
  at::Tensor Run(std::span<const std::span<const int32_t>> rows, KvCache* cache, bool pad_left = false,
                 const at::Tensor& first_valid = {});

  /// hidden [..., D] -> logits [..., V] float32.
  at::Tensor Logits(const at::Tensor& hidden);

  /// Positions whose logits fit the budget.
  int64_t logits_rows() const;

  void CountTruncated() { ++cost_.truncated_requests; }
  void CountRequested(int64_t tokens) { cost_.tokens_requested += tokens; }

  KvCache NewCache(int64_t tokens) const { return KvCache(model_.summary().num_blocks, tokens); }
  /// Index tensor on the model's device.
  at::Tensor Indices(const std::vector<int64_t>& values) const;

 private:
  Model& model_;
  const EvaluateOptions& options_;
  EvaluateCost& cost_;
  int64_t kv_bytes_per_token_ = 0;
};

/// The caches of a plan's headers. Headers are visited in plan order, and only the ancestors of the current one are
/// kept.
class HeaderCaches {
 public:
  HeaderCaches(ForwardPass& forward, const PrefixPlan& plan, std::span<const std::vector<int32_t>* const> sequences)
      : forward_(forward), plan_(plan), sequences_(sequences) {}

  /// The cache of header `index`, one row; null for the root.
  const KvCache* Visit(int index);

 private:
  struct Held {
    int index;
    std::unique_ptr<KvCache> cache;
  };
  ForwardPass& forward_;
  const PrefixPlan& plan_;
  std::span<const std::vector<int32_t>* const> sequences_;
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

/// Cuts `text` before each of `until` in turn, as the public harness does. Empty strings are skipped.
BITLAW_EXPORT std::string CutAtStops(std::string text, const std::vector<std::string>& until);

}  // namespace bitlaw
