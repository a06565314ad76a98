#include "sdk/decoder/tensor/device_kernels.h"

#include <ATen/ATen.h>

#include "decoder_kernels_source.h"

namespace bitlaw {

DeviceCode& DecoderKernels() {
  static DeviceCode code("the decoder", kDecoderKernels);
  return code;
}

bool HasDeviceKernels(const at::Tensor& x) {
  return x.is_cuda() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         DecoderKernels().RunsOn(x.device());
}

}  // namespace bitlaw
