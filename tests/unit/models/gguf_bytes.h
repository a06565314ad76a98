#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "unit/models/file_fixture.h"

namespace bitlaw {

/// Pieces of a GGUF file, for tests that write one or change one.
namespace gguf_bytes {

enum : uint32_t { kUint32 = 4, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9, kUint64 = 10 };

inline std::string Text(const std::string& text) { return Le<uint64_t>(text.size()) + text; }
inline std::string Key(const std::string& key, uint32_t type, const std::string& value) {
  return Text(key) + Le<uint32_t>(type) + value;
}
inline std::string Tensor(const std::string& name, const std::vector<uint64_t>& sizes, uint32_t type,
                          uint64_t offset) {
  std::string bytes = Text(name) + Le<uint32_t>(static_cast<uint32_t>(sizes.size()));
  for (const uint64_t size : sizes) bytes += Le(size);
  return bytes + Le(type) + Le(offset);
}

inline void Count(std::string& file, size_t at, uint64_t more) {
  uint64_t count;
  std::memcpy(&count, file.data() + at, 8);
  count += more;
  std::memcpy(file.data() + at, &count, 8);
}

/// `file` with more metadata keys, and a tensor header at the front of the others where one is given. A key named
/// "pad.<n>" makes what is added a multiple of 32 bytes, so that the data stay where their offsets say.
inline std::string With(std::string file, const std::vector<std::string>& keys, const std::string& first_tensor = "",
                        const std::string& tensor = "") {
  if (!tensor.empty()) {
    file.insert(file.find(Text(first_tensor)), tensor);
    Count(file, 8, 1);
  }
  std::string added;
  for (const std::string& key : keys) added += key;
  const std::string pad_name = "pad." + std::to_string(file.size());
  const size_t bytes = added.size() + tensor.size() + Key(pad_name, kString, Text("")).size();
  added += Key(pad_name, kString, Text(std::string((32 - bytes % 32) % 32, ' ')));
  Count(file, 16, keys.size() + 1);
  return file.insert(24, added);
}

}  // namespace gguf_bytes
}  // namespace bitlaw
