#include "bitlaw/testing/transform_conformance.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>
#include <map>
#include <utility>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"

namespace bitlaw::testing {
namespace {

/// Statistics of the inputs of a block's linears, straight from the inputs.
std::map<const Linear*, LayerCalibration> StatisticsOf(Block& block, const at::Tensor& hidden) {
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

/// Every weight of the model that a transform may change, by name.
std::map<std::string, at::Tensor> WeightsOf(Model& model) {
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, weight] : model.other_weights()) weights[name] = weight.clone();
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

/// Applies `transform` as bitlaw does, block by block or to the model as a whole. Returns to how many of these.
int64_t ApplyTo(Model& model, const Transform& transform, const at::Tensor& tokens) {
  if (transform.is_of_whole_model()) {
    transform.ApplyToModel(model);
    return 1;
  }
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

/// Logits of a text [T] that is read token by token through a cache, [T, V].
at::Tensor CachedLogits(Model& model, const at::Tensor& text) {
  KvCache cache(model.summary().num_blocks, text.size(0));
  const TokenRun run{*cache.Add(KvCache::kNoParent, text.size(0)), 1};
  std::vector<at::Tensor> logits;
  for (int64_t t = 0; t < text.size(0); ++t) {
    const at::Tensor hidden = model.Forward(text.narrow(0, t, 1).unsqueeze(0), {.cache = &cache, .runs = {&run, 1}});
    logits.push_back(model.Logits(hidden)[0]);  // [1, V]
  }
  return at::cat(logits);
}

}  // namespace

std::vector<std::string> TransformFaults(const Transform& transform, const std::string& name,
                                         const std::function<std::unique_ptr<Model>()>& open,
                                         const at::Tensor& tokens, double tolerance) {
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

  const auto before = WeightsOf(*original);
  int64_t sites = 0;
  try {
    sites = ApplyTo(*changed, transform, tokens);
    ApplyTo(*again, transform, tokens);
  } catch (const Error& error) {
    fault("it throws '" + std::string(error.what()) + "' for a site that it does not explain as unsupported" + model);
    return faults;
  }
  if (sites == 0) {
    fault("it can change no site" + model);
    return faults;
  }
  const auto after = WeightsOf(*changed), twice = WeightsOf(*again);
  bool has_changed = false, is_repeated = true;
  for (const auto& [key, weight] : after) {
    has_changed |= !at::equal(weight, before.at(key));
    is_repeated &= at::equal(weight, twice.at(key));
  }
  for (int64_t b = 0; b < changed->summary().num_blocks; ++b) {
    has_changed |= !changed->block(b).online_rotations().empty();
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
  const at::Tensor cached = CachedLogits(*changed, shifted[0]).to(at::kDouble);  // [T, V]
  const double apart = (cached - found[0]).abs().max().item<double>();
  if (!(apart <= tolerance * size)) {
    fault("logits through a cache differ by " + std::to_string(apart / size) + " of the largest" + model);
  }
  return faults;
}

}  // namespace bitlaw::testing
