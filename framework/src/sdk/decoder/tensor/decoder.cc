#include "bitlaw/sdk/decoder/decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "bitlaw/sdk/decoder/producers.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "math/matrix_product.h"
#include "sdk/decoder/tensor/decoder_ops.h"
#include "sdk/decoder/tensor/expert_layer.h"
#include "sdk/decoder/tensor/forest_attention.h"
#include "sdk/decoder/tensor/packed_attention.h"
#include "sdk/decoder/tensor/reading/one_ahead.h"
#include "sdk/decoder/tensor/reading/staged_upload.h"

// The whole decoder. B batch, T new tokens, D hidden, F feed-forward, V vocabulary, H query heads, K key-value heads,
// Dh head size.

namespace bitlaw {

namespace {

// Cosines and sines of the rotary angles, for as many positions as were asked for so far.
class RotaryTable {
 public:
  RotaryTable(at::Tensor frequencies, at::ScalarType dtype) : frequencies_(std::move(frequencies)), dtype_(dtype) {}

  // Of positions 0 .. T - 1.
  RotaryAngles First(int64_t tokens) {
    Grow(tokens);
    return {cos_.narrow(0, 0, tokens), sin_.narrow(0, 0, tokens)};
  }

  RotaryAngles At(const std::vector<int64_t>& positions) {
    Grow(*std::max_element(positions.begin(), positions.end()) + 1);
    const at::Tensor rows = at::tensor(positions, at::kLong).to(cos_.device());
    return {cos_.index_select(0, rows), sin_.index_select(0, rows)};
  }

 private:
  void Grow(int64_t positions) {
    const int64_t filled = cos_.defined() ? cos_.size(0) : 0;
    if (positions <= filled) return;
    const int64_t wanted = std::max<int64_t>({positions, 2 * filled, 256});
    const at::Tensor angles = at::outer(at::arange(wanted, frequencies_.options()), frequencies_);  // [wanted, Dh / 2]
    cos_ = angles.cos().to(dtype_);
    sin_ = angles.sin().to(dtype_);
  }

  at::Tensor frequencies_;  // [Dh / 2] float32
  at::ScalarType dtype_;
  at::Tensor cos_, sin_;  // [positions, Dh / 2]
};

// A weight by its name, on the device and in the dtype of the model.
using LoadWeight = std::function<at::Tensor(const std::string&)>;

class DecoderBlock : public Block {
 public:
  DecoderBlock(const DecoderConfig& config, int64_t index, const ModelSummary& summary, const LoadWeight& load,
               std::shared_ptr<RotaryTable> rotary, std::shared_ptr<PassMemory> passes, const KvCacheGrid& kv_grid)
      : config_(config), index_(index), rotary_(std::move(rotary)), passes_(std::move(passes)), kv_grid_(kv_grid) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const auto load_linear = [&](const std::string& name, bool bias) {
      const std::string full_name = prefix + name;
      const auto shape = std::find_if(summary.linears.begin(), summary.linears.end(),
                                      [&](const LinearShape& linear) { return linear.name == full_name; });
      if (shape == summary.linears.end()) throw InternalError(full_name + " is not in the model's summary.");
      return std::make_unique<Linear>(*shape, load(full_name + ".weight"),
                                      bias ? load(full_name + ".bias") : at::Tensor());
    };
    input_norm_ = load(prefix + "input_layernorm.weight");                // [D]
    q_ = load_linear("self_attn.q_proj", config.qkv_bias);                // [H Dh, D]
    k_ = load_linear("self_attn.k_proj", config.qkv_bias);                // [K Dh, D]
    v_ = load_linear("self_attn.v_proj", config.qkv_bias);                // [K Dh, D]
    if (config.qk_norm) {
      q_norm_ = load(prefix + "self_attn.q_norm.weight");                 // [Dh]
      k_norm_ = load(prefix + "self_attn.k_norm.weight");                 // [Dh]
    }
    o_ = load_linear("self_attn.o_proj", config.o_bias);                  // [D, H Dh]
    post_norm_ = load(prefix + "post_attention_layernorm.weight");        // [D]
    if (config.num_experts > 0) {
      std::vector<ExpertLayer::Expert> experts;
      for (int64_t e = 0; e < config.num_experts; ++e) {
        const std::string expert = "mlp.experts." + std::to_string(e);
        experts.push_back({load_linear(expert + ".gate_proj", false), load_linear(expert + ".up_proj", false),
                           load_linear(expert + ".down_proj", false)});
      }
      experts_ = std::make_unique<ExpertLayer>(config, load(prefix + "mlp.gate.weight"), std::move(experts));  // [E, D]
      stages_ = {{{q_.get(), k_.get(), v_.get()}, {o_.get()}, experts_->inner_linears(), experts_->output_linears()}};
      FindSites(summary);
      return;
    }
    gate_ = load_linear("mlp.gate_proj", config.mlp_bias);                // [F, D]
    up_ = load_linear("mlp.up_proj", config.mlp_bias);                    // [F, D]
    down_ = load_linear("mlp.down_proj", config.mlp_bias);                // [D, F]
    stages_ = {{{q_.get(), k_.get(), v_.get()}, {o_.get()}, {gate_.get(), up_.get()}, {down_.get()}}};
    FindSites(summary);
  }

  std::vector<Site> sites() override { return sites_; }

  std::vector<std::pair<std::string, at::Tensor>> other_weights() const override {
    std::vector<std::pair<std::string, at::Tensor>> weights;
    for (const auto& [name, norm] : norms_) weights.emplace_back(name + ".weight", *norm);
    for (const auto& stage : stages_) {
      for (const Linear* linear : stage) {
        if (linear->bias().defined()) weights.emplace_back(linear->shape().name + ".bias", linear->bias());
      }
    }
    return weights;
  }

  void SetOtherWeight(const std::string& name, const at::Tensor& value) override {
    const auto set = [&](const at::Tensor& held, const auto& keep) {
      if (value.sizes() != held.sizes()) throw InternalError(name + " was to be set to a value of another shape.");
      keep(value.to(held.options()));
      return true;
    };
    for (const auto& [norm_name, norm] : norms_) {
      if (norm_name + ".weight" == name && set(*norm, [&](at::Tensor kept) { *norm = std::move(kept); })) return;
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

  int num_stages() const override { return static_cast<int>(stages_.size()); }
  std::span<Linear* const> stage_linears(int stage) override { return stages_.at(stage); }

  void Step(int stage, BlockState& state, const ForwardContext& context, const InputObserver& observe) override {
    if (experts_ && stage >= 2) return StepExperts(stage, state, observe);
    switch (stage) {
      case 0: state.activation = RmsNorm(state.residual, input_norm_, config_.rms_norm_eps); break;     // [B, T, D]
      case 1: state.activation = Attention(state.activation, context); break;                           // [B, T, H Dh]
      case 2:
        state.residual = o_->Apply(state.activation).add_(state.residual);                              // [B, T, D]
        state.activation = RmsNorm(state.residual, post_norm_, config_.rms_norm_eps);                   // [B, T, D]
        break;
      case 3: {
        const at::Tensor gate = gate_->Apply(state.activation);                                         // [B, T, F]
        state.activation = SiluMultiply(gate, up_->Apply(state.activation));                            // [B, T, F]
        break;
      }
      case 4:
        state.residual = down_->Apply(state.activation).add_(state.residual);                           // [B, T, D]
        state.activation = at::Tensor();
        return;
      default: throw InternalError("A decoder block has no stage " + std::to_string(stage) + ".");
    }
    if (observe) observe(stages_[stage], state.activation);
  }

 private:
  // Binds the sites that the summary names of this block to its layers and norms.
  void FindSites(const ModelSummary& summary) {
    const std::string prefix = "model.layers." + std::to_string(index_) + ".";
    norms_ = {{prefix + "input_layernorm", &input_norm_}, {prefix + "post_attention_layernorm", &post_norm_}};
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
          producers_.push_back(std::make_unique<NormProducer>(*norm->second));
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

  void StepExperts(int stage, BlockState& state, const InputObserver& observe) {
    const int64_t rows = state.residual.size(0) * state.residual.size(1);
    switch (stage) {
      case 2:
        state.residual = o_->Apply(state.activation).add_(state.residual);               // [B, T, D]
        state.activation = RmsNorm(state.residual, post_norm_, config_.rms_norm_eps);  // [B, T, D]
        experts_->Route(state.activation, state.extra);
        if (observe) experts_->ObserveInput(state.activation, state.extra, observe);
        return;
      case 3:
        state.activation = experts_->Inner(state.activation, state.extra);  // [B T k, F]
        if (observe) experts_->ObserveInner(state.activation, state.extra, observe);
        return;
      case 4:
        state.residual = state.residual + experts_->Output(state.activation, state.extra, rows).view_as(state.residual);
        state.activation = at::Tensor();
        state.extra.clear();
        return;
      default: throw InternalError("A decoder block has no stage " + std::to_string(stage) + ".");
    }
  }

  at::Tensor Attention(const at::Tensor& input, const ForwardContext& context) {
    const int64_t batch = input.size(0), tokens = input.size(1);
    const auto heads = [&](const Linear& linear) {
      return linear.Apply(input).view({batch, tokens, -1, config_.head_dim});  // [B, T, heads, Dh]
    };
    at::Tensor queries = heads(*q_), keys = heads(*k_);
    if (config_.qk_norm) {
      queries = RmsNorm(queries, q_norm_, config_.rms_norm_eps);
      keys = RmsNorm(keys, k_norm_, config_.rms_norm_eps);
    }
    const double scale = 1.0 / std::sqrt(static_cast<double>(config_.head_dim));
    // Each token's head on a grid of its own: what a token's keys round to does not depend on what is read with it.
    const auto on_grid = [](const at::Tensor& heads, const std::optional<ActivationGrid>& grid) {
      return grid ? grid->Round(heads.to(at::kFloat)).to(heads.scalar_type()) : heads;
    };
    if (context.cache == nullptr) {
      const RotaryAngles angles = rotary_->First(tokens);
      return Attend(Rotate(queries, angles, scale, HeadOrder::kHeadsFirst),                    // [B, H, T, Dh]
                    on_grid(Rotate(keys, angles, 1.0, HeadOrder::kHeadsFirst), kv_grid_.keys),  // [B, K, T, Dh]
                    on_grid(heads(*v_), kv_grid_.values).transpose(1, 2).contiguous());         // [B, T, H Dh]
    }
    ForestPass& pass = passes_->For(*context.cache, context.runs, queries[0], config_.num_kv_heads);
    if (batch != 1 || tokens != static_cast<int64_t>(pass.positions.size())) {
      throw InternalError("A pass of " + std::to_string(pass.positions.size()) + " tokens in runs was given " +
                          std::to_string(batch) + " x " + std::to_string(tokens) + " tokens.");
    }
    if (!pass.angles.cos.defined()) pass.angles = rotary_->At(pass.positions);
    queries = Rotate(queries, pass.angles, scale, HeadOrder::kTokensFirst);  // [1, T, H, Dh]
    keys = Rotate(keys, pass.angles, 1.0, HeadOrder::kTokensFirst);          // [1, T, K, Dh]
    const at::Tensor written_keys = on_grid(keys, kv_grid_.keys)[0];
    const at::Tensor written_values = on_grid(heads(*v_), kv_grid_.values)[0];
    if (pass.slots.defined()) {
      context.cache->WriteAt(index_, pass.slots, written_keys, written_values);
      return AttendPacked(queries[0], context.cache->keys(index_), context.cache->values(index_), pass).unsqueeze(0);
    }
    context.cache->Write(index_, context.runs, written_keys, written_values);
    return AttendInForest(queries[0], *context.cache, index_, context.runs).unsqueeze(0);  // [1, T, H Dh]
  }

  const DecoderConfig config_;
  const int64_t index_;
  std::shared_ptr<RotaryTable> rotary_;
  std::shared_ptr<PassMemory> passes_;
  const KvCacheGrid& kv_grid_;  // The model's.
  at::Tensor input_norm_, post_norm_, q_norm_, k_norm_;
  std::unique_ptr<Linear> q_, k_, v_, o_, gate_, up_, down_;
  std::unique_ptr<ExpertLayer> experts_;  // In place of gate_, up_, down_.
  std::array<std::vector<Linear*>, 4> stages_;
  std::map<std::string, at::Tensor*> norms_;  // Those that make a site's input.
  std::vector<std::unique_ptr<Producer>> producers_;
  std::vector<Site> sites_;
};

class Decoder : public Model {
 public:
  Decoder(const DecoderConfig& config, ModelSummary summary, std::unique_ptr<WeightSource> weights,
          std::unique_ptr<Tokenizer> tokenizer, const ComputeSetting& compute, at::Device device)
      : config_(config),
        summary_(std::move(summary)),
        compute_(compute),
        weights_(std::move(weights)),
        tokenizer_(std::move(tokenizer)),
        options_(at::TensorOptions(device).dtype(compute.dtype == Dtype::kFloat32 ? at::kFloat : at::kBFloat16)),
        rotary_(std::make_shared<RotaryTable>(RotaryFrequencies(config).to(device),
                                              c10::typeMetaToScalarType(options_.dtype()))),
        blocks_(config.num_blocks) {}

  const ModelSummary& summary() const override { return summary_; }
  const ComputeSetting& compute() const override { return compute_; }
  const Tokenizer& tokenizer() const override { return *tokenizer_; }

  Block& block(int64_t i) override {
    std::unique_ptr<DecoderBlock>& block = blocks_.at(i);
    if (!block && ahead_.Has(i)) block = TakeAhead();
    if (!block) {
      block = WithTorchErrors(summary_.name, [&] {
        return Read(i, [&](const std::string& name) { return Stored(name).to(options_.device()); });
      });
    }
    return *block;
  }
  void DropBlock(int64_t i) override {
    blocks_.at(i).reset();
    if (ahead_.Has(i)) ahead_.GiveUp();
    // Who drops blocks has little memory, and the rows that tokens have read of a mapped file fill it.
    if (IsMapped(embedding_)) embedding_.reset();
  }

  void ReadAhead(int64_t i) override {
    if (blocks_.at(i) || ahead_.Has(i)) return;
    auto upload = WithTorchErrors(summary_.name, [&] { return std::make_shared<StagedUpload>(options_.device()); });
    ahead_.Begin(i, [this, i, upload](const std::atomic<bool>& has_to_stop) {
      const at::NoGradGuard no_grad;
      const OneThread alone;  // The others compute.
      return WithTorchErrors(summary_.name, [&] {
        BlockAhead read;
        read.block = Read(i, [&](const std::string& name) {
          if (has_to_stop) throw InternalError("Block " + std::to_string(i) + " was given up.");
          return read.weights.emplace_back(upload->Upload(Stored(name)));
        });
        upload->Finish();
        return read;
      });
    });
  }

  void RoundKvCache(const KvCacheGrid& grid) override { kv_grid_ = grid; }

  at::Tensor Embed(const at::Tensor& tokens) override {
    return WithTorchErrors(summary_.name, [&] {
      return at::embedding(Loaded(embedding_, "model.embed_tokens.weight"), tokens.to(options_.device()));  // [B, T, D]
    });
  }

  at::Tensor Logits(const at::Tensor& hidden) override {
    return WithTorchErrors(summary_.name, [&] {
      const at::NoGradGuard no_grad;
      const at::Tensor normed = RmsNorm(hidden, Loaded(norm_, "model.norm.weight"), config_.rms_norm_eps);  // [..., D]
      const at::Tensor head = config_.tied_head ? Loaded(embedding_, "model.embed_tokens.weight")
                                                : Loaded(head_, "lm_head.weight");  // [V, D]
      std::vector<int64_t> sizes = hidden.sizes().vec();
      sizes.back() = config_.vocab_size;
      return TimesTransposed(normed.reshape({-1, config_.hidden_size}), head).view(sizes);  // [..., V]
    });
  }

 private:
  struct BlockAhead {
    std::unique_ptr<DecoderBlock> block;
    std::vector<at::Tensor> weights;
  };

  std::unique_ptr<DecoderBlock> Read(int64_t i, const LoadWeight& load) const {
    auto block = std::make_unique<DecoderBlock>(config_, i, summary_, load, rotary_, passes_, kv_grid_);
    for (int stage = 0; stage < block->num_stages(); ++stage) {
      for (Linear* linear : block->stage_linears(stage)) {
        if (const auto grid = weights_->InputGrid(linear->shape().name)) linear->RoundInputs(*grid);
      }
    }
    return block;
  }

  // Null if memory ran out for it beside the block before, which is gone by now.
  std::unique_ptr<DecoderBlock> TakeAhead() {
    try {
      BlockAhead read = ahead_.Take();
      for (const at::Tensor& weight : read.weights) StagedUpload::HandOver(weight);
      return std::move(read.block);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kBudget) throw;
      return nullptr;
    }
  }

  // On the host.
  at::Tensor Stored(const std::string& name) const {
    return weights_->Load(name, c10::typeMetaToScalarType(options_.dtype()));
  }

  const at::Tensor& Loaded(at::Tensor& tensor, const char* name) {
    if (!tensor.defined()) tensor = Stored(name).to(options_.device());
    return tensor;
  }

  DecoderConfig config_;
  ModelSummary summary_;
  ComputeSetting compute_;
  std::unique_ptr<WeightSource> weights_;  // Outlives the blocks, whose weights may be views of its mapping.
  std::unique_ptr<Tokenizer> tokenizer_;
  at::TensorOptions options_;
  std::shared_ptr<RotaryTable> rotary_;
  const std::shared_ptr<PassMemory> passes_ = std::make_shared<PassMemory>();
  KvCacheGrid kv_grid_;
  at::Tensor embedding_, norm_, head_;  // [V, D], [D], [V, D]
  std::vector<std::unique_ptr<DecoderBlock>> blocks_;
  OneAhead<BlockAhead> ahead_;  // The last member: its thread uses the others.
};

at::Device ResolvedDevice(const std::string& name) {
  std::optional<at::Device> device;
  try {
    device = at::Device(name);
  } catch (const c10::Error&) {
    throw Error(ErrorKind::kSpec, "device '" + name + "' is unknown. Use cpu, cuda or cuda:<index>.");
  }
  if (device->is_cpu()) return *device;
  if (!device->is_cuda()) {
    throw Error(ErrorKind::kUnsupported, "device '" + name + "' is not supported. Use cpu, cuda or cuda:<index>.");
  }
  if (!at::hasCUDA()) {
    throw Error(ErrorKind::kUnsupported,
                "device '" + name + "' is not here: this libtorch finds no CUDA device. Use device: cpu.");
  }
  const int count = static_cast<int>(at::detail::getCUDAHooks().getNumGPUs());
  if (device->has_index() && device->index() >= count) {
    throw Error(ErrorKind::kUnsupported, "device '" + name + "' is not here: libtorch finds " + std::to_string(count) +
                                             (count == 1 ? " CUDA device, cuda:0." : " CUDA devices, from cuda:0 on.") +
                                             " Name one of them; CUDA_VISIBLE_DEVICES may hide others.");
  }
  return *device;
}

}  // namespace

at::Tensor RotaryFrequencies(const DecoderConfig& config) {
  // theta^(-2j / Dh) in float32, step by step as the reference implementation rounds it.
  const at::Tensor exponents = at::arange(0, config.head_dim, 2, at::kLong).to(at::kFloat) / config.head_dim;
  at::Tensor frequencies = at::pow(config.rope_theta, exponents).reciprocal();  // [Dh / 2]
  if (config.rope_scaling) {
    // Slow rotations are slowed by `factor`, fast ones kept, those between interpolated by wavelength.
    const Llama3RopeScaling& scaling = *config.rope_scaling;
    const at::Tensor wavelengths = frequencies.reciprocal() * (2.0 * M_PI);  // positions a turn
    const double longest = scaling.original_max_positions / scaling.low_freq_factor;
    const double shortest = scaling.original_max_positions / scaling.high_freq_factor;
    const at::Tensor share = (scaling.original_max_positions / wavelengths - scaling.low_freq_factor) /
                             (scaling.high_freq_factor - scaling.low_freq_factor);
    const at::Tensor slowed = frequencies / scaling.factor;
    const at::Tensor between = (1.0 - share) * slowed + share * frequencies;
    frequencies = at::where(wavelengths > longest, slowed, at::where(wavelengths < shortest, frequencies, between));
  }
  if (!config.rope_divisors.empty()) frequencies = frequencies / at::tensor(config.rope_divisors);
  return frequencies;  // [Dh / 2]
}

std::unique_ptr<Model> OpenDecoder(const DecoderConfig& config, ModelSummary summary,
                                   std::unique_ptr<WeightSource> weights, std::unique_ptr<Tokenizer> tokenizer,
                                   const ComputeSetting& compute) {
  const at::Device device = ResolvedDevice(compute.device);
  return WithTorchErrors(summary.name, [&]() -> std::unique_ptr<Model> {
    return std::make_unique<Decoder>(config, summary, std::move(weights), std::move(tokenizer), compute, device);
  });
}

}  // namespace bitlaw
