#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"

namespace at {
class Tensor;
}

namespace bitlaw {

struct LayerCalibration;
struct QuantizedLinear;

/// Which statistics of a layer's inputs a quantizer wants collected. Only these are computed.
struct BITLAW_EXPORT CalibrationNeeds {
  bool second_moment = false;  ///< H = (2 / n) sum x x^T, [C_in, C_in]
  bool second_moment_float64 = false;  ///< Sum H in float64 rather than float32; only read with second_moment.
  bool abs_mean = false;       ///< mean |x_j|, [C_in]
  bool abs_max = false;        ///< max |x_j|, [C_in]
  bool rows = false;           ///< The inputs themselves, [tokens, C_in]
  bool any() const { return second_moment || abs_mean || abs_max || rows; }
};

/// Turns the weight of one linear layer into integer codes. Built from its options by a factory; const after.
///
/// Threads: same inputs, same bytes, for any thread. Safe from several threads.
/// This header is free of torch: the planner asks ExplainUnsupported and BitsPerWeight of every grid cell.
class BITLAW_EXPORT Quantizer {
 public:
  virtual ~Quantizer() = default;

  /// Why this layer cannot be quantized with these options. Empty exactly when it can.
  virtual std::string ExplainUnsupported(const LinearShape& layer) const = 0;

  /// Requested code width B. For mixed precision, the layer's own.
  virtual double BitsRequested(const LinearShape& layer) const = 0;

  /// Effective bits a weight: codes, scales, zeros and group index, as an exporter would store them.
  virtual double BitsPerWeight(const LinearShape& layer) const = 0;

  /// What distinguishes trials of this quantizer on `model`, beside B (BitsRequested) and bits_effective (BitsPerWeight),
  /// which the framework fills in: its group size, say. Only asked about a model all of whose layers can be quantized.
  virtual std::vector<Factor> factors(const ModelSummary& model) const {
    (void)model;
    return {};
  }

  virtual CalibrationNeeds needs() const = 0;

  /// True if ExplainUnsupported, BitsRequested and BitsPerWeight look only at in_features, out_features and is_expert,
  /// so that the planner may ask once a distinct shape instead of once a layer. False is always right, and needed as
  /// soon as an override by layer name is given.
  virtual bool depends_on_shape_only() const { return false; }

  /// Quantizes one layer.
  ///
  /// Shapes   weight [C_out, C_in], any floating dtype; the result's codes [C_out, C_in].
  /// Errors   Error(kUnsupported) with ExplainUnsupported's text; Error(kNumerical) with the layer's name.
  ///          Never changes method or damping on its own without saying so in QuantizedLinear::fallback.
  virtual QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                                   const LayerCalibration& calibration) const = 0;
};

}  // namespace bitlaw
