#include "quantize/recipe/static_ranges.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "bitlaw/base/error.h"
#include "quantize/calibration_walk.h"

namespace bitlaw {
namespace {

// heads [..., K, Dh]
void Extend(KvRange& range, const at::Tensor& heads) {
  const at::Tensor flat = heads.reshape({-1, heads.size(-2), heads.size(-1)}).to(at::kFloat);  // [tokens, K, Dh]
  const at::Tensor low = flat.amin(0), high = flat.amax(0);                                    // [K, Dh]
  range.low = range.low.defined() ? at::minimum(range.low, low) : low;
  range.high = range.high.defined() ? at::maximum(range.high, high) : high;
}

void CheckFinite(const KvRange& range, const char* what, const Model& model, int64_t block) {
  if (!range.low.defined()) {
    throw InternalError(fmt::format("{}: block {} shows no {}, and its summary says that it rounds them",
                                    model.summary().name, block, what));
  }
  if ((range.low.isfinite() & range.high.isfinite()).all().item<bool>()) return;
  throw Error(ErrorKind::kNumerical,
              fmt::format("{}: the {} of block {} are not finite on the calibration set, so they have no range. Use "
                          "float32, or scales that are found as tokens come (per: token).",
                          model.summary().name, what, block));
}

}  // namespace

ActivationGrid GridOver(const ActivationGrid& grid, const LayerCalibration& seen, const at::Tensor& input_scale,
                        const std::string& layer) {
  if (!seen.low.defined()) {
    throw Error(ErrorKind::kNumerical,
                fmt::format("{}: no token of the calibration set reached it, so its inputs have no range. Use more "
                            "calibration text, or activations with 'per: token'.",
                            layer));
  }
  at::Tensor low = seen.low, high = seen.high;  // [C_in]
  if (input_scale.defined()) {
    const at::Tensor divisor = input_scale.to(low.device());
    low = low.div(divisor), high = high.div(divisor);
  }
  return grid.WithRange(low.min().item<float>(), high.max().item<float>());
}

KvCacheGrid WithStaticScales(const KvCacheGrid& grid, Model& model, const TokenSequences* calibration,
                             const QuantizeSettings& settings, bool drops_blocks, QuantizeTimes& times) {
  if (!grid.is_static()) return grid;
  CheckCalibration(model.summary(), calibration);
  CalibrationWalk walk(model, *calibration, settings.batch_tokens, times);
  walk.Embed();
  std::vector<KvRange> keys, values;
  for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
    KvRange of_keys, of_values;
    const KvObserver observe = [&](const at::Tensor& before, const at::Tensor& after, const at::Tensor& block_values) {
      Extend(of_keys, grid.keys_before_rotation ? before : after);
      Extend(of_values, block_values);
    };
    walk.Forward(model.block(b), &observe);
    if (drops_blocks) model.DropBlock(b);
    CheckFinite(of_keys, "keys", model, b);
    CheckFinite(of_values, "values", model, b);
    keys.push_back(std::move(of_keys));
    values.push_back(std::move(of_values));
  }
  KvCacheGrid result = grid;
  if (result.keys) result.keys = result.keys->WithRanges(keys);
  if (result.values) result.values = result.values->WithRanges(values);
  return result;
}

std::vector<std::pair<std::string, ActivationGrid>> RoundInputsStatically(const ActivationGrid& grid, Model& model,
                                                                         const TokenSequences* calibration,
                                                                         const QuantizeSettings& settings,
                                                                         QuantizeTimes& times) {
  CheckCalibration(model.summary(), calibration);
  CalibrationWalk walk(model, *calibration, settings.batch_tokens, times);
  walk.SetNeeds({.range = true});
  walk.Embed();
  std::vector<std::pair<std::string, ActivationGrid>> grids;
  for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
    Block& block = model.block(b);
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      walk.Step(block, stage, /*observes=*/true);
      for (Linear* linear : block.stage_linears(stage)) {
        const std::string& name = linear->shape().name;
        grids.emplace_back(name, GridOver(grid, walk.StatisticsOf(*linear), {}, name));
        linear->RoundInputs(grids.back().second);
      }
      walk.Forget(block.stage_linears(stage));
    }
    walk.Step(block, block.num_stages(), /*observes=*/false);
    if (!settings.keep_blocks) model.DropBlock(b);
  }
  return grids;
}

}  // namespace bitlaw
