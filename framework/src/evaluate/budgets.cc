#include "evaluate/budgets.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "bitlaw/sdk/machine/device_code.h"

namespace bitlaw {
namespace {

// What a block's linear layers read and write for one token.
int64_t ActivationBytes(const Model& model) {
  int64_t features = 0;
  for (const LinearShape& linear : model.summary().linears) {
    if (linear.block == 0) features += linear.in_features + linear.out_features;
  }
  return std::max<int64_t>(1, features) * (model.compute().dtype == Dtype::kFloat32 ? 4 : 2);
}

}  // namespace

EvaluateOptions WithBudgets(EvaluateOptions options, Model& model) {
  int64_t tokens = 2048, kv_bytes = int64_t{1} << 30, logits_bytes = int64_t{1} << 27;
  if (const auto free = FreeDeviceMemory(at::Device(model.compute().device))) {
    tokens = std::clamp<int64_t>(*free / 8 / ActivationBytes(model), 2048, 16384);
    kv_bytes = std::max(kv_bytes / 4, *free / 4);
    logits_bytes = std::clamp<int64_t>(*free / 16, logits_bytes, int64_t{4} << 30);
  }
  if (options.batch_tokens == 0) options.batch_tokens = tokens;
  if (options.kv_budget_bytes == 0) options.kv_budget_bytes = kv_bytes;
  if (options.logits_budget_bytes == 0) options.logits_budget_bytes = logits_bytes;
  return options;
}

}  // namespace bitlaw
