#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// y = x W^T (+ b), whose weight a quantizer may replace.
class BITLAW_EXPORT Linear {
 public:
  /// weight [C_out, C_in] in the compute dtype; bias [C_out] or undefined.
  Linear(LinearShape shape, at::Tensor weight, at::Tensor bias);

  const LinearShape& shape() const { return shape_; }
  const at::Tensor& weight() const { return weight_; }
  const at::Tensor& bias() const { return bias_; }

  /// [..., C_in] -> [..., C_out], in the dtype of the weight. Applies input scale and activation grid if a
  /// quantized layer brought them.
  at::Tensor Apply(const at::Tensor& input) const;

  /// From now on Apply() computes with what the codes say, rounded once to the compute dtype.
  void Install(const QuantizedLinear& quantized);
  bool is_quantized() const { return is_quantized_; }

 private:
  LinearShape shape_;
  at::Tensor weight_, bias_, input_scale_;
  std::optional<ActivationGrid> activation_;
  bool is_quantized_ = false;
};

/// Keys and values of the tokens seen so far, for all blocks; rows of a batch are independent.
///
/// All rows have the same length. Rows of different true lengths are left-padded: ForwardContext::first_valid.
class BITLAW_EXPORT KvCache {
 public:
  /// Has room for `capacity_tokens` before it must grow.
  explicit KvCache(int64_t num_blocks, int64_t capacity_tokens = 0)
      : capacity_tokens_(capacity_tokens), keys_(num_blocks), values_(num_blocks) {}
  /// A copy shares the tokens held so far; what either appends afterwards is its own.
  KvCache(const KvCache& other) : KvCache(other.Prefix(other.length_)) {}
  KvCache& operator=(const KvCache& other) { return *this = other.Prefix(other.length_); }
  KvCache(KvCache&&) noexcept = default;
  KvCache& operator=(KvCache&&) noexcept = default;

  int64_t length() const { return length_; }  ///< Tokens held, S.
  /// Appends keys and values [B, H_kv, T, D] of one block and returns the whole [B, H_kv, S + T, D] pair.
  /// Every block must append the same T before AdvanceBy(T) is called.
  std::pair<at::Tensor, at::Tensor> Append(int64_t block, const at::Tensor& keys, const at::Tensor& values);
  void AdvanceBy(int64_t tokens) { length_ += tokens; }

  /// A cache whose row i is row rows[i] of this one: repeats a shared prefix over many continuations.
  /// rows [B'] int64. The copy has room for `headroom_tokens` more before it must grow.
  KvCache Select(const at::Tensor& rows, int64_t headroom_tokens = 32) const;
  /// A cache whose row i is row rows[i] moved right by shifts[i] positions: zeros stand before its first token, and as
  /// many tokens at its end are gone. With shifts as ForwardContext::first_valid, rows that follow a common prefix by
  /// different lengths end together. shifts [B'] int64, each in [0, length()].
  KvCache SelectShifted(const at::Tensor& rows, const at::Tensor& shifts, int64_t headroom_tokens = 32) const;
  /// The first `tokens` positions (no copy).
  KvCache Prefix(int64_t tokens) const;
  /// Memory of keys and values, room for growth included.
  int64_t size_bytes() const;

 private:
  int64_t length_ = 0, capacity_tokens_ = 0;
  std::vector<at::Tensor> keys_, values_;  ///< [B, H_kv, capacity, D] each; grown by doubling.
};

/// What a forward pass needs beside the tokens.
struct BITLAW_EXPORT ForwardContext {
  KvCache* cache = nullptr;  ///< Null: no earlier tokens, and none are kept.
  /// [B] int64 or undefined: row b's tokens before position first_valid[b] (counted over cache and input) are
  /// left padding: nothing attends to them, and positions count from there.
  at::Tensor first_valid{};
};

/// What a block carries from stage to stage.
struct BITLAW_EXPORT BlockState {
  at::Tensor residual{};             ///< [B, T, D]: the block's input at first, its output at the end.
  at::Tensor activation{};           ///< The current stage's input, [B, T, C_in] (or what an expert layer needs).
  std::vector<at::Tensor> extra{};   ///< Anything else a block needs between stages (routing weights, ...).
};

/// Called with the linears that are about to read `input` ([..., C_in]; only rows that count), all of them at once
/// when they share it, so that shared statistics are collected once.
using InputObserver = std::function<void(std::span<Linear* const> readers, const at::Tensor& input)>;

/// One transformer block, as the sequence of stages that sequential quantization needs:
/// q,k,v / o / gate,up / down. The linears of a stage read inputs that depend on no linear of the same stage.
class BITLAW_EXPORT Block {
 public:
  virtual ~Block() = default;

  virtual int num_stages() const = 0;
  virtual std::span<Linear* const> stage_linears(int stage) = 0;

  /// Runs from the inputs of stage - 1 to the inputs of `stage`: applies the linears of stage - 1 with the
  /// weights they have now, and what lies between. Stage 0 starts from state.residual; stage num_stages()
  /// ends the block and leaves its output in state.residual. `observe` may be empty.
  ///
  /// So one walk over the stages that quantizes each stage's linears before it steps on is exactly
  /// "true-sequential" GPTQ, at the cost of a single forward pass.
  virtual void Step(int stage, BlockState& state, const ForwardContext& context, const InputObserver& observe) = 0;

  /// [B, T, D] -> [B, T, D]: all stages in turn.
  at::Tensor Forward(const at::Tensor& hidden, const ForwardContext& context);
};

/// An open causal language model.
///
/// Threads: one thread at a time (the tensor library runs its own threads inside).
class BITLAW_EXPORT Model {
 public:
  virtual ~Model() = default;

  virtual const ModelSummary& summary() const = 0;
  virtual const ComputeSetting& compute() const = 0;  ///< Effective dtype and device.
  virtual const Tokenizer& tokenizer() const = 0;

  /// Block i with its weights in memory; read from the checkpoint on first use.
  virtual Block& block(int64_t i) = 0;
  /// Forgets block i's weights, quantized ones included; the next block(i) reads the checkpoint again.
  virtual void DropBlock(int64_t i) = 0;

  /// tokens [B, T] int64 -> embeddings [B, T, D].
  virtual at::Tensor Embed(const at::Tensor& tokens) = 0;
  /// Final norm and output head: hidden [..., D] -> logits [..., V], in the compute dtype.
  virtual at::Tensor Logits(const at::Tensor& hidden) = 0;

  /// tokens [B, T] -> hidden [B, T, D] after the last block, before the final norm; extends context.cache.
  at::Tensor Forward(const at::Tensor& tokens, const ForwardContext& context);
};

}  // namespace bitlaw
