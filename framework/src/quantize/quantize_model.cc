#include "quantize/quantize_model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "quantize/input_statistics.h"
#include "quantize/matrix_product_clock.h"

namespace bitlaw {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Adds the time of its scope to `sum`.
class Timed {
 public:
  explicit Timed(double& sum) : sum_(sum) {}
  ~Timed() { sum_ += SecondsSince(start_); }

 private:
  double& sum_;
  Clock::time_point start_ = Clock::now();
};

void CheckSupported(const Model& model, const Quantizer& quantizer) {
  std::string faults;
  for (const LinearShape& layer : model.summary().linears) {
    const std::string reason = quantizer.ExplainUnsupported(layer);
    if (!reason.empty()) faults += (faults.empty() ? "" : "\n") + layer.name + ": " + reason;
  }
  if (!faults.empty()) throw Error(ErrorKind::kUnsupported, faults);
}

void CheckCalibration(const ModelSummary& summary, const TokenSequences* calibration) {
  if (calibration == nullptr) throw InternalError(summary.name + ": the quantizer needs calibration, and got none");
  if (calibration->count < 1 || calibration->length_tokens < 1 ||
      static_cast<int64_t>(calibration->ids.size()) != calibration->count * calibration->length_tokens) {
    throw InternalError(fmt::format("{}: calibration of {} sequences of {} tokens holds {} ids", summary.name,
                                    calibration->count, calibration->length_tokens, calibration->ids.size()));
  }
  if (summary.max_positions > 0 && calibration->length_tokens > summary.max_positions) {
    throw Error(ErrorKind::kSpec,
                fmt::format("{}: calibration sequences have {} tokens, but the model takes at most {}. Use shorter "
                            "sequences.",
                            summary.name, calibration->length_tokens, summary.max_positions));
  }
  const auto [low, high] = std::minmax_element(calibration->ids.begin(), calibration->ids.end());
  if (*low < 0 || *high >= summary.vocab_size) {
    throw InternalError(fmt::format("{}: calibration ids span [{}, {}], outside the vocabulary of {}", summary.name,
                                    *low, *high, summary.vocab_size));
  }
}

// One walk over the blocks of a model.
class BlockWalk {
 public:
  BlockWalk(Model& model, const Quantizer& quantizer, const TokenSequences* calibration,
            const QuantizeSettings& settings, const QuantizeCallback& callback)
      : model_(model),
        quantizer_(quantizer),
        needs_(quantizer.needs()),
        calibration_(calibration),
        settings_(settings),
        callback_(callback) {}

  QuantizedModel Run() {
    {
      const MatrixProductClock products;
      const Timed total(result_.times.total_s);
      if (needs_.any()) EmbedSequences();
      for (int64_t b = 0; b < model_.summary().num_blocks; ++b) {
        blocks_done_ = b;
        Block& block = model_.block(b);
        if (!needs_.any()) {
          for (int stage = 0; stage < block.num_stages(); ++stage) QuantizeStage(block, stage);
        } else if (settings_.sequential == SequentialUnit::kStage) {
          WalkStages(block);
        } else {
          WalkWholeBlock(block);
        }
      }
      result_.times.matrix_product_s = products.seconds();
    }
    Summarize();
    return std::move(result_);
  }

 private:
  using Statistics = std::map<const Linear*, std::shared_ptr<InputStatistics>>;

  void EmbedSequences() {
    const Timed timed(result_.times.forward_s);
    const int64_t per_batch = std::max<int64_t>(1, settings_.batch_tokens / calibration_->length_tokens);
    const at::Device device(model_.compute().device);
    const int64_t rows = model_.summary().vocab_size;  // A tokenizer may have more entries than its model.
    for (const int32_t id : calibration_->ids) {
      if (id < rows) continue;
      throw Error(ErrorKind::kUnsupported,
                  "corpus: token " + std::to_string(id) + " ('" +
                      model_.tokenizer().Decode(std::span(&id, 1), /*skip_special_tokens=*/false) +
                      "') has no row in the model's embeddings, which have " + std::to_string(rows) +
                      ". The tokenizer has more entries than the model.");
    }
    for (int64_t first = 0; first < calibration_->count; first += per_batch) {
      const int64_t count = std::min(per_batch, calibration_->count - first);
      at::Tensor tokens = at::empty({count, calibration_->length_tokens}, at::kLong);
      std::copy_n(calibration_->ids.begin() + first * calibration_->length_tokens, tokens.numel(),
                  tokens.data_ptr<int64_t>());
      batches_.push_back(BlockState{.residual = model_.Embed(tokens.to(device))});  // [B, T, D]
    }
  }

  // Collects into statistics_, which holds one entry a reader; readers of one input share theirs.
  InputObserver Observer() {
    return [this](std::span<Linear* const> readers, const at::Tensor& input) {
      const Clock::time_point start = Clock::now();
      if (readers.empty()) return;
      std::shared_ptr<InputStatistics>& shared = statistics_[readers.front()];
      if (!shared) shared = std::make_shared<InputStatistics>(needs_);
      for (const Linear* reader : readers) {
        std::shared_ptr<InputStatistics>& own = statistics_[reader];
        if (own && own != shared) throw InternalError(reader->shape().name + ": its inputs are shared with changing layers");
        own = shared;
      }
      shared->Add(input);
      const double spent = SecondsSince(start);
      result_.times.statistics_s += spent;
      result_.times.forward_s -= spent;  // The observer runs inside a step.
    };
  }

  void StepAll(Block& block, int stage, const InputObserver& observe) {
    const Timed timed(result_.times.forward_s);
    for (BlockState& batch : batches_) block.Step(stage, batch, ForwardContext{}, observe);
  }

  void WalkStages(Block& block) {
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      StepAll(block, stage, Observer());
      QuantizeStage(block, stage);
    }
    if (IsLastBlock()) return;  // Nothing reads its output.
    StepAll(block, block.num_stages(), {});
  }

  void WalkWholeBlock(Block& block) {
    {
      const Timed timed(result_.times.forward_s);
      for (const BlockState& batch : batches_) {
        BlockState scratch = {.residual = batch.residual};
        for (int stage = 0; stage < block.num_stages(); ++stage) block.Step(stage, scratch, ForwardContext{}, Observer());
      }
    }
    for (int stage = 0; stage < block.num_stages(); ++stage) QuantizeStage(block, stage);
    if (IsLastBlock()) return;
    const Timed timed(result_.times.forward_s);
    for (BlockState& batch : batches_) batch.residual = block.Forward(batch.residual, ForwardContext{});
  }

  bool IsLastBlock() const { return blocks_done_ + 1 == model_.summary().num_blocks; }

  // Statistics of `linear`, summed up once for all that share them.
  const LayerCalibration& CalibrationOf(const Linear& linear) {
    static const LayerCalibration kNone;
    if (!needs_.any()) return kNone;
    const auto found = statistics_.find(&linear);
    if (found == statistics_.end()) throw InternalError(linear.shape().name + ": its block showed no inputs of it");
    const Timed timed(result_.times.statistics_s);
    const auto [entry, is_new] = finished_.try_emplace(found->second.get());
    if (is_new) entry->second = found->second->Finish(calibration_->count);
    return entry->second;
  }

  void QuantizeStage(Block& block, int stage) {
    for (Linear* linear : block.stage_linears(stage)) QuantizeLinear(*linear);
    for (const Linear* linear : block.stage_linears(stage)) {
      const auto found = statistics_.find(linear);
      if (found == statistics_.end()) continue;
      finished_.erase(found->second.get());
      statistics_.erase(found);
    }
  }

  void QuantizeLinear(Linear& linear) {
    const LayerCalibration& calibration = CalibrationOf(linear);
    QuantizedLayer layer;
    layer.shape = linear.shape();
    layer.bits_requested = quantizer_.BitsRequested(layer.shape);
    layer.bits_per_weight = quantizer_.BitsPerWeight(layer.shape);
    {
      const Timed timed(layer.elapsed_s);
      layer.linear = quantizer_.Quantize(layer.shape, linear.weight(), calibration);
    }
    result_.times.quantize_s += layer.elapsed_s;
    if (layer.linear.fallback != QuantizeFallback::kNone && !settings_.allow_fallback) {
      throw Error(ErrorKind::kNumerical,
                  fmt::format("{}: the quantizer fell back ({}). A study counts such layers only with allow_fallback: "
                              "true. Allow it, or change the options so that none is needed.",
                              layer.shape.name, Name(layer.linear.fallback)));
    }
    {
      const Timed timed(result_.times.install_s);
      linear.Install(layer.linear);
    }
    result_.layers.push_back(std::move(layer));
    if (callback_) Report();
  }

  void Report() const {
    QuantizeProgress progress;
    progress.layers_done = static_cast<int64_t>(result_.layers.size());
    progress.layers_total = static_cast<int64_t>(model_.summary().linears.size());
    progress.layer = result_.layers.back().shape.name;
    progress.elapsed_s = SecondsSince(start_);
    const int64_t left = progress.layers_total - progress.layers_done;
    progress.remaining_s = progress.elapsed_s * static_cast<double>(left) / static_cast<double>(progress.layers_done);
    callback_(progress);
  }

  void Summarize() {
    const std::vector<LinearShape>& expected = model_.summary().linears;
    if (result_.layers.size() != expected.size()) {
      throw InternalError(fmt::format("{}: its blocks hold {} linear layers, its summary names {}",
                                      model_.summary().name, result_.layers.size(), expected.size()));
    }
    double weights = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const QuantizedLayer& layer = result_.layers[i];
      if (layer.shape.name != expected[i].name) {
        throw InternalError(fmt::format("{}: layer {} in blocks is '{}', in the summary '{}'", model_.summary().name, i,
                                        layer.shape.name, expected[i].name));
      }
      const double size = static_cast<double>(layer.shape.in_features) * static_cast<double>(layer.shape.out_features);
      weights += size;
      result_.bits_requested += size * layer.bits_requested;
      result_.bits_effective += size * layer.bits_per_weight;
    }
    if (weights > 0) {
      result_.bits_requested /= weights;
      result_.bits_effective /= weights;
    }
    result_.codes_digest = DigestOfCodes(result_.layers);
  }

  Model& model_;
  const Quantizer& quantizer_;
  const CalibrationNeeds needs_;
  const TokenSequences* calibration_;
  const QuantizeSettings& settings_;
  const QuantizeCallback& callback_;
  const Clock::time_point start_ = Clock::now();
  int64_t blocks_done_ = 0;
  std::vector<BlockState> batches_;  ///< All calibration sequences, at the current stage.
  Statistics statistics_;
  std::map<const InputStatistics*, LayerCalibration> finished_;
  QuantizedModel result_;
};

}  // namespace

double QuantizedLayer::diagnostic(std::string_view name) const {
  for (const auto& [key, value] : linear.diagnostics) {
    if (key == name) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

QuantizedModel QuantizeModel(Model& model, const Quantizer& quantizer, const TokenSequences* calibration,
                             const QuantizeSettings& settings, const QuantizeCallback& callback) {
  CheckSupported(model, quantizer);
  if (quantizer.needs().any()) CheckCalibration(model.summary(), calibration);
  return WithTorchErrors(model.summary().name, [&] {
    const at::NoGradGuard no_grad;
    return BlockWalk(model, quantizer, calibration, settings, callback).Run();
  });
}

void InstallQuantized(Model& model, const QuantizedModel& quantized, const std::string& origin) {
  std::map<std::string, const QuantizedLayer*> by_name;
  for (const QuantizedLayer& layer : quantized.layers) by_name[layer.shape.name] = &layer;
  std::vector<std::string> missing, other_shape;
  for (const LinearShape& shape : model.summary().linears) {
    const auto found = by_name.find(shape.name);
    if (found == by_name.end()) {
      missing.push_back(shape.name);
      continue;
    }
    const LinearShape& held = found->second->shape;
    if (held.in_features != shape.in_features || held.out_features != shape.out_features) {
      other_shape.push_back(fmt::format("{} is [{}, {}], in the model [{}, {}]", shape.name, held.out_features,
                                        held.in_features, shape.out_features, shape.in_features));
    }
  }
  std::vector<std::string> unused;
  for (const auto& [name, layer] : by_name) {
    const auto& linears = model.summary().linears;
    if (std::none_of(linears.begin(), linears.end(), [&](const LinearShape& shape) { return shape.name == name; })) {
      unused.push_back(name);
    }
  }
  if (!missing.empty() || !other_shape.empty() || !unused.empty()) {
    throw Error(ErrorKind::kIo, fmt::format("{}: these quantized layers are not those of '{}'. Missing: {}. Left over: "
                                            "{}. Of another shape: {}. Quantize this model anew.",
                                            origin, model.summary().name, JoinNames(missing), JoinNames(unused),
                                            JoinNames(other_shape)));
  }
  WithTorchErrors(origin, [&] {
    for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
      Block& block = model.block(b);
      for (int stage = 0; stage < block.num_stages(); ++stage) {
        for (Linear* linear : block.stage_linears(stage)) linear->Install(by_name.at(linear->shape().name)->linear);
      }
    }
  });
}

std::string DigestOfCodes(const std::vector<QuantizedLayer>& layers) {
  Digest digest;
  const auto add = [&digest](const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    const at::Tensor flat = tensor.cpu().contiguous();
    digest.Add(flat.data_ptr(), flat.nbytes());
  };
  for (const QuantizedLayer& layer : layers) {
    const QuantizedLinear& q = layer.linear;
    digest.Add(fmt::format("{} [{}, {}] bits {} symmetric {} group_size {} scales {} input_scale {}\n", layer.shape.name,
                           layer.shape.out_features, layer.shape.in_features, q.bits, q.symmetric, q.group_size,
                           q.scale_dtype, q.input_scale.defined()));
    if (q.activation) {
      digest.Add(fmt::format("activation {} {} {} {}\n", q.activation->bits, q.activation->symmetric,
                             q.activation->per_token, q.activation->static_scale));
    }
    for (const at::Tensor& tensor : {q.codes, q.scales, q.zeros, q.group_index, q.input_scale}) add(tensor);
  }
  return digest.Hex();
}

}  // namespace bitlaw
