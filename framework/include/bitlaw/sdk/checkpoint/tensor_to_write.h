#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/checkpoint/hf_export.h"
#include "bitlaw/sdk/checkpoint/safetensors_writer.h"

namespace bitlaw {

/// "F32" of at::kFloat. InternalError for a dtype that safetensors files do not name.
BITLAW_EXPORT std::string SafetensorsDtype(at::ScalarType dtype);

/// `tensor` as it is, which it keeps alive.
BITLAW_EXPORT TensorToWrite WriteTensor(std::string name, const at::Tensor& tensor);

/// A tensor of this dtype and shape that `make` computes when its turn has come.
BITLAW_EXPORT TensorToWrite WriteLater(std::string name, at::ScalarType dtype, at::IntArrayRef shape,
                                       std::function<at::Tensor()> make);

/// Codes [R, C] uint8 as words along C, each row in words of its own: [R, ceil(C * bits / 32)] int32. PackRowsInWords().
BITLAW_EXPORT at::Tensor PackedRows(const at::Tensor& codes, int bits);

/// An export with which an exporter of Hugging Face folders begins: norms and biases that transforms changed are in
/// their places. Error(kUnsupported) "exporter '`name`': ..." with its reason, or the checkpoint's.
BITLAW_EXPORT HfExport BeginHfExport(const Exporter& exporter, const std::string& name,
                                     const std::filesystem::path& checkpoint, const ExportModel& model);

}  // namespace bitlaw
