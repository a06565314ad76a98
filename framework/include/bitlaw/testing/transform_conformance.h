#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/model.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/base/export.h"

namespace bitlaw::testing {

/// What a transform does to a float32 model against the promises of transform.h, one sentence an entry; empty if it
/// keeps them. `open` opens the model afresh; tokens [B, T] int64 are calibration text and, shifted, what logits are
/// compared on, in one pass and token by token through a cache.
///
/// A model that the transform says it does not support is not tried; the caller asks.
/// Tried: logits of the changed model equal to those of the original, |difference| <= tolerance * the largest |logit|;
/// some weight changed, or is turned in each pass; the same bytes the second time; the plan's sites are the blocks'
/// own.
BITLAW_EXPORT std::vector<std::string> TransformFaults(const Transform& transform, const std::string& name,
                                                       const std::function<std::unique_ptr<Model>()>& open,
                                                       const at::Tensor& tokens, double tolerance = 1e-5);

}  // namespace bitlaw::testing
