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
#include "bitlaw/math/rotation.h"

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

  /// Another weight and bias of the same shapes; InternalError once the layer is quantized. For transforms.
  void Replace(at::Tensor weight, at::Tensor bias);
  /// From now on Apply() rounds its inputs to `grid`, after any input scale.
  void RoundInputs(const ActivationGrid& grid) { activation_ = grid; }

 private:
  LinearShape shape_;
  at::Tensor weight_, bias_, input_scale_;
  std::optional<ActivationGrid> activation_;
  bool is_quantized_ = false;
};

/// What makes the input of a site and can take a scale: the weight of a norm, the rows of a linear layer.
class BITLAW_EXPORT Producer {
 public:
  virtual ~Producer() = default;

  /// [C_in] int64: which channel of the producer input j comes from. Ascending runs 0 .. C_in - 1 but for grouped-query
  /// attention, where a value head serves several query heads; then those inputs share a scale.
  virtual const at::Tensor& channels() const = 0;

  /// Divides what it makes by scale [max(channels) + 1] float32, finite and positive, in float64 before rounding once.
  virtual void Divide(const at::Tensor& scale) = 0;
};

/// One input of a block and all that reads it. The pointers are the block's.
struct BITLAW_EXPORT Site {
  SiteShape shape{};
  int stage = 0;                       ///< Whose stage_linears() the readers are.
  std::vector<Linear*> readers{};      ///< In the order of shape.readers.
  Producer* producer = nullptr;        ///< Null exactly if shape.producer is empty.

  /// Divides the input by a scale a channel of the producer and multiplies the readers' columns by it, so that every
  /// reader's output stays what it was. Error(kNumerical) for a scale that is not finite and positive.
  void Fold(const at::Tensor& scale) const;
};

/// How a part of a model hangs on the residual stream [.., D]: what a change of the stream's basis has to change.
/// "Other weights" are those of the part's other_weights(), by name.
struct BITLAW_EXPORT StreamPorts {
  /// The stream read through an RMS norm, times weight + norm_offset by channel.
  struct Reader {
    std::string norm;  ///< The norm's weight, an other weight [D].
    double norm_offset = 0;
    std::vector<Linear*> linears{};       ///< What reads it, the part's own ..
    std::vector<std::string> matrices{};  ///< .. and other weights [rows, D] that do: a router, the output head.
  };
  std::vector<Reader> readers{};
  std::vector<Linear*> writers{};   ///< What they give, biases included, is added to the stream.
  std::vector<std::string> rows{};  ///< Other weights [rows, D] whose rows are put there: embeddings.
};

/// The heads of a block's attention.
struct BITLAW_EXPORT AttentionHeads {
  Linear* values = nullptr;  ///< [K Dh, D]; null: none that are known.
  Linear* output = nullptr;  ///< [D, H Dh]: reads what attention mixes of the values, head by head.
  int64_t head_dim = 0;      ///< Dh
  std::string keys_place;    ///< For Block::RotateOnline(): queries and keys of each head, after rotary positions.
};

/// Called with the linears that are about to read `input` ([..., C_in]; only rows that count), all of them at once
/// when they share it, so that shared statistics are collected once.
using InputObserver = std::function<void(std::span<Linear* const> readers, const at::Tensor& input)>;

/// Called with a block's keys before and after the rotation, and its values, as they are before any rounding:
/// [..., K, Dh] each.
using KvObserver =
    std::function<void(const at::Tensor& keys, const at::Tensor& rotated_keys, const at::Tensor& values)>;

/// What a forward pass needs beside the tokens.
struct BITLAW_EXPORT ForwardContext {
  /// Null: B texts from their beginnings, of T tokens each. Otherwise tokens are [1, T], those of `runs` one after the
  /// other, and their keys and values are added to the cache.
  KvCache* cache = nullptr;
  std::span<const TokenRun> runs{};
  /// Where not null, a block of experts shows it, before it observes a stage, all rows as each expert would read them,
  /// whatever its router chose: expert by expert where they differ. The pass itself stays routed.
  const InputObserver* all_rows = nullptr;
  /// Where not null, and there is no cache, a block of a model that rounds keys and values shows them.
  const KvObserver* keys_values = nullptr;
};

/// What a block carries from stage to stage.
struct BITLAW_EXPORT BlockState {
  at::Tensor residual{};             ///< [B, T, D]: the block's input at first, its output at the end.
  at::Tensor activation{};           ///< The current stage's input, [B, T, C_in] (or what an expert layer needs).
  std::vector<at::Tensor> extra{};   ///< Anything else a block needs between stages (routing weights, ...).
};

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

  /// Every input and its readers, in execution order: stage by stage, each reader of stage_linears() once. The default
  /// makes every linear layer a site of its own without a producer: then no scale can be folded.
  virtual std::vector<Site> sites();

  /// What a transform may change beside the weights of linear layers: norms, biases and routers, by their checkpoint's
  /// names. The default has none, which is right for a block whose sites have no producers.
  virtual std::vector<std::pair<std::string, at::Tensor>> other_weights() const { return {}; }
  /// Puts one of them in place, of the same shape; InternalError for a name that other_weights() lacks.
  virtual void SetOtherWeight(const std::string& name, const at::Tensor& value);

  /// What changes of basis have to change. Only asked of models whose ModelSummary::bases allows them; the defaults
  /// know nothing.
  virtual StreamPorts stream() { return {}; }
  virtual AttentionHeads heads() { return {}; }

  /// From now on what is computed at `place` is turned by `rotation`, whose width divides its own, in each forward
  /// pass: a site's input as its readers, observers and the rounding of activations see it (SiteShape::rotates_online;
  /// the site has no producer then), or the queries and keys of AttentionHeads::keys_place, keys before they are
  /// rounded. Weights are the caller's affair. InternalError for a place that the block has not, or that is turned
  /// already.
  virtual void RotateOnline(const std::string& place, const Rotation& rotation);
  /// What RotateOnline() was told.
  virtual std::vector<OnlineRotation> online_rotations() const { return {}; }

  /// [B, T, D] -> [B, T, D]: all stages in turn.
  at::Tensor Forward(const at::Tensor& hidden, const ForwardContext& context);
};

/// An open causal language model.
///
/// Threads: one thread at a time (the tensor library runs its own threads inside).
/// Devices: every tensor that comes out, and every one that goes in but the tokens of Embed(), is on the device of
/// compute(): weights, residuals, keys and values, logits. Nothing is copied to the host on the way, and a forward pass
/// does not wait for the device in its loops over blocks, tokens or experts more often than its README says. Whoever
/// calls may hold activations and the cache as long as it likes; a block's weights it may not hold beyond DropBlock().
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

  /// The ends of the residual stream: embedding, final norm, output head. Asked where ModelSummary::bases.residual
  /// allows a change; the default knows nothing.
  virtual StreamPorts stream() { return {}; }
  /// The weights that stream() names, by their checkpoint's names, read where they were not yet. A head that is the
  /// embedding ("tied") is here under its own name.
  virtual std::vector<std::pair<std::string, at::Tensor>> other_weights() { return {}; }
  /// Puts one of them in place, of the same shape; InternalError for a name that is none. With embedding or head of a
  /// tied pair the two are untied.
  virtual void SetOtherWeight(const std::string& name, const at::Tensor& value);
  /// Those that are no longer the checkpoint's.
  virtual std::vector<std::pair<std::string, at::Tensor>> changed_weights() const { return {}; }

  /// The matrix of summary().tables[i], [V, D] in the compute dtype, and another in its place, of the same shape: for
  /// as long as the model is open, whatever blocks are dropped. A tied head changes with the embedding. The defaults
  /// are InternalErrors, for models that show no tables.
  virtual at::Tensor table(size_t i);
  virtual void SetTable(size_t i, at::Tensor weight);

  /// From now on attention reads keys and values rounded to these grids, from a cache or without one alike.
  /// Error(kUnsupported) from a model that cannot (ModelSummary::rounds_kv_cache).
  virtual void RoundKvCache(const KvCacheGrid& grid);

  /// Begins to read block i beside what is computed meanwhile, unless it is in memory: block(i) waits for it, and throws
  /// what reading it threw. One block at a time: what was begun before, and not used, is given up. So does DropBlock(i).
  /// The default reads nothing ahead.
  virtual void ReadAhead(int64_t i);

  /// tokens [B, T] -> hidden [B, T, D] after the last block, before the final norm; extends context.cache.
  at::Tensor Forward(const at::Tensor& tokens, const ForwardContext& context);
};

}  // namespace bitlaw
