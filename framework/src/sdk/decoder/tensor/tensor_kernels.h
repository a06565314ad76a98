#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>

#include "sdk/decoder/tensor/decoder_ops.h"
#include "sdk/decoder/tensor/kernels/row_kernels.h"

// Row kernels applied to tensors.

namespace bitlaw {

inline constexpr int64_t kGrainElements = 16384;  // Fewer are not worth a second thread.

inline int64_t Grain(int64_t row_elements) {
  return std::max<int64_t>(1, kGrainElements / std::max<int64_t>(1, row_elements));
}

inline bool HasKernels(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

/// Calls body(kernels, data) with the kernels of x's type, data(tensor) giving its first element in that type.
template <typename Body>
void WithKernels(const at::Tensor& x, const Body& body) {
  if (x.scalar_type() == at::kFloat) {
    body(FloatRowKernels(), [](const at::Tensor& t) { return t.data_ptr<float>(); });
  } else {
    body(Bf16RowKernels(), [](const at::Tensor& t) { return static_cast<Bf16*>(t.data_ptr()); });
  }
}

/// A row of scores becomes the softmax of what its query sees: the last keys of scores[0, seen), as many as the window
/// has. The others, up to `width`, become zero.
template <typename T>
void SoftmaxOfSeen(const RowKernels<T>& kernels, T* scores, int64_t seen, int64_t width, const AttentionSetting& setting,
                   float* scratch) {
  const int64_t first = setting.window > 0 ? std::max<int64_t>(0, seen - setting.window) : 0;
  if (setting.softcap > 0) kernels.soft_cap(scores + first, seen - first, static_cast<float>(setting.softcap));
  kernels.softmax(scores + first, seen - first, width - first, scratch);
  std::fill_n(scores, first, T{});
}

}  // namespace bitlaw
