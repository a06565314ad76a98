#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

#include "bitlaw/base/export.h"
#include "bitlaw/sdk/checkpoint/safetensors_writer.h"

namespace bitlaw {

/// "F32" of at::kFloat. InternalError for a dtype that safetensors files do not name.
BITLAW_EXPORT std::string SafetensorsDtype(at::ScalarType dtype);

/// `tensor` as it is, which it keeps alive.
BITLAW_EXPORT TensorToWrite WriteTensor(std::string name, const at::Tensor& tensor);

/// A tensor of this dtype and shape that `make` computes when its turn has come.
BITLAW_EXPORT TensorToWrite WriteLater(std::string name, at::ScalarType dtype, at::IntArrayRef shape,
                                       std::function<at::Tensor()> make);

}  // namespace bitlaw
