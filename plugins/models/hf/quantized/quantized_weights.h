#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/sdk/checkpoint/hf_folder.h"
#include "bitlaw/sdk/decoder/decoder_config.h"
#include "scheme.h"

namespace bitlaw {

/// The weights of a folder that other programs quantized, as the numbers that they stand for.
///
/// A weight is (code - zero point) * scale in float32, rounded once to the type that the model computes in, whatever the
/// type of its scale: what bitlaw evaluates of codes of its own.
///
/// Errors   at first: Error(kUnsupported / kIo) as QuantizationConfig; Error(kIo) with every layer whose tensors are
///          missing, of another type or of another shape. Of a layer that is read: Error(kIo) for a group index or a zero
///          point out of range, and for weights that are not finite.
class QuantizedWeights {
 public:
  QuantizedWeights(const HfFolder& folder, const DecoderConfig& config, bool weights_only);

  /// Whether a stored tensor is part of a quantized layer, by its name in HfFolder::tensors().
  bool IsPart(const std::string& name) const { return parts_.count(name) > 0; }
  /// The weights of quantized layers, as if they were stored.
  std::vector<StoredTensor> tensors() const;
  bool Has(const std::string& name) const { return layers_.count(name) > 0; }
  /// [C_out, C_in] float32. Safe from several threads.
  at::Tensor Load(const std::string& name) const;
  /// What the inputs of the linear layer are rounded to; nullopt: nothing.
  std::optional<ActivationGrid> InputGrid(const std::string& layer) const;
  /// What keys and values are rounded to, with the scales of each block on the host. Error(kIo) for a scale that is not a
  /// positive number, and for a zero point that is not 0.
  KvCacheGrid Cache() const;

  /// For ModelSummary, of a model with these linear layers.
  StoredQuantization Describe(const ModelSummary& model) const;
  /// "weights were quantized with gptq (4 bits in groups of 128)".
  std::string Note() const;

 private:
  struct Layer {
    std::string module;                               // As errors name it.
    StoredScheme scheme;
    int64_t rows = 0, columns = 0, group_size = 0;    // Effective: C_in for rows.
    bool whole_codes_in_words = false;                // kPacked: UnpackWholeCodes().
    std::map<std::string, const HfFolder::Tensor*> parts;
    const HfFolder::Tensor* stray_bias = nullptr;     // That the model has no place for: zeros.
  };
  // What one tensor of a layer must be.
  struct Rule {
    const char* name;
    std::vector<const char*> dtypes;
    std::vector<std::vector<int64_t>> shapes;  // One of them.
    bool required = true;
  };
  void AddLayer(const HfFolder& folder, const QuantizationConfig& config, const std::string& weight,
                const std::vector<int64_t>& shape, std::string& faults);
  void FindCache(const HfFolder& folder, const DecoderConfig& config, std::string& faults);
  static std::vector<Rule> RulesOf(const Layer& layer);
  static std::string Explain(Layer& layer);
  static void FindBits(Layer& layer);
  at::Tensor Stored(const Layer& layer, const std::string& part) const;
  at::Tensor Scales(const Layer& layer) const;
  at::Tensor Zeros(const Layer& layer) const;
  at::Tensor Levels(const Layer& layer) const;
  at::Tensor GroupIndex(const Layer& layer) const;
  [[noreturn]] void Fail(const Layer& layer, const std::string& what) const;
  static double StoredBits(const Layer& layer);

  std::string where_, method_, left_out_;
  std::map<std::string, Layer> layers_;  // By the name of the weight.
  std::map<std::string, bool> parts_;
  std::optional<StoredCache> cache_;
  /// Of each block: k_scale and v_scale, and their zero points or null.
  struct CacheScales {
    const HfFolder::Tensor *keys = nullptr, *values = nullptr, *key_zero = nullptr, *value_zero = nullptr;
  };
  std::vector<CacheScales> cache_scales_;
};

}  // namespace bitlaw
