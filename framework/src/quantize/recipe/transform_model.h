#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/model.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/base/export.h"
#include "quantize/quantize_model.h"

namespace bitlaw {

/// Whether a recipe leaves a layer as it is.
using SkipsLayer = std::function<bool(std::string_view layer)>;

/// Applies transforms to the unquantized model in place, in their order: neighbouring ones that change sites block by
/// block together, those of the whole model (Transform::is_of_whole_model) by themselves.
///
/// Each transform sees statistics of inputs that come from unquantized blocks, those before it in the list applied.
/// Sites that it cannot change, and those all of whose readers `skips` names, are left as they are; of a site that it
/// names in part all readers take what folds into them.
/// With `shows_all_to_experts` those of experts are of all tokens of their layer, not of those routed to them.
/// `calibration` may be null if no transform needs statistics.
/// Errors   Error(kUnsupported) before any work for a transform that can change no site of the model; those of the
///          transforms. After an error the model is partly changed: drop it.
BITLAW_EXPORT void TransformModel(Model& model, std::span<const Transform* const> transforms,
                                  const TokenSequences* calibration, int64_t batch_tokens, QuantizeTimes& times,
                                  bool shows_all_to_experts = false, const SkipsLayer& skips = {});

/// Norms, biases and routers of all blocks as they are now, and the weights of linear layers that `skips` names, by
/// their names in the checkpoint.
BITLAW_EXPORT std::vector<std::pair<std::string, at::Tensor>> OtherWeights(
    Model& model, const SkipsLayer& skips = {});
/// What the blocks compute beside their weights, block by block.
BITLAW_EXPORT std::vector<OnlineRotation> OnlineRotations(Model& model);

/// Rotations of one kind among those that a model computes in each pass.
struct BITLAW_EXPORT RotationCount {
  std::string place;     ///< "model.layers.*.mlp.out": numbers are stars.
  std::string rotation;  ///< Rotation::Name()
  int64_t width = 0, places = 0;
  int64_t operations = 0;  ///< Rotation::Operations(), of one place.
};
/// By place and kind, in the order of their first.
BITLAW_EXPORT std::vector<RotationCount> CountRotations(std::span<const OnlineRotation> rotations);

}  // namespace bitlaw
