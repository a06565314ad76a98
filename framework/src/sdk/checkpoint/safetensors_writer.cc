#include "bitlaw/sdk/checkpoint/safetensors_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "base/files/durable_file.h"
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

}  // namespace

void WriteSafetensors(const fs::path& file, std::vector<TensorToWrite> tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    return SafetensorsBits(a.dtype) > SafetensorsBits(b.dtype);
  });
  ordered_json header = ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  // An ordered_json looks through all it has for each name; experts have a hundred thousand tensors.
  auto& entries = header.get_ref<ordered_json::object_t&>();
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      throw InternalError("tensor '" + tensor.name + "' would be written twice");
    }
    const uint64_t end = offset + SizeBytes(tensor);
    entries.emplace_back(tensor.name, ordered_json{{"dtype", tensor.dtype}, {"shape", tensor.shape},
                                                   {"data_offsets", {offset, end}}});
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t text_size = text.size();
  std::string begin(sizeof text_size, '\0');
  std::memcpy(begin.data(), &text_size, sizeof text_size);
  DurableFile out(file);
  out.Write(begin + text);
  for (const TensorToWrite& tensor : tensors) {
    const std::string bytes = tensor.bytes();
    if (bytes.size() != SizeBytes(tensor)) {
      throw InternalError(fmt::format("tensor '{}' has {} bytes, but its shape and dtype {} say {}", tensor.name,
                                      bytes.size(), tensor.dtype, SizeBytes(tensor)));
    }
    out.Write(bytes);
  }
  out.Commit();
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
  WriteDurably(folder / "model.safetensors.index.json",
               ordered_json{{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}}.dump(2) + "\n");
}

}  // namespace bitlaw
