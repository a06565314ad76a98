#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/sdk/checkpoint/hf_export.h"
#include "support/tiny_checkpoint.h"

namespace bitlaw {

/// The layer of QuantizedCheckpoint() that is stored quantized, [64, 96].
inline constexpr char kStoredLayer[] = "model.layers.0.mlp.gate_proj";

/// Writes a checkpoint of one block into `folder`, as another program would: kStoredLayer is stored as `tensors`, whose
/// names are those of its parts, and config.json has this quantization_config.
inline void WriteQuantizedCheckpoint(const std::filesystem::path& folder, Value quantization_config,
                                     std::vector<TensorToWrite> tensors) {
  const std::filesystem::path from = folder.string() + ".plain";
  std::filesystem::remove_all(folder);
  WriteTinyCheckpoint(from, {.hidden = 96, .blocks = 1, .mlp = 64});
  std::filesystem::create_directories(folder);
  HfExport out(from);
  out.Replace(std::string(kStoredLayer) + ".weight", std::move(tensors));
  out.SetConfig("quantization_config", std::move(quantization_config));
  out.Write(folder);
  std::filesystem::remove_all(from);
}

}  // namespace bitlaw
