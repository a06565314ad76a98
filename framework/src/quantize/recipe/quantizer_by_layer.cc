#include "quantize/recipe/quantizer_by_layer.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "bitlaw/api/quantized_linear.h"

namespace bitlaw {

std::string QuantizerByLayer::ExplainUnsupported(const LinearShape& layer) const {
  return made_.QuantizerOf(layer.name).ExplainUnsupported(layer);
}

double QuantizerByLayer::BitsRequested(const LinearShape& layer) const {
  return made_.QuantizerOf(layer.name).BitsRequested(layer);
}

double QuantizerByLayer::BitsPerWeight(const LinearShape& layer) const {
  return made_.QuantizerOf(layer.name).BitsPerWeight(layer);
}

std::vector<Factor> QuantizerByLayer::factors(const ModelSummary& model) const { return made_.quantizer->factors(model); }

CalibrationNeeds QuantizerByLayer::needs() const {
  CalibrationNeeds all = made_.quantizer->needs();
  for (const LayerRule& rule : made_.rules) {
    if (rule.quantizer == nullptr) continue;
    const CalibrationNeeds own = rule.quantizer->needs();
    all.second_moment |= own.second_moment;
    all.second_moment_float64 |= own.second_moment_float64;
    all.abs_mean |= own.abs_mean;
    all.abs_max |= own.abs_max;
    all.rows |= own.rows;
    all.range |= own.range;
    all.cross_moment |= own.cross_moment;
  }
  return all;
}

bool QuantizerByLayer::rounds_to_nearest() const {
  return made_.quantizer->rounds_to_nearest() &&
         std::all_of(made_.rules.begin(), made_.rules.end(),
                     [](const LayerRule& rule) {
                       return rule.quantizer == nullptr || rule.quantizer->rounds_to_nearest();
                     });
}

void QuantizerByLayer::RoundToNearest(const LinearShape& layer, const at::Tensor& weight,
                                      QuantizedLinear& rounded) const {
  made_.QuantizerOf(layer.name).RoundToNearest(layer, weight, rounded);
}

QuantizedLinear QuantizerByLayer::Quantize(const LinearShape& layer, const at::Tensor& weight,
                                           const LayerCalibration& calibration) const {
  return made_.QuantizerOf(layer.name).Quantize(layer, weight, calibration);
}

bool QuantizerByLayer::QuantizeSite(const SiteShape& site, std::span<const at::Tensor> weights,
                                    const LayerCalibration& calibration, std::vector<QuantizedLinear>& results) const {
  const Quantizer* const one = OneOf(site);
  return one != nullptr && one->QuantizeSite(site, weights, calibration, results);
}

size_t QuantizerByLayer::QuantizeAlike(std::span<const SiteInput> sites,
                                       std::vector<std::vector<QuantizedLinear>>& results) const {
  const Quantizer* const first = OneOf(*sites.front().shape);
  if (first == nullptr) return 0;
  const auto end = std::find_if(sites.begin(), sites.end(), [&](const SiteInput& site) { return OneOf(*site.shape) != first; });
  return first->QuantizeAlike(sites.first(static_cast<size_t>(end - sites.begin())), results);
}

const Quantizer* QuantizerByLayer::OneOf(const SiteShape& site) const {
  const Quantizer* const first = &made_.QuantizerOf(site.readers.front().name);
  const bool is_one = std::all_of(site.readers.begin(), site.readers.end(), [&](const LinearShape& reader) {
    return &made_.QuantizerOf(reader.name) == first;
  });
  return is_one ? first : nullptr;
}

}  // namespace bitlaw
