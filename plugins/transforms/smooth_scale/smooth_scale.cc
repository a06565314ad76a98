#include "smooth_scale.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "bitlaw/api/model.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// The largest value of each channel: values [C_in] -> [channels] float64.
at::Tensor LargestOf(const at::Tensor& values, const at::Tensor& channels, int64_t count) {
  at::Tensor largest = at::zeros({count}, at::kDouble);
  const at::Tensor given = values.to(at::kCPU, at::kDouble).contiguous();
  for (int64_t j = 0; j < given.numel(); ++j) {
    double& held = largest.data_ptr<double>()[channels.data_ptr<int64_t>()[j]];
    held = std::max(held, given.data_ptr<double>()[j]);
  }
  return largest;
}

}  // namespace

OptionSchema SmoothScale::Schema() {
  OptionSchema schema;
  schema.Real("alpha").Range(0, 1).Default(0.5).Doc(
      "Share of the inputs' range that moves into the weights: 0 none of it, 1 all.");
  return schema;
}

std::string SmoothScale::ExplainUnsupported(const SiteShape& site) const {
  return site.producer.empty() ? "no scale folds into what makes the input of '" + site.name + "'" : "";
}

CalibrationNeeds SmoothScale::needs() const {
  CalibrationNeeds needs;
  needs.abs_max = true;
  return needs;
}

std::vector<Factor> SmoothScale::factors(const ModelSummary&) const {
  Factor alpha;
  alpha.column = "smooth_alpha";
  alpha.symbol = "alpha";
  alpha.doc = "Share of the inputs' range that moved into the weights.";
  alpha.value = alpha_;
  return {alpha};
}

void SmoothScale::Apply(const Site& site, const LayerCalibration& calibration) const {
  if (site.producer == nullptr || !calibration.abs_max.defined()) {
    // An expert that saw no token keeps its weights.
    if (site.producer != nullptr && calibration.tokens == 0) return;
    throw InternalError("transform 'smooth_scale', " + site.shape.name + ": it has no producer or no statistics");
  }
  WithTorchErrors("transform 'smooth_scale', " + site.shape.name, [&] {
    const at::NoGradGuard no_grad;
    const at::Tensor channels = site.producer->channels().to(at::kCPU).contiguous();  // [C_in]
    const int64_t count = channels.max().item<int64_t>() + 1;
    const at::Tensor inputs = LargestOf(calibration.abs_max, channels, count);  // [channels]
    at::Tensor weights = at::zeros({count}, at::kDouble);                       // [channels]
    for (const Linear* reader : site.readers) {
      const at::Tensor columns = reader->weight().abs().amax(0);  // [C_in]
      weights = at::maximum(weights, LargestOf(columns, channels, count));
    }
    const at::Tensor scale = inputs.pow(alpha_).div(weights.pow(1 - alpha_));  // [channels]
    site.Fold(at::where((inputs > 0) & (weights > 0), scale, at::ones_like(scale)).to(at::kFloat));
  });
}

}  // namespace bitlaw
