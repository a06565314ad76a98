#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/model.h"
#include "bitlaw/sdk/decoder/decoder_config.h"
#include "sdk/decoder/tensor/block/expert_layer.h"
#include "sdk/decoder/tensor/block/rotary_table.h"
#include "sdk/decoder/tensor/packed_attention.h"

namespace bitlaw {

/// A weight by its name, on the device and in the dtype of the model.
using LoadWeight = std::function<at::Tensor(const std::string&)>;

/// What all blocks of a model share.
struct SharedByBlocks {
  RotaryTable rope, local_rope;
  PassMemory passes;
};

/// One block of the decoder, in stages: q, k, v / o / gate, up (of every expert) / down. B batch, T new tokens,
/// D hidden, F feed-forward, H query heads, K key-value heads, Dh head size.
class DecoderBlock : public Block {
 public:
  /// kv_grid is the model's and outlives the block.
  DecoderBlock(const DecoderConfig& config, int64_t index, const ModelSummary& summary, const LoadWeight& load,
               std::shared_ptr<SharedByBlocks> shared, const KvCacheGrid& kv_grid);

  std::vector<Site> sites() override { return sites_; }
  std::vector<std::pair<std::string, at::Tensor>> other_weights() const override;
  void SetOtherWeight(const std::string& name, const at::Tensor& value) override;
  StreamPorts stream() override;
  AttentionHeads heads() override;
  void RotateOnline(const std::string& place, const Rotation& rotation) override;
  std::vector<OnlineRotation> online_rotations() const override { return online_; }
  int num_stages() const override { return static_cast<int>(stages_.size()); }
  std::span<Linear* const> stage_linears(int stage) override { return stages_.at(stage); }
  void Step(int stage, BlockState& state, const ForwardContext& context, const InputObserver& observe) override;

 private:
  void LoadNorms(const std::string& prefix, const LoadWeight& load);
  void FindSites(const ModelSummary& summary);
  at::Tensor Turned(int stage, const at::Tensor& input) const {
    return input_rotations_[stage] ? input_rotations_[stage]->Apply(input) : input;
  }
  at::Tensor Normed(const at::Tensor& x, const at::Tensor& weight) const;
  void AddToResidual(BlockState& state, const at::Tensor& output, const at::Tensor& norm_after) const;
  void StepFeedForward(int stage, BlockState& state, const InputObserver& observe);
  void StepExperts(int stage, BlockState& state, const ForwardContext& context, const InputObserver& observe);
  /// `heads`, whose dimension `heads_at` is the head, on this block's points.
  at::Tensor OnGrid(const at::Tensor& heads, const std::optional<KvGrid>& grid, int64_t heads_at) const;
  at::Tensor TurnedHeads(const at::Tensor& heads) const;
  at::Tensor Attention(const at::Tensor& input, const ForwardContext& context);
  at::Tensor AttendCached(at::Tensor queries, at::Tensor keys, const at::Tensor& values, double scale,
                          const ForwardContext& context);

  const DecoderConfig config_;
  const int64_t index_;
  const BlockSetting setting_;
  std::shared_ptr<SharedByBlocks> shared_;
  const KvCacheGrid& kv_grid_;
  // Norms of what attention and feed-forward read and of what they give; undefined where there is none. [D]
  at::Tensor attention_norm_, attention_norm_after_, ffn_norm_, ffn_norm_after_;
  at::Tensor q_norm_, k_norm_;  // [Dh], or [H Dh] and [K Dh]
  std::unique_ptr<Linear> q_, k_, v_, o_, gate_, up_, down_;
  std::unique_ptr<ExpertLayer> experts_;  // In place of gate_, up_, down_.
  std::array<std::vector<Linear*>, 4> stages_;
  const std::string prefix_;                    // "model.layers.0."
  std::map<std::string, at::Tensor*> norms_;    // Those that make a site's input.
  std::map<std::string, at::Tensor*> routers_;  // [E, D], and of the shared expert [1, D]
  std::vector<std::unique_ptr<Producer>> producers_;
  std::vector<Site> sites_;
  std::vector<OnlineRotation> online_;
  std::array<std::optional<Rotation>, 4> input_rotations_;  // Of each stage's input; of experts their own.
  std::optional<Rotation> key_rotation_;
};

}  // namespace bitlaw
