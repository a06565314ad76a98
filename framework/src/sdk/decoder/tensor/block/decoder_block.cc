#include "sdk/decoder/tensor/block/decoder_block.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/decoder/producers.h"
#include "sdk/decoder/tensor/decoder_ops.h"
#include "sdk/decoder/tensor/forest_attention.h"

namespace bitlaw {
namespace {

[[noreturn]] void NoSuchStage(int stage) {
  throw InternalError("A decoder block has no stage " + std::to_string(stage) + ".");
}

}  // namespace

DecoderBlock::DecoderBlock(const DecoderConfig& config, int64_t index, const ModelSummary& summary,
                           const LoadWeight& load, std::shared_ptr<SharedByBlocks> shared, const KvCacheGrid& kv_grid)
    : config_(config),
      index_(index),
      setting_(config.block(index)),
      shared_(std::move(shared)),
      kv_grid_(kv_grid),
      prefix_("model.layers." + std::to_string(index) + ".") {
  const std::string& prefix = prefix_;
  const auto load_linear = [&](const std::string& name, bool bias) {
    const std::string full_name = prefix + name;
    const auto shape = std::find_if(summary.linears.begin(), summary.linears.end(),
                                    [&](const LinearShape& linear) { return linear.name == full_name; });
    if (shape == summary.linears.end()) throw InternalError(full_name + " is not in the model's summary.");
    return std::make_unique<Linear>(*shape, load(full_name + ".weight"),
                                    bias ? load(full_name + ".bias") : at::Tensor());
  };
  LoadNorms(prefix, load);
  q_ = load_linear("self_attn.q_proj", config.qkv_bias);  // [H Dh, D]
  k_ = load_linear("self_attn.k_proj", config.qkv_bias);  // [K Dh, D]
  v_ = load_linear("self_attn.v_proj", config.qkv_bias);  // [K Dh, D]
  o_ = load_linear("self_attn.o_proj", config.o_bias);    // [D, H Dh]
  if (config.has_experts(index)) {
    std::vector<ExpertLayer::Expert> experts;
    for (int64_t e = 0; e < config.num_experts; ++e) {
      const std::string expert = "mlp.experts." + std::to_string(e);
      experts.push_back({load_linear(expert + ".gate_proj", false), load_linear(expert + ".up_proj", false),
                         load_linear(expert + ".down_proj", false)});
    }
    ExpertLayer::Shared shared_expert;
    if (config.shared_ffn_size > 0) {
      shared_expert.gate = load(prefix + "mlp.shared_expert_gate.weight");  // [1, D]
      shared_expert.expert = {load_linear("mlp.shared_expert.gate_proj", false),
                              load_linear("mlp.shared_expert.up_proj", false),
                              load_linear("mlp.shared_expert.down_proj", false)};
    }
    experts_ = std::make_unique<ExpertLayer>(config, load(prefix + "mlp.gate.weight"), std::move(experts),  // [E, D]
                                             std::move(shared_expert));
    routers_[prefix + "mlp.gate"] = &experts_->router();
    if (config.shared_ffn_size > 0) routers_[prefix + "mlp.shared_expert_gate"] = &experts_->shared_gate();
    stages_ = {{{q_.get(), k_.get(), v_.get()}, {o_.get()}, experts_->inner_linears(), experts_->output_linears()}};
  } else {
    gate_ = load_linear("mlp.gate_proj", config.mlp_bias);  // [F, D]
    up_ = load_linear("mlp.up_proj", config.mlp_bias);      // [F, D]
    down_ = load_linear("mlp.down_proj", config.mlp_bias);  // [D, F]
    stages_ = {{{q_.get(), k_.get(), v_.get()}, {o_.get()}, {gate_.get(), up_.get()}, {down_.get()}}};
  }
  FindSites(summary);
}

void DecoderBlock::LoadNorms(const std::string& prefix, const LoadWeight& load) {
  const auto norm = [&](const char* name) { return load(prefix + name + ".weight"); };
  const NormPlace place = config_.norm_place;
  if (place != NormPlace::kAfter) attention_norm_ = norm("input_layernorm");
  if (place == NormPlace::kBefore) ffn_norm_ = norm("post_attention_layernorm");
  if (place != NormPlace::kBefore) attention_norm_after_ = norm("post_attention_layernorm");
  if (place == NormPlace::kBoth) ffn_norm_ = norm("pre_feedforward_layernorm");
  if (place != NormPlace::kBefore) ffn_norm_after_ = norm("post_feedforward_layernorm");
  if (config_.qk_norm) {
    q_norm_ = norm("self_attn.q_norm");
    k_norm_ = norm("self_attn.k_norm");
  }
  if (attention_norm_.defined()) norms_[prefix + "input_layernorm"] = &attention_norm_;
  if (ffn_norm_.defined()) {
    const bool is_both = place == NormPlace::kBoth;
    norms_[prefix + (is_both ? "pre_feedforward_layernorm" : "post_attention_layernorm")] = &ffn_norm_;
  }
}

std::vector<std::pair<std::string, at::Tensor>> DecoderBlock::other_weights() const {
  std::vector<std::pair<std::string, at::Tensor>> weights;
  for (const auto& [name, norm] : norms_) weights.emplace_back(name + ".weight", *norm);
  for (const auto& [name, router] : routers_) weights.emplace_back(name + ".weight", *router);
  for (const auto& stage : stages_) {
    for (const Linear* linear : stage) {
      if (linear->bias().defined()) weights.emplace_back(linear->shape().name + ".bias", linear->bias());
    }
  }
  return weights;
}

void DecoderBlock::SetOtherWeight(const std::string& name, const at::Tensor& value) {
  const auto set = [&](const at::Tensor& held, const auto& keep) {
    if (value.sizes() != held.sizes()) throw InternalError(name + " was to be set to a value of another shape.");
    keep(value.to(held.options()));
    return true;
  };
  for (const auto* matrices : {&norms_, &routers_}) {
    for (const auto& [own, matrix] : *matrices) {
      if (own + ".weight" == name && set(*matrix, [&](at::Tensor kept) { *matrix = std::move(kept); })) return;
    }
  }
  for (const auto& stage : stages_) {
    for (Linear* linear : stage) {
      if (!linear->bias().defined() || linear->shape().name + ".bias" != name) continue;
      set(linear->bias(), [&](at::Tensor kept) { linear->Replace(linear->weight(), std::move(kept)); });
      return;
    }
  }
  Block::SetOtherWeight(name, value);
}

at::Tensor DecoderBlock::Normed(const at::Tensor& x, const at::Tensor& weight) const {
  return weight.defined() ? RmsNorm(x, weight, config_.rms_norm_eps, config_.norm_adds_one) : x;
}

// `output` is nobody else's.
void DecoderBlock::AddToResidual(BlockState& state, const at::Tensor& output, const at::Tensor& norm_after) const {
  state.residual = Normed(output, norm_after).add_(state.residual);  // [B, T, D]
}

void DecoderBlock::Step(int stage, BlockState& state, const ForwardContext& context, const InputObserver& observe) {
  switch (stage) {
    case 0: state.activation = Turned(0, Normed(state.residual, attention_norm_)); break;  // [B, T, D]
    case 1: state.activation = Turned(1, Attention(state.activation, context)); break;     // [B, T, H Dh]
    case 2:
      AddToResidual(state, o_->Apply(state.activation), attention_norm_after_);  // [B, T, D]
      state.activation = Turned(2, Normed(state.residual, ffn_norm_));           // [B, T, D]
      if (experts_) return StepExperts(stage, state, context, observe);
      break;
    default:
      if (experts_) return StepExperts(stage, state, context, observe);
      return StepFeedForward(stage, state, observe);
  }
  if (observe) observe(stages_[stage], state.activation);
}

void DecoderBlock::StepFeedForward(int stage, BlockState& state, const InputObserver& observe) {
  if (stage == 3) {
    const at::Tensor gate = gate_->Apply(state.activation);                                                // [B, T, F]
    state.activation = Turned(3, GateMultiply(gate, up_->Apply(state.activation), config_.activation));    // [B, T, F]
    if (observe) observe(stages_[stage], state.activation);
    return;
  }
  if (stage != 4) NoSuchStage(stage);
  AddToResidual(state, down_->Apply(state.activation), ffn_norm_after_);  // [B, T, D]
  state.activation = at::Tensor();
}

void DecoderBlock::StepExperts(int stage, BlockState& state, const ForwardContext& context,
                               const InputObserver& observe) {
  const int64_t rows = state.residual.size(0) * state.residual.size(1);
  switch (stage) {
    case 2:
      experts_->Route(state.activation, state.extra);
      if (context.all_rows != nullptr) experts_->ObserveAllInputs(state.activation, *context.all_rows);
      if (observe) experts_->ObserveInput(state.activation, state.extra, observe);
      return;
    case 3:
      if (context.all_rows != nullptr) experts_->ObserveAllInner(state.activation, *context.all_rows);
      state.activation = experts_->Inner(state.activation, state.extra);  // [B T k, F]
      if (observe) experts_->ObserveInner(state.activation, state.extra, observe);
      return;
    case 4:
      AddToResidual(state, experts_->Output(state.activation, state.extra, rows).view_as(state.residual),
                    ffn_norm_after_);
      state.activation = at::Tensor();
      state.extra.clear();
      return;
    default: NoSuchStage(stage);
  }
}

// Binds the sites that the summary names of this block to its layers and norms.
void DecoderBlock::FindSites(const ModelSummary& summary) {
  std::map<std::string, std::pair<Linear*, int>> linears;
  for (int stage = 0; stage < num_stages(); ++stage) {
    for (Linear* linear : stages_[stage]) linears[linear->shape().name] = {linear, stage};
  }
  for (const SiteShape& shape : summary.sites) {
    if (shape.block != index_) continue;
    Site site;
    site.shape = shape;
    for (const LinearShape& reader : shape.readers) {
      const auto& [linear, stage] = linears.at(reader.name);
      site.readers.push_back(linear);
      site.stage = stage;
    }
    if (!shape.producer.empty()) {
      const auto norm = norms_.find(shape.producer);
      if (norm != norms_.end()) {
        producers_.push_back(std::make_unique<NormProducer>(*norm->second, config_.norm_adds_one ? 1 : 0));
      } else {
        Linear* const producer = linears.at(shape.producer).first;
        producers_.push_back(std::make_unique<LinearProducer>(
            *producer, producer == v_.get() ? ValueChannels(config_.num_heads, config_.num_kv_heads, config_.head_dim)
                                            : at::Tensor()));
      }
      site.producer = producers_.back().get();
    }
    sites_.push_back(std::move(site));
  }
  if (sites_.empty()) sites_ = Block::sites();
}

at::Tensor DecoderBlock::OnGrid(const at::Tensor& heads, const std::optional<KvGrid>& grid, int64_t heads_at) const {
  return grid ? grid->Round(heads, index_, heads_at) : heads;
}

// Queries and keys after rotary positions, heads of Dh last.
at::Tensor DecoderBlock::TurnedHeads(const at::Tensor& heads) const {
  return key_rotation_ ? key_rotation_->Apply(heads) : heads;
}

at::Tensor DecoderBlock::Attention(const at::Tensor& input, const ForwardContext& context) {
  const int64_t batch = input.size(0), tokens = input.size(1);
  // Norms are over a head or, before it is cut into heads, over the whole projection.
  const auto heads = [&](const Linear& linear, const at::Tensor& norm) {
    at::Tensor made = linear.Apply(input);
    if (config_.qk_norm_whole) made = Normed(made, norm);
    made = made.view({batch, tokens, -1, config_.head_dim});  // [B, T, heads, Dh]
    return config_.qk_norm_whole ? made : Normed(made, norm);
  };
  at::Tensor queries = heads(*q_, q_norm_), keys = heads(*k_, k_norm_);
  const double scale =
      config_.query_scale != 0 ? config_.query_scale : 1.0 / std::sqrt(static_cast<double>(config_.head_dim));
  const at::Tensor values = heads(*v_, {});
  if (context.cache != nullptr) return AttendCached(queries, keys, values, scale, context);
  RotaryAngles angles;
  if (setting_.rotation == BlockSetting::Rotation::kRope) angles = shared_->rope.First(tokens);
  if (setting_.rotation == BlockSetting::Rotation::kLocalRope) angles = shared_->local_rope.First(tokens);
  const bool before = kv_grid_.keys_before_rotation;
  at::Tensor rotated =
      TurnedHeads(Rotate(before ? OnGrid(keys, kv_grid_.keys, -2) : keys, angles, 1.0, HeadOrder::kHeadsFirst));
  if (context.keys_values != nullptr) (*context.keys_values)(keys, rotated.transpose(1, 2), values);
  if (!before) rotated = OnGrid(rotated, kv_grid_.keys, -3);
  queries = TurnedHeads(Rotate(queries, angles, scale, HeadOrder::kHeadsFirst));
  return Attend(queries,                                                                              // [B, H, T, Dh]
                rotated,                                                                              // [B, K, T, Dh]
                OnGrid(values, kv_grid_.values, -2).transpose(1, 2).contiguous(),                     // [B, K, T, Dh]
                {.window = setting_.window, .softcap = config_.attention_softcap});                   // [B, T, H Dh]
}

// queries, keys, values [1, T, heads, Dh] before the rotation.
at::Tensor DecoderBlock::AttendCached(at::Tensor queries, at::Tensor keys, const at::Tensor& values, double scale,
                                      const ForwardContext& context) {
  ForestPass& pass = shared_->passes.For(*context.cache, context.runs, queries[0], config_.num_kv_heads);
  if (queries.size(0) != 1 || queries.size(1) != static_cast<int64_t>(pass.positions.size())) {
    throw InternalError("A pass of " + std::to_string(pass.positions.size()) + " tokens in runs was given " +
                        std::to_string(queries.size(0)) + " x " + std::to_string(queries.size(1)) + " tokens.");
  }
  RotaryAngles none;
  const bool is_local = setting_.rotation == BlockSetting::Rotation::kLocalRope;
  RotaryAngles& angles = setting_.rotation == BlockSetting::Rotation::kNone ? none
                         : is_local                                         ? pass.local_angles
                                                                            : pass.angles;
  if (setting_.rotation != BlockSetting::Rotation::kNone && !angles.cos.defined()) {
    angles = (is_local ? shared_->local_rope : shared_->rope).Of(*context.cache, context.runs, pass.positions);
  }
  queries = TurnedHeads(Rotate(queries, angles, scale, HeadOrder::kTokensFirst));  // [1, T, H, Dh]
  if (kv_grid_.keys_before_rotation) keys = OnGrid(keys, kv_grid_.keys, -2);
  keys = TurnedHeads(Rotate(keys, angles, 1.0, HeadOrder::kTokensFirst));  // [1, T, K, Dh]
  if (!kv_grid_.keys_before_rotation) keys = OnGrid(keys, kv_grid_.keys, -2);
  const at::Tensor written_keys = keys[0], written_values = OnGrid(values, kv_grid_.values, -2)[0];
  if (!pass.slots.defined()) {
    context.cache->Write(index_, context.runs, written_keys, written_values);
  } else {
    context.cache->WriteAt(index_, pass.slots, written_keys, written_values);
  }
  // A window that hides nothing is none.
  const int64_t longest = *std::max_element(pass.positions.begin(), pass.positions.end()) + 1;
  const AttentionSetting setting{.window = setting_.window < longest ? setting_.window : 0,
                                 .softcap = config_.attention_softcap};
  if (pass.slots.defined() && setting.is_plain()) {
    return AttendPacked(queries[0], context.cache->keys(index_), context.cache->values(index_), pass).unsqueeze(0);
  }
  return AttendInForest(queries[0], *context.cache, index_, context.runs, setting).unsqueeze(0);  // [1, T, H Dh]
}

}  // namespace bitlaw
