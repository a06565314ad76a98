#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/quantizer.h"

/// Codes -1, 0, 1 with one scale a row, its mean magnitude ("absmean").
///
/// Shapes   weight [C_out, C_in] -> codes likewise, scales and zeros [C_out, 1].
/// Source   BitNet b1.58, arXiv:2402.17764, with a threshold of its own.
class MyQuantizer final : public bitlaw::Quantizer {
 public:
  static bitlaw::OptionSchema Schema() {
    bitlaw::OptionSchema schema;
    schema.Real("cutoff").Range(0, 2).Default(0.5).Doc("Magnitude, in scales, below which a weight is 0.");
    return schema;
  }

  explicit MyQuantizer(const bitlaw::Options& options) : cutoff_(options.Real("cutoff")) {}

  // Asked of each layer of each model before a weight is read. Empty exactly where Quantize() can do it.
  std::string ExplainUnsupported(const bitlaw::LinearShape&) const override { return ""; }
  double BitsRequested(const bitlaw::LinearShape&) const override { return 2; }
  double BitsPerWeight(const bitlaw::LinearShape& layer) const override {
    return 2 + (32.0 + 2.0) / static_cast<double>(layer.in_features);  // A scale and a zero a row.
  }
  bool depends_on_shape_only() const override { return true; }

  /// Columns of observations.csv and covariates for laws; B, bits_effective and the model's own are there without them.
  std::vector<bitlaw::Factor> factors(const bitlaw::ModelSummary&) const override {
    return {{.column = "cutoff", .doc = "Magnitude, in scales, below which a weight is 0.", .value = cutoff_}};
  }

  /// Which statistics of the inputs Quantize() wants; only these are collected.
  bitlaw::CalibrationNeeds needs() const override { return {}; }

  bitlaw::QuantizedLinear Quantize(const bitlaw::LinearShape& layer, const at::Tensor& weight,
                                   const bitlaw::LayerCalibration&) const override {
    const at::Tensor w = weight.to(at::kFloat);
    bitlaw::QuantizedLinear result;
    result.bits = 2;
    result.symmetric = true;
    result.group_size = layer.in_features;
    result.scales = w.abs().mean(1, true).clamp_min(1e-12);                                          // [C_out, 1]
    result.codes = (w.sign() * (w.abs() > cutoff_ * result.scales) + 1).to(at::kByte).contiguous();  // [C_out, C_in]
    result.zeros = at::ones_like(result.scales).to(at::kByte);                                       // [C_out, 1]
    result.group_index = at::zeros({layer.in_features}, at::kInt);
    result.scale_dtype = "float32";
    return result;
  }

 private:
  double cutoff_;
};
