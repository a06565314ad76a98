#include "bitlaw/sdk/checkpoint/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

enum : uint32_t { kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9 };
constexpr const char* kAlignment = "general.alignment";

template <class T>
std::string Raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string Text(std::string_view text) { return Raw(static_cast<uint64_t>(text.size())).append(text); }

uint64_t SizeBytes(const GgufTensorToWrite& tensor) {
  uint64_t elements = 1;
  for (const int64_t size : tensor.shape) elements *= static_cast<uint64_t>(size);
  if (tensor.shape.empty() || static_cast<uint64_t>(tensor.shape.back()) % tensor.type->block_elements != 0) {
    throw InternalError(
        fmt::format("tensor '{}' has rows that are no whole blocks of {}", tensor.name, tensor.type->name));
  }
  return elements / tensor.type->block_elements * tensor.type->block_bytes;
}

uint64_t RoundedUp(uint64_t size, uint64_t by) { return (size + by - 1) / by * by; }

}  // namespace

void GgufWriter::SetStored(const std::string& key, std::string_view type_and_value) {
  if (key == kAlignment && type_and_value.size() == 8) std::memcpy(&alignment_, type_and_value.data() + 4, 4);
  for (auto& [known, value] : metadata_) {
    if (known == key) {
      value = type_and_value;
      return;
    }
  }
  metadata_.emplace_back(key, type_and_value);
}

void GgufWriter::Set(const std::string& key, uint32_t value) { SetStored(key, Raw<uint32_t>(kUint32) + Raw(value)); }
void GgufWriter::Set(const std::string& key, float value) { SetStored(key, Raw<uint32_t>(kFloat32) + Raw(value)); }
void GgufWriter::Set(const std::string& key, bool value) {
  SetStored(key, Raw<uint32_t>(kBool) + Raw(static_cast<uint8_t>(value)));
}
void GgufWriter::Set(const std::string& key, const std::string& value) {
  SetStored(key, Raw<uint32_t>(kString) + Text(value));
}

void GgufWriter::Set(const std::string& key, const std::vector<std::string>& values) {
  std::string all = Raw<uint32_t>(kArray) + Raw<uint32_t>(kString) + Raw(static_cast<uint64_t>(values.size()));
  for (const std::string& value : values) all += Text(value);
  SetStored(key, all);
}

void GgufWriter::Set(const std::string& key, const std::vector<int32_t>& values) {
  std::string all = Raw<uint32_t>(kArray) + Raw<uint32_t>(kInt32) + Raw(static_cast<uint64_t>(values.size()));
  for (const int32_t value : values) all += Raw(value);
  SetStored(key, all);
}

void GgufWriter::Set(const std::string& key, const std::vector<float>& values) {
  std::string all = Raw<uint32_t>(kArray) + Raw<uint32_t>(kFloat32) + Raw(static_cast<uint64_t>(values.size()));
  for (const float value : values) all += Raw(value);
  SetStored(key, all);
}

void GgufWriter::Write(const std::filesystem::path& file) const {
  std::string header = "GGUF" + Raw<uint32_t>(3) + Raw(static_cast<uint64_t>(tensors_.size())) +
                       Raw(static_cast<uint64_t>(metadata_.size()));
  for (const auto& [key, value] : metadata_) header += Text(key) + value;
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const GgufTensorToWrite& tensor : tensors_) {
    if (!names.insert(tensor.name).second) throw InternalError("tensor '" + tensor.name + "' would be written twice");
    header += Text(tensor.name) + Raw(static_cast<uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
      header += Raw(static_cast<uint64_t>(*size));
    }
    header += Raw(tensor.type->id) + Raw(offset);
    offset += RoundedUp(SizeBytes(tensor), alignment_);
  }
  header.resize(RoundedUp(header.size(), alignment_), '\0');
  DurableFile out(file);
  out.Write(header);
  for (const GgufTensorToWrite& tensor : tensors_) {
    std::string bytes = tensor.bytes();
    if (bytes.size() != SizeBytes(tensor)) {
      throw InternalError(fmt::format("tensor '{}' has {} bytes, but its shape and type {} say {}", tensor.name,
                                      bytes.size(), tensor.type->name, SizeBytes(tensor)));
    }
    bytes.resize(RoundedUp(bytes.size(), alignment_), '\0');
    out.Write(bytes);
  }
  out.Commit();
}

}  // namespace bitlaw
