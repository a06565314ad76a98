#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/model.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/base/error.h"

namespace bitlaw::testing {

namespace internal {

/// Statistics of the inputs of a block's linears, straight from the inputs.
inline std::map<const Linear*, LayerCalibration> StatisticsOf(Block& block, const at::Tensor& hidden) {
  std::map<const Linear*, LayerCalibration> statistics;
  BlockState state;
  state.residual = hidden;
  for (int stage = 0; stage < block.num_stages(); ++stage) {
    block.Step(stage, state, ForwardContext{}, [&](std::span<Linear* const> readers, const at::Tensor& input) {
      LayerCalibration found;
      found.sequences = hidden.size(0);
      found.rows = input.reshape({-1, input.size(-1)}).to(at::kFloat).clone();  // [tokens, C_in]
      found.tokens = found.rows.size(0);
      found.second_moment = at::mm(found.rows.t(), found.rows) * (2.0 / static_cast<double>(found.sequences));
      if (found.tokens > 0) {
        found.abs_mean = found.rows.abs().mean(0);
        found.abs_max = found.rows.abs().amax(0);
      }
      for (const Linear* reader : readers) statistics[reader] = found;
    });
  }
  return statistics;
}

/// Every weight of the model's blocks that a transform may change, by name.
inline std::map<std::string, at::Tensor> WeightsOf(Model& model) {
  std::map<std::string, at::Tensor> weights;
  for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
    Block& block = model.block(b);
    for (const auto& [name, weight] : block.other_weights()) weights[name] = weight.clone();
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      for (const Linear* linear : block.stage_linears(stage)) {
        weights[linear->shape().name + ".weight"] = linear->weight().clone();
      }
    }
  }
  return weights;
}

/// Applies `transform` block by block, as bitlaw does. Returns to how many sites.
inline int64_t ApplyTo(Model& model, const Transform& transform, const at::Tensor& tokens) {
  at::Tensor hidden = model.Embed(tokens);  // [B, T, D]
  int64_t sites = 0;
  for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
    Block& block = model.block(b);
    const auto statistics = StatisticsOf(block, hidden);
    for (const Site& site : block.sites()) {
      if (!transform.ExplainUnsupported(site.shape).empty()) continue;
      transform.Apply(site, statistics.at(site.readers.front()));
      ++sites;
    }
    hidden = block.Forward(hidden, ForwardContext{});
  }
  return sites;
}

}  // namespace internal

/// What a transform does to a float32 model against the promises of transform.h, one sentence an entry; empty if it
/// keeps them. `open` opens the model afresh; tokens [B, T] int64 are calibration text and, shifted, what logits are
/// compared on.
///
/// Tried: logits of the changed model equal to those of the original, |difference| <= tolerance * the largest |logit|;
/// some weight changed; the same bytes the second time; the plan's sites are the blocks' own.
inline std::vector<std::string> TransformFaults(const Transform& transform, const std::string& name,
                                                const std::function<std::unique_ptr<Model>()>& open,
                                                const at::Tensor& tokens, double tolerance = 1e-5) {
  const at::NoGradGuard no_grad;
  std::vector<std::string> faults;
  const auto fault = [&](const std::string& what) { faults.push_back("transform '" + name + "': " + what); };
  const std::unique_ptr<Model> original = open(), changed = open(), again = open();
  const std::string model = " on a model of architecture '" + original->summary().architecture + "'.";

  std::vector<std::string> planned, own;
  for (const SiteShape& site : SitesOf(original->summary())) planned.push_back(site.name + " from " + site.producer);
  for (int64_t b = 0; b < original->summary().num_blocks; ++b) {
    for (const Site& site : original->block(b).sites()) own.push_back(site.shape.name + " from " + site.shape.producer);
  }
  if (planned != own) fault("(the model's fault) its summary names other sites than its blocks" + model);

  const auto before = internal::WeightsOf(*original);
  int64_t sites = 0;
  try {
    sites = internal::ApplyTo(*changed, transform, tokens);
    internal::ApplyTo(*again, transform, tokens);
  } catch (const Error& error) {
    fault("it throws '" + std::string(error.what()) + "' for a site that it does not explain as unsupported" + model);
    return faults;
  }
  if (sites == 0) {
    fault("it can change no site" + model);
    return faults;
  }
  const auto after = internal::WeightsOf(*changed), twice = internal::WeightsOf(*again);
  bool has_changed = false, is_repeated = true;
  for (const auto& [key, weight] : after) {
    has_changed |= !at::equal(weight, before.at(key));
    is_repeated &= at::equal(weight, twice.at(key));
  }
  if (!has_changed) fault("it changed no weight" + model);
  if (!is_repeated) fault("it gives other weights the second time" + model);

  const at::Tensor shifted = tokens.roll(1, 1);
  const at::Tensor expected = original->Logits(original->Forward(shifted, {})).to(at::kDouble);  // [B, T, V]
  const at::Tensor found = changed->Logits(changed->Forward(shifted, {})).to(at::kDouble);       // [B, T, V]
  const double difference = (found - expected).abs().max().item<double>();
  const double size = expected.abs().max().item<double>();
  if (!(difference <= tolerance * size)) {
    fault("logits of the unquantized model change by " + std::to_string(difference / size) + " of the largest" + model);
  }
  return faults;
}

}  // namespace bitlaw::testing
