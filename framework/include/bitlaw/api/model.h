#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bitlaw/api/kv_cache.h"
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

/// What a forward pass needs beside the tokens.
struct BITLAW_EXPORT ForwardContext {
  /// Null: B texts from their beginnings, of T tokens each. Otherwise tokens are [1, T], those of `runs` one after the
  /// other, and their keys and values are added to the cache.
  KvCache* cache = nullptr;
  std::span<const TokenRun> runs{};
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
