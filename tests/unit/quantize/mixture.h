#pragma once

#include <ATen/ATen.h>

#include "quantize/quantize_model.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {

/// Four calibration sequences of eight tokens of SmallConfig()'s vocabulary.
inline TokenSequences SomeSequences() {
  TokenSequences sequences{4, 8, {}};
  const at::Tensor tokens = SomeTokens(4, 8).to(at::kInt).contiguous();
  sequences.ids.assign(tokens.data_ptr<int32_t>(), tokens.data_ptr<int32_t>() + tokens.numel());
  return sequences;
}

/// Two blocks of three experts, of which each token is routed to one.
inline DecoderConfig Mixture() {
  DecoderConfig config = SmallConfig();
  config.num_experts = 3;
  config.experts_per_token = 1;
  return config;
}

}  // namespace bitlaw
