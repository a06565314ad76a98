#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/kv_cache.h"
#include "bitlaw/api/model.h"
#include "bitlaw/api/quantized_linear.h"
#include "quantize/quantize_model.h"

namespace bitlaw {

/// `grid` over the inputs of `layer` that `seen` describes (CalibrationNeeds::range), divided by `input_scale` where it
/// is defined. Error(kNumerical) for a layer that no token of the calibration set reached.
ActivationGrid GridOver(const ActivationGrid& grid, const LayerCalibration& seen, const at::Tensor& input_scale,
                        const std::string& layer);

/// `grid` with the static scales that cover the keys and values of the calibration set in `model` as it is now, which
/// rounds none of them: one forward pass, which drops each block behind it if `drops_blocks`. Itself where nothing of it
/// is static.
/// Errors   Error(kNumerical) for keys or values that are not finite; InternalError for a model that shows none.
KvCacheGrid WithStaticScales(const KvCacheGrid& grid, Model& model, const TokenSequences* calibration,
                             const QuantizeSettings& settings, bool drops_blocks, QuantizeTimes& times);

/// Rounds the inputs of every layer of `model`, whose weights stay, to `grid` over what the layer reads of the
/// calibration set where the inputs of those before it are rounded; which grids these are, in the order of
/// ModelSummary::linears.
std::vector<std::pair<std::string, ActivationGrid>> RoundInputsStatically(const ActivationGrid& grid, Model& model,
                                                                         const TokenSequences* calibration,
                                                                         const QuantizeSettings& settings,
                                                                         QuantizeTimes& times);

}  // namespace bitlaw
