#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bitlaw/api/model.h"
#include "bitlaw/api/torch_errors.h"

namespace bitlaw {

at::Tensor Block::Forward(const at::Tensor& hidden, const ForwardContext& context) {
  BlockState state;
  state.residual = hidden;  // [B, T, D]
  for (int stage = 0; stage <= num_stages(); ++stage) Step(stage, state, context, {});
  return state.residual;  // [B, T, D]
}

at::Tensor Model::Forward(const at::Tensor& tokens, const ForwardContext& context) {
  return WithTorchErrors(summary().name, [&] {
    const at::NoGradGuard no_grad;
    at::Tensor hidden = Embed(tokens);  // [B, T, D]
    for (int64_t i = 0; i < summary().num_blocks; ++i) hidden = block(i).Forward(hidden, context);
    if (context.cache != nullptr) context.cache->Advance(context.runs);
    return hidden;  // [B, T, D]
  });
}

}  // namespace bitlaw
