#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "bitlaw/sdk/machine/device_code.h"

// Launches of the kernels of decoder_kernels.cu.

namespace bitlaw {

/// Whether they run on tensors like x: float32 or bfloat16 on a CUDA device for which they can be compiled.
bool HasDeviceKernels(const at::Tensor& x);

DeviceCode& DecoderKernels();

/// Launches `kernel`, in the variant of x's type, where x is.
template <typename... Arguments>
void LaunchFor(const at::Tensor& x, const char* kernel, int64_t blocks, int64_t threads, Arguments... arguments) {
  const std::string name = std::string(kernel) + (x.scalar_type() == at::kFloat ? "Float" : "Bf16");
  DecoderKernels().Launch(x.device(), name.c_str(), blocks, threads, 0, arguments...);
}

}  // namespace bitlaw
