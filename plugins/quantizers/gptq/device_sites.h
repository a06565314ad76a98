#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/quantizer.h"
#include "gptq.h"

namespace bitlaw {

/// GPTQ of several sites whose readers have the same shapes, where their weights are, for which WalksOn() is true: what
/// gptq.h says of one layer, with one factorization, one walk and one copy of its checks and diagnostics for all of
/// them. The rows of a site's readers are walked as those of one matrix.
///
/// Every operation is done to each site by itself, so that the results are those of one site after another, but for what
/// a device's libraries do otherwise for several matrices.
/// Returns  an entry a site, in it one a reader; tensors stay on the device.
/// Errors   as GptqQuantizer::Quantize(), of the first layer that has one.
std::vector<std::vector<QuantizedLinear>> QuantizeOnDevice(const GptqSettings& settings,
                                                           std::span<const SiteInput> sites);

}  // namespace bitlaw
