#pragma once

#include <ATen/core/Tensor.h>

#include "bitlaw/api/model.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// The weight of a norm as a producer: input j is (weight[j] + offset) times something that no weight changes. `offset`
/// is 1 for norms that multiply by 1 + weight.
class BITLAW_EXPORT NormProducer final : public Producer {
 public:
  /// `weight` [C_in] is the block's own and outlives the producer.
  explicit NormProducer(at::Tensor& weight, double offset = 0);
  const at::Tensor& channels() const override { return channels_; }
  /// weight[j] = (weight[j] + offset) / scale[j] - offset
  void Divide(const at::Tensor& scale) override;

 private:
  at::Tensor& weight_;
  double offset_;
  at::Tensor channels_;
};

/// The rows of a linear layer as a producer: each of its outputs reaches the site's input times something that the
/// layer has no part in (attention weights, an activated gate), so that a scale passes through.
class BITLAW_EXPORT LinearProducer final : public Producer {
 public:
  /// `linear` is the block's own and outlives the producer. channels [C_in] as in Producer; undefined: 0 .. C_out - 1.
  explicit LinearProducer(Linear& linear, at::Tensor channels = {});
  const at::Tensor& channels() const override { return channels_; }
  /// Row c of the weight, and its bias, divided by scale[c]. InternalError once the layer is quantized.
  void Divide(const at::Tensor& scale) override;

 private:
  Linear& linear_;
  at::Tensor channels_;
};

/// Which value channel each input of an output projection comes from: `heads` query heads over `kv_heads` value heads
/// of `head_dim`. [heads * head_dim] int64
BITLAW_EXPORT at::Tensor ValueChannels(int64_t heads, int64_t kv_heads, int64_t head_dim);

}  // namespace bitlaw
