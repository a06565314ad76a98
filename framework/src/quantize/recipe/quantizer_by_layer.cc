#include "quantize/recipe/quantizer_by_layer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// Those readers of a site that have one quantizer; skipped ones have none.
struct Readers {
  const Quantizer* quantizer = nullptr;
  SiteShape site;
  std::vector<at::Tensor> weights;
  std::vector<size_t> places;  // In the site.
};

std::vector<Readers> ByQuantizer(const MadeRecipe& made, const SiteShape& site, std::span<const at::Tensor> weights) {
  std::vector<Readers> all;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (made.Skips(site.readers[i].name)) continue;
    const Quantizer* const quantizer = &made.QuantizerOf(site.readers[i].name);
    auto own = std::find_if(all.begin(), all.end(), [&](const Readers& one) { return one.quantizer == quantizer; });
    if (own == all.end()) {
      own = all.insert(all.end(), {quantizer, site, {}, {}});
      own->site.readers.clear();
    }
    own->site.readers.push_back(site.readers[i]);
    own->weights.push_back(weights[i]);
    own->places.push_back(i);
  }
  return all;
}

// What became of them, at their places.
void PutBack(const Readers& own, std::vector<QuantizedLinear> made, std::vector<QuantizedLinear>& results) {
  if (made.size() != own.places.size()) {
    throw InternalError(own.site.name + ": the quantizer gave " + std::to_string(made.size()) + " layers for " +
                        std::to_string(own.places.size()) + " readers");
  }
  for (size_t i = 0; i < made.size(); ++i) results[own.places[i]] = std::move(made[i]);
}

}  // namespace

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

void QuantizerByLayer::RoundToNearest(const SiteShape& site, std::span<const at::Tensor> weights,
                                      std::vector<QuantizedLinear>& rounded) const {
  for (const Readers& own : ByQuantizer(made_, site, weights)) {
    std::vector<QuantizedLinear> made(own.places.size());
    own.quantizer->RoundToNearest(own.site, own.weights, made);
    PutBack(own, std::move(made), rounded);
  }
}

QuantizedLinear QuantizerByLayer::Quantize(const LinearShape& layer, const at::Tensor& weight,
                                           const LayerCalibration& calibration) const {
  return made_.QuantizerOf(layer.name).Quantize(layer, weight, calibration);
}

bool QuantizerByLayer::QuantizeSite(const SiteShape& site, std::span<const at::Tensor> weights,
                                    const LayerCalibration& calibration, std::vector<QuantizedLinear>& results) const {
  if (const Quantizer* const one = OneOf(site)) return one->QuantizeSite(site, weights, calibration, results);
  for (const Readers& own : ByQuantizer(made_, site, weights)) {
    std::vector<QuantizedLinear> made(own.places.size());
    const bool are_together = own.quantizer->QuantizeSite(own.site, own.weights, calibration, made);
    for (size_t i = 0; !are_together && i < own.places.size(); ++i) {
      made[i] = own.quantizer->Quantize(own.site.readers[i], own.weights[i], calibration);
    }
    PutBack(own, std::move(made), results);
  }
  return true;
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
