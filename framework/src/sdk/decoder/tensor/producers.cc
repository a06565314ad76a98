#include "bitlaw/sdk/decoder/producers.h"

#include <ATen/ATen.h>

#include <utility>

namespace bitlaw {
namespace {

// In float64 and then rounded once to the type of `weight`. scale broadcasts over it.
at::Tensor Divided(const at::Tensor& weight, const at::Tensor& scale, double offset) {
  const at::Tensor exact = weight.to(at::kDouble).add(offset).div(scale.to(weight.device(), at::kDouble));
  return exact.sub(offset).to(weight.scalar_type());
}

}  // namespace

NormProducer::NormProducer(at::Tensor& weight, double offset)
    : weight_(weight), offset_(offset), channels_(at::arange(weight.size(0), at::kLong)) {}

void NormProducer::Divide(const at::Tensor& scale) { weight_ = Divided(weight_, scale, offset_); }

LinearProducer::LinearProducer(Linear& linear, at::Tensor channels)
    : linear_(linear),
      channels_(channels.defined() ? std::move(channels) : at::arange(linear.shape().out_features, at::kLong)) {}

void LinearProducer::Divide(const at::Tensor& scale) {
  const at::Tensor& bias = linear_.bias();
  linear_.Replace(Divided(linear_.weight(), scale.unsqueeze(1), 0),  // [C_out, C_in]
                  bias.defined() ? Divided(bias, scale, 0) : at::Tensor());
}

at::Tensor ValueChannels(int64_t heads, int64_t kv_heads, int64_t head_dim) {
  const at::Tensor value_head = at::arange(heads, at::kLong).floor_divide(heads / kv_heads).unsqueeze(1);  // [H, 1]
  return (value_head * head_dim + at::arange(head_dim, at::kLong)).flatten();                              // [H Dh]
}

}  // namespace bitlaw
