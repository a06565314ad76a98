#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// One tensor that is to be written.
struct BITLAW_EXPORT TensorToWrite {
  std::string name;
  std::string dtype;  ///< "F32", "BF16", "I32", ...
  std::vector<int64_t> shape;
  /// Its bytes, little-endian, row after row. Called once, when its turn in the file has come, so that one tensor at a
  /// time is in memory.
  std::function<std::string()> bytes;
};

/// Writes a safetensors file. `metadata` becomes its "__metadata__". Data begins at a multiple of 8 bytes and tensors
/// follow each other in the order given, elements of 8 bytes first, then 4, 2 and 1, so that each is aligned. One tensor
/// at a time is in memory. The file is there once all of it is on the disk, and not before; missing folders are made.
///
/// Errors   Error(kIo) with the system's reason; InternalError for a name that stands twice, an unknown dtype, or bytes
///          that are not as many as shape and dtype say.
BITLAW_EXPORT void WriteSafetensors(const std::filesystem::path& file, std::vector<TensorToWrite> tensors,
                                    const std::map<std::string, std::string>& metadata);

/// Writes "model.safetensors" into `folder`, or, beyond `max_shard_bytes` of data, "model-00001-of-00003.safetensors"
/// and the like with "model.safetensors.index.json" beside them, as Hugging Face checkpoints have it. Tensors stay in
/// the order given, as whole ones in a shard. Metadata: {"format": "pt"}, without which transformers opens no file.
BITLAW_EXPORT void WriteSafetensorsShards(const std::filesystem::path& folder, std::vector<TensorToWrite> tensors,
                                          uint64_t max_shard_bytes = 5'000'000'000);

}  // namespace bitlaw
