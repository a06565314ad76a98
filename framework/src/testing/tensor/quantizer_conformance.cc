#include "bitlaw/testing/quantizer_conformance.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <thread>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"

namespace bitlaw::testing {
namespace {

/// Everything that a quantizer may ask for, of random inputs whose channels differ in size.
LayerCalibration SomeCalibration(int64_t channels, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  LayerCalibration calibration;
  calibration.sequences = 4;
  calibration.tokens = 4 * channels;
  calibration.rows = at::randn({calibration.tokens, channels}, generator, at::kFloat) *
                     (at::rand({channels}, generator, at::kFloat) + 0.1);  // [tokens, C_in]
  calibration.second_moment = at::mm(calibration.rows.t(), calibration.rows) * (2.0 / 4);
  calibration.cross_moment = at::mm(calibration.rows.t().mul(0.05).roll(1, 0), calibration.rows) * (2.0 / 4);
  calibration.abs_mean = calibration.rows.abs().mean(0);
  calibration.abs_max = calibration.rows.abs().amax(0);
  return calibration;
}

bool AreSame(const QuantizedLinear& a, const QuantizedLinear& b) {
  const auto same = [](const at::Tensor& x, const at::Tensor& y) {
    return x.defined() == y.defined() && (!x.defined() || at::equal(x, y));
  };
  return a.bits == b.bits && a.scale_divisor == b.scale_divisor && same(a.row_index, b.row_index) &&
         same(a.codes, b.codes) && same(a.scales, b.scales) && same(a.zeros, b.zeros) &&
         same(a.group_index, b.group_index) && same(a.levels, b.levels) && same(a.input_scale, b.input_scale);
}

}  // namespace

std::vector<std::string> QuantizerFaults(const std::function<std::unique_ptr<Quantizer>()>& make,
                                         const std::string& name,
                                         const std::vector<LinearShape>& shapes, bool any_threads) {
  const at::NoGradGuard no_grad;
  std::vector<std::string> faults;
  const std::unique_ptr<Quantizer> quantizer = make(), other = make();
  for (const LinearShape& shape : shapes) {
    const auto fault = [&](const std::string& what) {
      faults.push_back("quantizer '" + name + "', " + shape.name + " [" + std::to_string(shape.out_features) + ", " +
                       std::to_string(shape.in_features) + "]: " + what);
    };
    const at::Tensor weight =
        at::randn({shape.out_features, shape.in_features}, at::detail::createCPUGenerator(5)) * 0.1;
    const at::Tensor given = weight.clone();
    const LayerCalibration calibration = SomeCalibration(shape.in_features, 6);
    const at::Tensor moment = calibration.second_moment.clone();
    const std::string reason = quantizer->ExplainUnsupported(shape);
    QuantizedLinear result;
    try {
      result = quantizer->Quantize(shape, given, calibration);
    } catch (const Error& error) {
      if (reason.empty()) {
        fault("ExplainUnsupported is empty, and Quantize says '" + std::string(error.what()) + "'.");
      } else if (error.kind() != ErrorKind::kUnsupported ||
                 std::string(error.what()).find(reason) == std::string::npos) {
        fault("Quantize says '" + std::string(error.what()) + "', not ExplainUnsupported's '" + reason + "'.");
      }
      continue;
    }
    if (!reason.empty()) {
      fault("ExplainUnsupported says '" + reason + "', and Quantize does it.");
      continue;
    }
    try {
      result.Validate(shape);
    } catch (const InternalError& error) {
      fault(error.what());
      continue;
    }
    const double error = (result.Dequantize() - weight).norm().item<double>(), size = weight.norm().item<double>();
    if (!result.input_scale.defined() && !(error < size)) fault("its weights are no closer than zeros would be.");
    if (!at::equal(given, weight)) fault("it changed the weights that it was given.");
    if (!at::equal(calibration.second_moment, moment)) fault("it changed the calibration that it was given.");
    if (!AreSame(result, quantizer->Quantize(shape, weight, calibration))) fault("the second time differs.");
    if (!AreSame(result, other->Quantize(shape, weight, calibration))) fault("another object differs.");
    if (any_threads) {
      const int threads = at::get_num_threads();
      at::set_num_threads(threads > 1 ? 1 : 2);
      if (!AreSame(result, quantizer->Quantize(shape, weight, calibration))) {
        fault("another number of threads differs.");
      }
      at::set_num_threads(threads);
      std::array<QuantizedLinear, 2> at_once;
      std::thread beside([&] { at_once[1] = quantizer->Quantize(shape, weight, calibration); });
      at_once[0] = quantizer->Quantize(shape, weight, calibration);
      beside.join();
      if (!AreSame(result, at_once[0]) || !AreSame(result, at_once[1])) {
        fault("two calls at once differ.");
      }
    }

    const double requested = quantizer->BitsRequested(shape), effective = quantizer->BitsPerWeight(shape);
    if (!(requested > 0) || !(effective > 0) || !std::isfinite(requested + effective)) {
      fault("its bits are not positive and finite.");
    }
    LinearShape renamed = shape;
    renamed.name += ".renamed";
    renamed.block += 1;
    if (quantizer->depends_on_shape_only() &&
        (quantizer->BitsRequested(renamed) != requested || quantizer->BitsPerWeight(renamed) != effective ||
         !quantizer->ExplainUnsupported(renamed).empty())) {
      fault("depends_on_shape_only() is true, and another name changes what it says.");
    }

    const SiteShape site = {shape.name + ".site", shape.block, {shape, renamed}, "", shape.is_expert};
    const std::vector<at::Tensor> weights = {weight, weight * 0.5};
    std::vector<QuantizedLinear> together(2);
    if (!quantizer->QuantizeSite(site, weights, calibration, together)) continue;
    if (together.size() != 2) {
      fault("QuantizeSite gave " + std::to_string(together.size()) + " results for 2 readers.");
      continue;
    }
    for (size_t i = 0; i < 2; ++i) {
      try {
        together[i].Validate(site.readers[i]);
      } catch (const InternalError& invalid) {
        fault("QuantizeSite: " + std::string(invalid.what()));
      }
    }
  }
  return faults;
}

}  // namespace bitlaw::testing
