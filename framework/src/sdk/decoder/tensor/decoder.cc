#include "bitlaw/sdk/decoder/decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <atomic>
#include <optional>
#include <set>
#include <utility>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "math/matrix_product.h"
#include "sdk/decoder/tensor/block/decoder_block.h"
#include "sdk/decoder/tensor/decoder_ops.h"
#include "sdk/decoder/tensor/reading/one_ahead.h"
#include "sdk/decoder/tensor/reading/staged_upload.h"

// The whole decoder; block/decoder_block.cc has its blocks. B batch, T new tokens, D hidden, V vocabulary.

namespace bitlaw {

namespace {

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
        shared_(std::make_shared<SharedByBlocks>(SharedByBlocks{{config.rope, config.head_dim, options_},
                                                                {config.local_rope, config.head_dim, options_},
                                                                {}})),
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

  void RoundKvCache(const KvCacheGrid& grid) override {
    kv_grid_ = grid;
    for (std::optional<KvGrid>* part : {&kv_grid_.keys, &kv_grid_.values}) {
      if (!*part) continue;
      for (KvBlockScales& block : (*part)->blocks) {
        block.scales = block.scales.to(options_.device());
        if (block.lows.defined()) block.lows = block.lows.to(options_.device());
      }
    }
  }

  StreamPorts stream() override {
    StreamPorts ports;
    ports.readers.push_back({kNorm, config_.norm_adds_one ? 1.0 : 0.0, {}, {kHead}});
    ports.rows = {kEmbedding};
    return ports;
  }
  std::vector<std::pair<std::string, at::Tensor>> other_weights() override {
    return WithTorchErrors(summary_.name, [&] {
      return std::vector<std::pair<std::string, at::Tensor>>{
          {kEmbedding, Loaded(embedding_, kEmbedding)}, {kNorm, Loaded(norm_, kNorm)}, {kHead, Head()}};
    });
  }
  void SetOtherWeight(const std::string& name, const at::Tensor& value) override {
    const at::Tensor now[] = {Loaded(embedding_, kEmbedding), Loaded(norm_, kNorm), Head()};
    const auto set = [&](const char* own, at::Tensor& held, const at::Tensor& before) {
      if (name != own) return false;
      if (value.sizes() != before.sizes()) throw InternalError(name + " was to be set to a value of another shape.");
      if (config_.tied_head && &held != &norm_) head_ = now[2];
      held = value.to(options_);
      changed_.insert(name);
      if (config_.tied_head && &held != &norm_) changed_.insert(kHead);
      return true;
    };
    if (set(kEmbedding, embedding_, now[0]) || set(kNorm, norm_, now[1]) || set(kHead, head_, now[2])) return;
    Model::SetOtherWeight(name, value);
  }
  std::vector<std::pair<std::string, at::Tensor>> changed_weights() const override {
    std::vector<std::pair<std::string, at::Tensor>> weights;
    for (const auto& [name, weight] : {std::pair(kEmbedding, embedding_), {kNorm, norm_}, {kHead, head_}}) {
      if (changed_.contains(name)) weights.emplace_back(name, weight);
    }
    return weights;
  }

  at::Tensor table(size_t i) override {
    return WithTorchErrors(summary_.name,
                           [&] { return Loaded(PlaceOf(i), (summary_.tables.at(i).name + ".weight").c_str()); });
  }
  void SetTable(size_t i, at::Tensor weight) override {
    const LinearShape& shape = summary_.tables.at(i);
    if (weight.sizes() != at::IntArrayRef({shape.out_features, shape.in_features})) {
      throw InternalError(shape.name + ": it was given a table of another shape");
    }
    PlaceOf(i) = weight.to(options_);
  }

  at::Tensor Embed(const at::Tensor& tokens) override {
    return WithTorchErrors(summary_.name, [&] {
      const at::Tensor rows = at::embedding(Loaded(embedding_, kEmbedding), tokens.to(options_.device()));  // [B, T, D]
      // The scale is rounded to the type of the weights first, as the reference implementation has it.
      return config_.embedding_scale == 1 ? rows : rows * at::full({}, config_.embedding_scale, options_);
    });
  }

  at::Tensor Logits(const at::Tensor& hidden) override {
    return WithTorchErrors(summary_.name, [&] {
      const at::NoGradGuard no_grad;
      const at::Tensor normed = RmsNorm(hidden, Loaded(norm_, kNorm), config_.rms_norm_eps,
                                        config_.norm_adds_one);  // [..., D]
      const at::Tensor head = Head();                            // [V, D]
      std::vector<int64_t> sizes = hidden.sizes().vec();
      sizes.back() = config_.vocab_size;
      at::Tensor logits = TimesTransposed(normed.reshape({-1, config_.hidden_size}), head).view(sizes);  // [..., V]
      return config_.logit_softcap == 0 ? logits : SoftCap(logits, config_.logit_softcap);
    });
  }

 private:
  struct BlockAhead {
    std::unique_ptr<DecoderBlock> block;
    std::vector<at::Tensor> weights;
  };

  std::unique_ptr<DecoderBlock> Read(int64_t i, const LoadWeight& load) const {
    auto block = std::make_unique<DecoderBlock>(config_, i, summary_, load, shared_, kv_grid_);
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

  at::Tensor& PlaceOf(size_t table) { return table == 0 ? embedding_ : head_; }

  // On the host.
  at::Tensor Stored(const std::string& name) const {
    return weights_->Load(name, c10::typeMetaToScalarType(options_.dtype()));
  }

  const at::Tensor& Loaded(at::Tensor& tensor, const char* name) {
    if (!tensor.defined()) tensor = Stored(name).to(options_.device());
    return tensor;
  }

  // The embedding, until one of the two is set.
  const at::Tensor& Head() {
    if (config_.tied_head && !head_.defined()) return Loaded(embedding_, kEmbedding);
    return Loaded(head_, kHead);
  }

  static constexpr const char *kEmbedding = "model.embed_tokens.weight", *kNorm = "model.norm.weight",
                              *kHead = "lm_head.weight";

  DecoderConfig config_;
  ModelSummary summary_;
  ComputeSetting compute_;
  std::unique_ptr<WeightSource> weights_;  // Outlives the blocks, whose weights may be views of its mapping.
  std::unique_ptr<Tokenizer> tokenizer_;
  at::TensorOptions options_;
  const std::shared_ptr<SharedByBlocks> shared_;
  KvCacheGrid kv_grid_;
  at::Tensor embedding_, norm_, head_;  // [V, D], [D], [V, D]
  std::set<std::string> changed_;       // Those of them that SetOtherWeight() set, or untied.
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

std::unique_ptr<Model> OpenDecoder(const DecoderConfig& config, ModelSummary summary,
                                   std::unique_ptr<WeightSource> weights, std::unique_ptr<Tokenizer> tokenizer,
                                   const ComputeSetting& compute) {
  const at::Device device = ResolvedDevice(compute.device);
  return WithTorchErrors(summary.name, [&]() -> std::unique_ptr<Model> {
    return std::make_unique<Decoder>(config, summary, std::move(weights), std::move(tokenizer), compute, device);
  });
}

}  // namespace bitlaw
