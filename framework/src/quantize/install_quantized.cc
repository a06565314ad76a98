#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "quantize/quantize_model.h"

namespace bitlaw {
namespace {

using LayersByName = std::map<std::string, size_t>;  // Places in QuantizedModel::layers.

// Whether a layer that `quantized` does not have stays as it is: a skipped one, or a table.
bool IsLeft(const QuantizedModel& quantized, const LinearShape& layer) {
  return layer.block < 0 || std::any_of(quantized.skipped.begin(), quantized.skipped.end(),
                                        [&](const LinearShape& skipped) { return skipped.name == layer.name; });
}

std::vector<LinearShape> LayersOf(const ModelSummary& model) {
  std::vector<LinearShape> layers = model.tables;
  layers.insert(layers.end(), model.linears.begin(), model.linears.end());
  return layers;
}

// The layers of `quantized`, which must be those of the model.
LayersByName LayersFor(const ModelSummary& model, const QuantizedModel& quantized, const std::string& origin) {
  LayersByName by_name;
  for (size_t i = 0; i < quantized.layers.size(); ++i) by_name[quantized.layers[i].shape.name] = i;
  std::vector<std::string> missing, other_shape;
  const std::vector<LinearShape> all = LayersOf(model);
  for (const LinearShape& shape : all) {
    const auto found = by_name.find(shape.name);
    if (found == by_name.end()) {
      if (!IsLeft(quantized, shape)) missing.push_back(shape.name);
      continue;
    }
    const LinearShape& held = quantized.layers[found->second].shape;
    if (held.in_features != shape.in_features || held.out_features != shape.out_features) {
      other_shape.push_back(fmt::format("{} is [{}, {}], in the model [{}, {}]", shape.name, held.out_features,
                                        held.in_features, shape.out_features, shape.in_features));
    }
  }
  std::vector<std::string> unused;
  for (const auto& [name, place] : by_name) {
    if (std::none_of(all.begin(), all.end(), [&](const LinearShape& shape) { return shape.name == name; })) {
      unused.push_back(name);
    }
  }
  if (!missing.empty() || !other_shape.empty() || !unused.empty()) {
    throw Error(ErrorKind::kIo, fmt::format("{}: these quantized layers are not those of '{}'. Missing: {}. Left over: "
                                            "{}. Of another shape: {}. Quantize this model anew.",
                                            origin, model.name, JoinNames(missing), JoinNames(unused),
                                            JoinNames(other_shape)));
  }
  return by_name;
}

[[noreturn]] void RefuseOtherWeights(const std::string& model, const std::string& origin) {
  throw Error(ErrorKind::kIo, fmt::format("{}: its norms and biases are not those of '{}'. Quantize this model anew.", origin,
                                          model));
}

const at::Tensor* OtherWeight(const QuantizedModel& quantized, const std::string& name) {
  const auto& all = quantized.other_weights;
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.first == name; });
  return found == all.end() ? nullptr : &found->second;
}

// That `quantized` has the norms and biases of a block, where it has any; how many those are.
size_t CheckOtherWeights(const Block& block, const QuantizedModel& quantized, const std::string& model,
                         const std::string& origin) {
  if (quantized.other_weights.empty()) return 0;
  size_t count = 0;
  for (const auto& [name, held] : block.other_weights()) {
    const at::Tensor* const weight = OtherWeight(quantized, name);
    if (weight == nullptr || weight->sizes() != held.sizes()) RefuseOtherWeights(model, origin);
    ++count;
  }
  return count;
}

// And the rotations of the block; how many those are.
size_t InstallOtherWeights(Block& block, const QuantizedModel& quantized) {
  size_t rotations = 0;
  if (!quantized.other_weights.empty()) {
    for (const auto& [name, held] : block.other_weights()) block.SetOtherWeight(name, *OtherWeight(quantized, name));
  }
  if (quantized.rotations.empty()) return rotations;
  std::set<std::string> places = {block.heads().keys_place};
  for (const Site& site : block.sites()) places.insert(site.shape.name);
  for (const auto& [place, rotation] : quantized.rotations) {
    if (!places.contains(place)) continue;
    block.RotateOnline(place, rotation);
    ++rotations;
  }
  return rotations;
}

void InstallModelWeights(Model& model, const QuantizedModel& quantized, const std::string& origin) {
  if (quantized.model_weights.empty()) return;
  const auto known = model.other_weights();
  for (const auto& [name, weight] : quantized.model_weights) {
    const auto found = std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.first == name; });
    if (found == known.end() || found->second.sizes() != weight.sizes()) {
      throw Error(ErrorKind::kIo,
                  fmt::format("{}: it has '{}', which '{}' has not, or of another shape. Quantize this model "
                              "anew.",
                              origin, name, model.summary().name));
    }
  }
  for (const auto& [name, weight] : quantized.model_weights) model.SetOtherWeight(name, weight);
}

[[noreturn]] void RefuseRotations(const std::string& model, const std::string& origin) {
  throw Error(
      ErrorKind::kIo,
      fmt::format("{}: its rotations are at places that '{}' has not. Quantize this model anew.", origin, model));
}

void InstallTables(Model& model, const LayersByName& layers, const QuantizedModel& quantized,
                   const ReadQuantized& read) {
  const std::vector<LinearShape>& tables = model.summary().tables;
  for (size_t i = 0; i < tables.size(); ++i) {
    const auto found = layers.find(tables[i].name);
    if (found == layers.end()) continue;
    model.SetTable(i, (read ? read(found->second) : quantized.layers[found->second].linear).Dequantize());
  }
}

// A layer that stays as it is but for what transforms did to it. Error(kIo) for a weight of another shape.
void InstallSkipped(Linear& linear, const QuantizedModel& quantized, const std::string& origin) {
  const at::Tensor* const weight = OtherWeight(quantized, linear.shape().name + ".weight");
  if (weight == nullptr) return;
  if (weight->sizes() != linear.weight().sizes()) RefuseOtherWeights(linear.shape().name, origin);
  linear.Replace(weight->to(linear.weight().options()), linear.bias());
}

void InstallLayers(Block& block, const LayersByName& layers, const QuantizedModel& quantized,
                   const ReadQuantized& read, const std::string& origin) {
  for (int stage = 0; stage < block.num_stages(); ++stage) {
    for (Linear* linear : block.stage_linears(stage)) {
      const auto found = layers.find(linear->shape().name);
      if (found == layers.end()) {
        InstallSkipped(*linear, quantized, origin);
        continue;
      }
      const size_t place = found->second;
      linear->Install(read ? read(place) : quantized.layers[place].linear);
    }
  }
}

class InstalledModel : public Model {
 public:
  InstalledModel(std::unique_ptr<Model> model, QuantizedModel quantized, std::optional<ActivationGrid> activations,
                 std::string origin, ReadQuantized read)
      : model_(std::move(model)),
        quantized_(std::move(quantized)),
        activations_(std::move(activations)),
        origin_(std::move(origin)),
        read_(std::move(read)),
        is_installed_(model_->summary().num_blocks, false) {
    if (!quantized_.layers.empty()) layers_ = LayersFor(model_->summary(), quantized_, origin_);
    if (quantized_.kv_cache.any()) model_->RoundKvCache(quantized_.kv_cache);
    InstallModelWeights(*model_, quantized_, origin_);
    WithTorchErrors(origin_, [&] { InstallTables(*model_, layers_, quantized_, read_); });
  }

  const ModelSummary& summary() const override { return model_->summary(); }
  const ComputeSetting& compute() const override { return model_->compute(); }
  const Tokenizer& tokenizer() const override { return model_->tokenizer(); }
  at::Tensor Embed(const at::Tensor& tokens) override { return model_->Embed(tokens); }
  at::Tensor Logits(const at::Tensor& hidden) override { return model_->Logits(hidden); }
  void RoundKvCache(const KvCacheGrid& grid) override { model_->RoundKvCache(grid); }

  Block& block(int64_t i) override {
    Block& block = model_->block(i);
    if (is_installed_.at(i)) return block;
    try {
      WithTorchErrors(origin_, [&] { Install(block); });
    } catch (...) {
      model_->DropBlock(i);  // A block that is half quantized takes no second try.
      throw;
    }
    is_installed_[i] = true;
    return block;
  }
  void DropBlock(int64_t i) override {
    model_->DropBlock(i);
    is_installed_.at(i) = false;
  }
  void ReadAhead(int64_t i) override { model_->ReadAhead(i); }
  at::Tensor table(size_t i) override { return model_->table(i); }
  void SetTable(size_t i, at::Tensor weight) override { model_->SetTable(i, std::move(weight)); }

 private:
  void Install(Block& block) {
    CheckOtherWeights(block, quantized_, summary().name, origin_);
    InstallOtherWeights(block, quantized_);
    if (!layers_.empty()) {
      InstallLayers(block, layers_, quantized_, read_, origin_);
    } else if (activations_) {
      for (int stage = 0; stage < block.num_stages(); ++stage) {
        for (Linear* linear : block.stage_linears(stage)) {
          const auto own = std::find_if(quantized_.inputs.begin(), quantized_.inputs.end(),
                                        [&](const auto& one) { return one.first == linear->shape().name; });
          linear->RoundInputs(own == quantized_.inputs.end() ? *activations_ : own->second);
        }
      }
    }
  }

  const std::unique_ptr<Model> model_;
  const QuantizedModel quantized_;
  const std::optional<ActivationGrid> activations_;
  const std::string origin_;
  const ReadQuantized read_;
  LayersByName layers_;
  std::vector<bool> is_installed_;
};

}  // namespace

void InstallQuantized(Model& model, const QuantizedModel& quantized, const std::string& origin,
                      const ReadQuantized& read) {
  const LayersByName layers = LayersFor(model.summary(), quantized, origin);
  WithTorchErrors(origin, [&] {
    // All of it is looked at first: after an error nothing has been changed.
    size_t others = 0;
    for (int64_t b = 0; !quantized.other_weights.empty() && b < model.summary().num_blocks; ++b) {
      others += CheckOtherWeights(model.block(b), quantized, model.summary().name, origin);
    }
    for (const LinearShape& layer : quantized.skipped) {
      others += OtherWeight(quantized, layer.name + ".weight") != nullptr ? 1 : 0;
    }
    if (others != quantized.other_weights.size()) RefuseOtherWeights(model.summary().name, origin);
    InstallModelWeights(model, quantized, origin);
    size_t rotations = 0;
    for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
      rotations += InstallOtherWeights(model.block(b), quantized);
    }
    if (rotations != quantized.rotations.size()) RefuseRotations(model.summary().name, origin);
    if (quantized.kv_cache.any()) model.RoundKvCache(quantized.kv_cache);
    InstallTables(model, layers, quantized, read);
    for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
      InstallLayers(model.block(b), layers, quantized, read, origin);
    }
  });
}

std::unique_ptr<Model> WithInstalledBlocks(std::unique_ptr<Model> model, QuantizedModel quantized,
                                           std::optional<ActivationGrid> activations, const std::string& origin,
                                           ReadQuantized read) {
  return std::make_unique<InstalledModel>(std::move(model), std::move(quantized), std::move(activations), origin,
                                          std::move(read));
}

}  // namespace bitlaw
