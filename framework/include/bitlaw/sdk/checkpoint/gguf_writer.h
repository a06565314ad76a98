#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/sdk/checkpoint/gguf_file.h"

namespace bitlaw {

/// One tensor that is to be written.
struct BITLAW_EXPORT GgufTensorToWrite {
  std::string name;
  const GgmlType* type = nullptr;
  std::vector<int64_t> shape;  ///< Slowest dimension first.
  /// Its bytes, block after block. Called once, when its turn in the file has come, so that one tensor at a time is in
  /// memory.
  std::function<std::string()> bytes;
};

/// A GGUF file of version 3 on its way to the disk: metadata and tensors in the order in which they came. A key that is
/// set again keeps its place.
///
/// Source   https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
class BITLAW_EXPORT GgufWriter {
 public:
  void Set(const std::string& key, uint32_t value);
  void Set(const std::string& key, float value);
  void Set(const std::string& key, bool value);
  void Set(const std::string& key, const char* value) { Set(key, std::string(value)); }
  void Set(const std::string& key, const std::string& value);
  void Set(const std::string& key, const std::vector<std::string>& values);
  void Set(const std::string& key, const std::vector<int32_t>& values);
  void Set(const std::string& key, const std::vector<float>& values);
  /// A value of another file: GgufFile::StoredMetadata().
  void SetStored(const std::string& key, std::string_view type_and_value);

  void Add(GgufTensorToWrite tensor) { tensors_.push_back(std::move(tensor)); }
  const std::vector<GgufTensorToWrite>& tensors() const { return tensors_; }

  /// Tensors begin at multiples of general.alignment, 32 unless it is set. The file is there once all of it is on the disk,
  /// and not before.
  /// Errors   Error(kIo) with the system's reason; InternalError for a name that stands twice, rows that are no whole
  ///          blocks, or bytes that are not as many as shape and type say.
  void Write(const std::filesystem::path& file) const;

 private:
  std::vector<std::pair<std::string, std::string>> metadata_;  // Type and value.
  std::vector<GgufTensorToWrite> tensors_;
  uint64_t alignment_ = 32;
};

}  // namespace bitlaw
