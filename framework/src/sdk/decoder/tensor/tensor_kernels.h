#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>

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

}  // namespace bitlaw
