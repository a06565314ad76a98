#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/exporter.h"
#include "bitlaw/base/export.h"

namespace bitlaw::testing {

/// What an exporter is tried with.
struct ExporterTrial {
  std::filesystem::path checkpoint;  ///< The model that was quantized; an exporter that reads nothing of it takes "".
  ModelSummary summary;              ///< Of the checkpoint. Its linears are what is quantized.
  std::filesystem::path folder;      ///< A folder for what is written; it is left as it was found.
  /// A norm or a bias of the checkpoint with another value, as a transform leaves it; without it such are not tried.
  std::optional<std::pair<std::string, at::Tensor>> other_weight{};
  /// What a program that opens `folder` takes the weight of a layer for, [C_out, C_in] float32. Null: not tried.
  std::function<at::Tensor(const std::filesystem::path& folder, const LinearShape& layer)> read{};
};

/// What an exporter does against the promises of exporter.h, one sentence an entry; empty if it keeps them.
///
/// Random weights of the summary's layers are rounded to integers of 2, 3, 4 and 8 bits, with zero points and without,
/// in groups of 32 where they divide every row, and row by row. Tried: ExplainUnsupported() and Export() agree; files
/// appear, the same bytes twice; the codes that are given stay as they are; another code, another scale, rounded
/// inputs, a rounded KV cache and a changed weight each either change what is written or are refused, for otherwise the
/// file would be of another model; a reader's weights are those of Dequantize().
BITLAW_EXPORT std::vector<std::string> ExporterFaults(const Exporter& exporter, const std::string& name,
                                                      const ExporterTrial& trial);

}  // namespace bitlaw::testing
