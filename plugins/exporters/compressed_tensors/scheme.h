#pragma once

#include <cstdint>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// What compressed-tensors calls a scheme: how the weights and inputs of a set of layers are quantized.
struct Scheme {
  int bits = 0;
  bool symmetric = false;
  int64_t group_size = 0;     ///< 0: a scale a row ("channel").
  bool is_scattered = false;  ///< Columns of a group do not lie together.
  int input_bits = 0;         ///< 0: inputs are not rounded.
  bool input_symmetric = false, input_per_token = false;

  bool operator==(const Scheme&) const = default;
  /// Codes as bytes ("int-quantized"), which is what readers take for rounded inputs; otherwise packed in words.
  bool is_unpacked() const { return bits == 8 && input_bits == 8; }
  /// "int-quantized" or "pack-quantized".
  std::string format() const { return is_unpacked() ? "int-quantized" : "pack-quantized"; }
  /// {targets, weights, input_activations, format} of config_groups.
  Value Json(const Value& targets) const;
};

Scheme SchemeOf(const ExportLayer& layer);

/// Why no scheme says what the layer is. Empty exactly when one does.
std::string ExplainNoScheme(const ExportLayer& layer, bool takes_scattered);

}  // namespace bitlaw
