#include "awq.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>

#include "bitlaw/api/model.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/hessian_error.h"

namespace bitlaw {
namespace {

constexpr double kSmallestScale = 1e-4, kSmallestWeight = 1e-4, kSmallestLargest = 1e-6;

// The mean over the inputs of each channel: values [C_in], channels [C_in] int64 -> [count].
at::Tensor MeanOfChannels(const at::Tensor& values, const at::Tensor& channels, int64_t count) {
  const at::Tensor zeros = at::zeros({count}, values.options());
  return zeros.index_add(0, channels, values).div_(zeros.index_add(0, channels, at::ones_like(values)));
}

// mean |w| / max |w of its group| over all rows of all readers that are rounded (a group size of 0: is not): [C_in].
at::Tensor RelativeWeights(const std::vector<at::Tensor>& weights, const std::vector<int64_t>& group_sizes) {
  at::Tensor sum;
  int64_t rows = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (group_sizes[i] == 0) continue;
    const at::Tensor size = weights[i].abs();  // [C_out, C_in]
    at::Tensor relative = at::empty_like(size);
    for (int64_t first = 0; first < size.size(1); first += group_sizes[i]) {
      const int64_t columns = std::min(group_sizes[i], size.size(1) - first);
      const at::Tensor group = size.narrow(1, first, columns);
      relative.narrow(1, first, columns).copy_(group / (group.amax(1, /*keepdim=*/true) + kSmallestLargest));
    }
    const at::Tensor of_reader = relative.sum(0);  // [C_in]
    sum = sum.defined() ? sum + of_reader : of_reader;
    rows += size.size(0);
  }
  return sum / rows;
}

}  // namespace

OptionSchema AwqScale::Schema() {
  OptionSchema schema;
  schema.Int("candidates").Range(1, 1000).Default(20).Doc("Exponents tried: 0, 1 / n, .. (n - 1) / n.");
  schema.Choice("scaling", {"inputs", "inputs_and_weights", "either"})
      .Default("inputs")
      .Doc("What scales are made of: inputs: mean |x|^a; inputs_and_weights: that over m^(1 - a), m the mean relative size of "
           "the channel's weights; either: whichever of both has the least error.");
  return schema;
}

AwqScale::Settings AwqScale::SettingsFrom(const Options& options) {
  const std::string& scaling = options.String("scaling");
  return {.candidates = options.Int("candidates"),
          .scaling = scaling == "inputs"               ? Scaling::kInputs
                     : scaling == "inputs_and_weights" ? Scaling::kBoth
                                                       : Scaling::kEither};
}

std::string AwqScale::ExplainUnsupported(const SiteShape& site) const {
  if (quantizer_ == nullptr) return "nothing rounds the weights that its scales would be found for. Name a quantizer";
  if (!quantizer_->rounds_to_nearest()) return "the recipe's quantizer does not say what its rounding to nearest gives";
  return site.producer.empty() ? "no scale folds into what makes the input of '" + site.name + "'" : "";
}

CalibrationNeeds AwqScale::needs() const {
  CalibrationNeeds needs;
  needs.abs_mean = true;
  needs.second_moment = true;
  return needs;
}

void AwqScale::Apply(const Site& site, const LayerCalibration& calibration) const {
  if (site.producer == nullptr || !calibration.abs_mean.defined() || !calibration.second_moment.defined()) {
    // An expert that saw no token keeps its weights.
    if (site.producer != nullptr && calibration.tokens == 0) return;
    throw InternalError("transform 'awq', " + site.shape.name + ": it has no producer or no statistics");
  }
  if (calibration.tokens == 0) return;
  WithTorchErrors("transform 'awq', " + site.shape.name, [&] {
    const at::NoGradGuard no_grad;
    site.Fold(BestScale(site, calibration));
  });
}

at::Tensor AwqScale::BestScale(const Site& site, const LayerCalibration& calibration) const {
  std::vector<at::Tensor> weights;  // [C_out, C_in] float32
  std::vector<int64_t> group_sizes;
  for (const Linear* reader : site.readers) {
    weights.push_back(reader->weight().to(at::kFloat));
  }
  std::vector<QuantizedLinear> rounded(weights.size());
  if (settings_.scaling != Scaling::kInputs) {
    quantizer_->RoundToNearest(site.shape, weights, rounded);
    for (const QuantizedLinear& layer : rounded) group_sizes.push_back(layer.codes.defined() ? layer.group_size : 0);
  }
  const at::Device device = weights.front().device();
  const at::Tensor hessian = calibration.second_moment.to(device);                    // [C_in, C_in]
  const at::Tensor channels = site.producer->channels().to(device);                   // [C_in]
  const int64_t count = channels.max().item<int64_t>() + 1;
  const at::Tensor inputs = MeanOfChannels(calibration.abs_mean.to(device), channels, count);  // [channels]
  at::Tensor sizes;                                                                   // [channels]
  if (settings_.scaling != Scaling::kInputs) {
    sizes = MeanOfChannels(RelativeWeights(weights, group_sizes), channels, count);
  }

  at::Tensor best;
  double least = std::numeric_limits<double>::infinity();
  const int64_t candidates = settings_.candidates * (settings_.scaling == Scaling::kEither ? 2 : 1);
  for (int64_t i = 0; i < candidates; ++i) {
    const double exponent =
        static_cast<double>(i % settings_.candidates) / static_cast<double>(settings_.candidates);
    const bool has_weights = settings_.scaling == Scaling::kBoth || i >= settings_.candidates;
    at::Tensor scale = inputs.pow(exponent);  // [channels]
    if (has_weights) scale = scale.div(sizes.pow(1 - exponent).add(kSmallestWeight));
    scale = scale.clamp_min(kSmallestScale);
    scale = scale.div(scale.max().mul(scale.min()).sqrt());
    const at::Tensor columns = scale.index_select(0, channels);  // [C_in]
    std::vector<at::Tensor> scaled;  // [C_out, C_in]
    for (const at::Tensor& weight : weights) scaled.push_back(weight * columns);
    quantizer_->RoundToNearest(site.shape, scaled, rounded);
    scaled.clear();
    double loss = 0;
    for (size_t r = 0; r < weights.size(); ++r) {
      if (!rounded[r].codes.defined()) continue;  // It stays as it is.
      loss += HessianError(weights[r] - rounded[r].Dequantize().to(device).div_(columns), hessian);
    }
    if (!(loss < least)) continue;
    least = loss;
    best = scale;
  }
  if (!best.defined()) {
    throw Error(ErrorKind::kNumerical, "transform 'awq', " + site.shape.name +
                                           ": no scale has a finite error. Its inputs overflow. Compute the model in "
                                           "float32.");
  }
  return best;
}

}  // namespace bitlaw
