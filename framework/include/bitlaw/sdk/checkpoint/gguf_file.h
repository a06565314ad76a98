#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/sdk/checkpoint/mapped_file.h"

namespace bitlaw {

/// How ggml stores the elements of a tensor: `block_elements` of them in `block_bytes`.
struct BITLAW_EXPORT GgmlType {
  uint32_t id;
  const char* name;
  uint32_t block_elements;
  uint32_t block_bytes;
  bool is_readable;  ///< model/gguf dequantizes it.
};

/// Null for an id that ggml does not have.
BITLAW_EXPORT const GgmlType* FindGgmlType(uint32_t id);
/// The names of those that model/gguf reads, by id.
BITLAW_EXPORT std::vector<std::string> ReadableGgmlTypes();

struct BITLAW_EXPORT GgufTensor {
  std::string name;
  std::vector<int64_t> shape;  ///< Slowest dimension first, as in safetensors: the reverse of the file's order.
  const GgmlType* type = nullptr;
  uint64_t offset_bytes = 0;   ///< From the start of the file.
  uint64_t size_bytes = 0;
};

/// The metadata and tensor headers of a GGUF file, version 2 or 3. No byte of a weight is touched, and metadata stay
/// in the mapping: an array is decoded when it is asked for.
///
/// Errors   Error(kIo) "path: what. ..." for anything that does not fit in the file or disagrees with itself: counts,
///          lengths, nesting, types, alignment, places, names that appear twice.
/// Source   https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
class BITLAW_EXPORT GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  const std::shared_ptr<const MappedFile>& file() const { return file_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  std::string where() const { return file_->path().string(); }

  bool Has(const std::string& key) const { return metadata_.count(key) > 0; }
  std::vector<std::string> Keys(const std::string& prefix) const;  ///< Those that begin with `prefix`, sorted.
  /// Every key with its value as the file has it, type and all, sorted by key.
  std::vector<std::pair<std::string, std::string_view>> StoredMetadata() const;
  /// The value of `key`, or nullopt if the file lacks it; Error(kIo) if it has another type.
  std::optional<int64_t> Int(const std::string& key) const;  ///< Any integer type.
  std::optional<double> Real(const std::string& key) const;  ///< Any number.
  std::optional<bool> Bool(const std::string& key) const;
  std::optional<std::string_view> String(const std::string& key) const;
  std::optional<std::vector<std::string_view>> Strings(const std::string& key) const;
  std::optional<std::vector<int32_t>> Ints(const std::string& key) const;
  std::optional<std::vector<float>> Reals(const std::string& key) const;  ///< Of float32.

 private:
  class Reader;
  struct Entry {
    uint32_t type = 0;
    uint32_t element_type = 0;  ///< Arrays only.
    uint64_t count = 0;         ///< Arrays only.
    uint64_t offset_bytes = 0;  ///< Of the value, or of the first element.
    uint64_t begin_bytes = 0, end_bytes = 0;  ///< Of type and value.
  };
  const Entry* Find(const std::string& key) const;
  [[noreturn]] void WrongType(const std::string& key, const Entry& entry, const char* must_be) const;

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Entry> metadata_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace bitlaw
