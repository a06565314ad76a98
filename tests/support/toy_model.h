#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/model.h"
#include "bitlaw/base/digest.h"

namespace bitlaw::testing {

/// One token a byte, except that " a", "th" and "he" are tokens of their own (leftmost first), so that texts merge
/// across boundaries. Ids: 0-255 bytes, 256-258 the merged ones, 259 BOS "<s>", 260 EOS "</s>".
class ToyTokenizer : public Tokenizer {
 public:
  enum class Template { kNone, kBos };
  explicit ToyTokenizer(Template kind = Template::kNone, bool has_bos = true) : template_(kind), has_bos_(has_bos) {}

  std::vector<int32_t> Encode(std::string_view text, bool add_special_tokens) const override {
    std::vector<int32_t> ids;
    if (add_special_tokens && template_ == Template::kBos) ids.push_back(259);
    for (size_t at = 0; at < text.size();) {
      const auto special = [&](std::string_view known, int32_t id) {
        if (text.substr(at, known.size()) != known) return false;
        ids.push_back(id);
        at += known.size();
        return true;
      };
      if (special("<s>", 259) || special("</s>", 260) || special(" a", 256) || special("th", 257) ||
          special("he", 258)) {
        continue;
      }
      ids.push_back(static_cast<unsigned char>(text[at++]));
    }
    return ids;
  }
  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens) const override {
    std::string text;
    for (const int32_t id : ids) {
      if (id < 256) text += static_cast<char>(id);
      if (id == 256) text += " a";
      if (id == 257) text += "th";
      if (id == 258) text += "he";
      if (id == 259 && !skip_special_tokens) text += "<s>";
      if (id == 260 && !skip_special_tokens) text += "</s>";
    }
    return text;
  }
  int64_t vocab_size() const override { return 261; }
  std::optional<int32_t> bos_id() const override { return has_bos_ ? std::optional<int32_t>(259) : std::nullopt; }
  std::optional<int32_t> eos_id() const override { return 260; }
  std::vector<int32_t> stop_ids() const override { return {260}; }
  const std::string& digest() const override { return digest_; }

 private:
  Template template_;
  bool has_bos_;
  std::string digest_ = DigestOf("toy");
};

/// A causal language model of two single-head attention blocks with seeded random weights, in a few lines that can
/// be checked by eye: distance-biased attention, tanh, residuals.
class ToyModel : public Model {
 public:
  explicit ToyModel(uint64_t seed = 1, int64_t max_positions = 512, ToyTokenizer tokenizer = ToyTokenizer())
      : tokenizer_(std::move(tokenizer)) {
    at::set_num_threads(1);  // Tensors this small only lose by more.
    summary_.name = "toy";
    summary_.architecture = "toy";
    summary_.num_blocks = 2;
    summary_.hidden_size = kWidth;
    summary_.vocab_size = tokenizer_.vocab_size();
    summary_.max_positions = max_positions;
    auto generator = at::detail::createCPUGenerator(seed);
    embedding_ = at::randn({summary_.vocab_size, kWidth}, generator);
    head_ = at::randn({summary_.vocab_size, kWidth}, generator);
    for (int64_t i = 0; i < summary_.num_blocks; ++i) {
      const at::Tensor weights = at::randn({4, kWidth, kWidth}, generator) / std::sqrt(kWidth);
      blocks_.push_back(std::make_unique<ToyBlock>(i, weights, largest_cache_bytes));
    }
  }

  const ModelSummary& summary() const override { return summary_; }
  const ComputeSetting& compute() const override { return compute_; }
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  Block& block(int64_t i) override { return *blocks_.at(i); }
  void DropBlock(int64_t) override {}
  at::Tensor Embed(const at::Tensor& tokens) override {
    rows_read += tokens.numel();
    largest_batch = std::max(largest_batch, tokens.numel());
    return embedding_.index({tokens});
  }
  at::Tensor Logits(const at::Tensor& hidden) override {
    logits_rows += hidden.numel() / kWidth;
    return at::matmul(hidden, head_.t()) * scale;
  }

  double scale = 1.0;         ///< NaN makes every logit NaN.
  int64_t rows_read = 0;      ///< Tokens embedded so far.
  int64_t largest_batch = 0;  ///< Most tokens in one pass.
  int64_t logits_rows = 0;    ///< Positions whose logits were asked for.
  int64_t largest_cache_bytes = 0;  ///< Of the caches that passes wrote to.

 private:
  static constexpr int64_t kWidth = 16;

  class ToyBlock : public Block {
   public:
    ToyBlock(int64_t index, at::Tensor weights, int64_t& largest_cache_bytes)
        : index_(index), weights_(std::move(weights)), largest_cache_bytes_(largest_cache_bytes) {}
    int num_stages() const override { return 0; }
    std::span<Linear* const> stage_linears(int) override { return {}; }
    void Step(int, BlockState& state, const ForwardContext& context, const InputObserver&) override {
      const at::Tensor x = state.residual;                  // [B, T, D]
      const at::Tensor query = at::matmul(x, weights_[0]);  // [B, T, D]
      const at::Tensor key = at::matmul(x, weights_[1]), value = at::matmul(x, weights_[2]);
      at::Tensor mixed = at::empty_like(x);
      if (context.cache == nullptr) {
        mixed = Attend(query, key, value);
      } else {
        context.cache->Write(index_, context.runs, key.transpose(0, 1), value.transpose(0, 1));  // [T, 1, D]
        largest_cache_bytes_ = std::max(largest_cache_bytes_, context.cache->size_bytes());
        int64_t at = 0;
        for (const TokenRun& run : context.runs) {
          const auto [keys, values] = context.cache->Seen(index_, run);  // [S, 1, D]
          mixed.narrow(1, at, run.tokens)
              .copy_(Attend(query.narrow(1, at, run.tokens), keys.transpose(0, 1), values.transpose(0, 1)));
          at += run.tokens;
        }
      }
      state.residual = x + at::tanh(at::matmul(mixed, weights_[3]));
    }

   private:
    // query [B, T, D], the last T of key, value [B, S, D] -> [B, T, D]
    static at::Tensor Attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value) {
      const int64_t total = key.size(1);
      const at::Tensor here = at::arange(total - query.size(1), total).unsqueeze(1);  // [T, 1]
      const at::Tensor there = at::arange(total).unsqueeze(0);                        // [1, S]
      const at::Tensor score = at::matmul(query, key.transpose(1, 2)) / 4.0 - 0.2 * (here - there);  // [B, T, S]
      return at::matmul(at::softmax(score.masked_fill(there > here, -INFINITY), -1), value);
    }

    int64_t index_;
    at::Tensor weights_;  // [4, D, D]: query, key, value, output
    int64_t& largest_cache_bytes_;
  };

  ModelSummary summary_;
  ComputeSetting compute_;
  ToyTokenizer tokenizer_;
  at::Tensor embedding_, head_;
  std::vector<std::unique_ptr<ToyBlock>> blocks_;
};

/// A task made of requests given in a test. Its scores are the loglikelihoods.
class ListTask : public Task {
 public:
  explicit ListTask(std::vector<TaskItem> items) : items_(std::move(items)) {
    card_.name = "list";
    card_.metrics = {{"value", MetricKind::kMean, true}};
  }
  const TaskCard& card() const override { return card_; }
  TaskCard& mutable_card() { return card_; }
  std::vector<TaskItem> Items() const override { return items_; }
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override {
    ItemScore score{item.id, {{0.0, 1.0}}, 0.0};
    for (const Response& response : responses) {
      if (const auto* r = std::get_if<LoglikelihoodResponse>(&response)) score.values[0].value += r->loglikelihood_nats;
    }
    return {score};
  }
  std::string digest() const override { return "list"; }

 private:
  TaskCard card_;
  std::vector<TaskItem> items_;
};

}  // namespace bitlaw::testing
