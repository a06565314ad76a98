#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// How weights lie in tensors: the format of compressed-tensors that each is written in.
enum class WeightForm {
  kPackedInt,  ///< "pack-quantized": integers of 2 to 8 bits in words.
  kInt8,       ///< "int-quantized": integers of 8 bits as bytes, what readers take for inputs of 8-bit integers.
  kFloat8,     ///< "float-quantized", without rounded inputs "naive-quantized": E4M3, a scale a tensor, row or group.
  kMxfp8,      ///< "mxfp8-quantized": E4M3, a power of two for 32 weights.
  kNvfp4,      ///< "nvfp4-pack-quantized": E2M1, E4M3 scales of 16 weights and one of the tensor.
  kMxfp4,      ///< "mxfp4-pack-quantized": E2M1, a power of two for 32 weights.
};

/// What compressed-tensors calls a scheme: how the weights and inputs of a set of layers are quantized.
struct Scheme {
  WeightForm form = WeightForm::kPackedInt;
  int bits = 0;
  bool symmetric = false;
  int64_t group_size = 0;     ///< 0: a scale a row ("channel"), or one_scale.
  bool one_scale = false;     ///< A scale a tensor.
  bool is_scattered = false;  ///< Columns of a group do not lie together.
  std::optional<ActivationGrid> inputs{};  ///< Without what is a layer's own: static scale, zero point, divisor.

  bool operator==(const Scheme&) const = default;
  /// Weights of a floating-point type.
  bool is_float() const { return form != WeightForm::kPackedInt && form != WeightForm::kInt8; }
  /// "nvfp4-pack-quantized", ...
  std::string format() const;
  /// {targets, weights, input_activations, format} of config_groups.
  Value Json(const Value& targets) const;
};

/// Of a layer without an ExplainNoScheme().
Scheme SchemeOf(const ExportLayer& layer);

/// Why no scheme says what the layer is. Empty exactly when one does.
std::string ExplainNoScheme(const ExportLayer& layer, bool takes_scattered);

}  // namespace bitlaw
