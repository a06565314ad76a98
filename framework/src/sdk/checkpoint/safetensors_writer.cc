#include "bitlaw/sdk/checkpoint/safetensors_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/safetensors.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

uint64_t SizeBytes(const TensorToWrite& tensor) {
  const int bits = SafetensorsBits(tensor.dtype);
  if (bits == 0) throw InternalError("tensor '" + tensor.name + "' has the unknown dtype " + tensor.dtype);
  uint64_t elements = 1;
  for (const int64_t size : tensor.shape) elements *= static_cast<uint64_t>(size);
  return (elements * static_cast<uint64_t>(bits) + 7) / 8;
}

class File {
 public:
  explicit File(const fs::path& path) : path_(path), stream_(path, std::ios::binary | std::ios::trunc) { Check(); }

  void Write(const std::string& bytes) {
    errno = 0;
    stream_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    Check();
  }

  void Close() {
    errno = 0;
    stream_.close();
    Check();
  }

 private:
  void Check() const {
    if (stream_) return;
    throw Error(ErrorKind::kIo, path_.string() + ": cannot be written: " + std::strerror(errno) + ".");
  }

  fs::path path_;
  std::ofstream stream_;
};

}  // namespace

void WriteSafetensors(const fs::path& file, std::vector<TensorToWrite> tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    return SafetensorsBits(a.dtype) > SafetensorsBits(b.dtype);
  });
  ordered_json header;
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    if (header.contains(tensor.name)) throw InternalError("tensor '" + tensor.name + "' would be written twice");
    const uint64_t end = offset + SizeBytes(tensor);
    header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t text_size = text.size();
  std::string begin(sizeof text_size, '\0');
  std::memcpy(begin.data(), &text_size, sizeof text_size);
  File out(file);
  out.Write(begin + text);
  for (const TensorToWrite& tensor : tensors) {
    const std::string bytes = tensor.bytes();
    if (bytes.size() != SizeBytes(tensor)) {
      throw InternalError(fmt::format("tensor '{}' has {} bytes, but its shape and dtype {} say {}", tensor.name,
                                      bytes.size(), tensor.dtype, SizeBytes(tensor)));
    }
    out.Write(bytes);
  }
  out.Close();
}

void WriteSafetensorsShards(const fs::path& folder, std::vector<TensorToWrite> tensors, uint64_t max_shard_bytes) {
  std::vector<std::vector<TensorToWrite>> shards(1);
  uint64_t total = 0, in_shard = 0;
  for (TensorToWrite& tensor : tensors) {
    const uint64_t size = SizeBytes(tensor);
    if (in_shard > 0 && in_shard + size > max_shard_bytes) {
      shards.emplace_back();
      in_shard = 0;
    }
    in_shard += size;
    total += size;
    shards.back().push_back(std::move(tensor));
  }
  const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  if (shards.size() == 1) return WriteSafetensors(folder / "model.safetensors", std::move(shards[0]), metadata);
  ordered_json weight_map;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    for (const TensorToWrite& tensor : shards[i]) weight_map[tensor.name] = name;
    WriteSafetensors(folder / name, std::move(shards[i]), metadata);
  }
  File index(folder / "model.safetensors.index.json");
  index.Write(ordered_json{{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}}.dump(2) + "\n");
  index.Close();
}

}  // namespace bitlaw
