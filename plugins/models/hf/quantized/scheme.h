#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/text/text_pattern.h"

namespace bitlaw {

/// The tensors in which a layer's weights are stored, and how numbers lie in them.
enum class StoredForm {
  kGptq,           ///< qweight, qzeros, scales, g_idx: codes along C_in, in words of 32 bits.
  kAwq,            ///< qweight, qzeros, scales: codes along C_out, eight a word in AWQ's order.
  kPacked,         ///< compressed-tensors "pack-quantized": weight_packed, weight_scale, ...: codes along C_in.
  kInt8,           ///< "int-quantized", "naive-quantized": weight, a byte a code.
  kFloat8,         ///< "float-quantized", "naive-quantized": weight in E4M3.
  kNvfp4,          ///< "nvfp4-pack-quantized": E2M1, E4M3 scales of 16 weights, a scale of the tensor.
  kMxfp4,          ///< "mxfp4-pack-quantized": E2M1, power-of-two scales of 32 weights.
  kMxfp8,          ///< "mxfp8-quantized": E4M3, power-of-two scales of 32 weights.
};

/// How the weights of some layers are quantized, and their inputs.
struct StoredScheme {
  StoredForm form = StoredForm::kGptq;
  int bits = 0;
  bool symmetric = true;
  int64_t group_size = 0;                        ///< Columns that share a scale; 0: the whole row.
  bool one_scale = false;                        ///< One for the whole matrix.
  int64_t block_rows = 0, block_columns = 0;     ///< Blocks that share a scale; 0: none.
  bool zeros_are_less_one = false;               ///< GPTQ's first format.
  bool several_bits = false;                     ///< GPTQ's `dynamic`: the shapes say how many bits a layer has.
  bool is_scattered = false;                     ///< A group index is stored and needed.
  /// What inputs are rounded to, without the numbers that a layer stores: static scale, zero point, divisor.
  std::optional<ActivationGrid> inputs{};

  /// "int4", "float8_e4m3", "nvfp4": what most weights are stored as.
  std::string Dtype() const;
  /// "4 bits in groups of 128", for people.
  std::string Text() const;
};

/// What keys and values are rounded to on one static symmetric grid, whose scales each attention stores.
struct StoredCache {
  ActivationGrid numbers{};
  KvScaleOf scale_of = KvScaleOf::kTensor;  ///< Or kHead.
};

/// `quantization_config` of config.json.
///
/// Errors   Error(kUnsupported) for a method, format or setting that is not read here; Error(kIo) for values of another
///          type or out of range. With `weights_only`, rounded inputs, keys and values are left out of the reading.
class QuantizationConfig {
 public:
  QuantizationConfig(const Value& config, const std::string& where, bool weights_only);

  const std::string& method() const { return method_; }  ///< "gptq", "awq" or "compressed-tensors".
  /// Of compressed-tensors' kv_cache_scheme; nullopt where nothing is rounded, or it is left out.
  const std::optional<StoredCache>& cache() const { return cache_; }
  /// What is said of rounded inputs, keys or values that were left out; "" for nothing.
  const std::string& left_out() const { return left_out_; }

  /// The scheme of a module, "model.layers.0.mlp.up_proj". Error(kIo) if none is said.
  const StoredScheme& SchemeOf(const std::string& module) const;

 private:
  struct Group {
    std::string name;
    std::vector<std::string> names, classes;  // Targets: modules, module classes such as Linear.
    std::vector<TextPattern> patterns;        // "re:" and what follows.
    StoredScheme scheme;
  };
  class Reader;
  void ReadGptq(const Reader& reader);
  void ReadAwq(const Reader& reader);
  void ReadCompressedTensors(const Reader& reader, bool weights_only);
  Group ReadGroup(const Reader& group, const std::string& format, bool weights_only);
  static std::optional<ActivationGrid> InputsOf(const Reader& inputs);
  void ReadInputs(const Reader& group, bool weights_only, StoredScheme& scheme);
  void ReadCache(const Reader& reader, bool weights_only);
  void LeaveOut(const Reader& reader, const std::string& what, bool weights_only);

  std::string where_, method_, left_out_;
  std::vector<Group> groups_;
  std::optional<StoredCache> cache_;
};

}  // namespace bitlaw
