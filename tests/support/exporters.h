#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/fingerprint.h"
#include "bitlaw/sdk/checkpoint/mapped_file.h"
#include "bitlaw/sdk/checkpoint/safetensors.h"
#include "plugin/host.h"

namespace bitlaw {

/// An exporter of the built plugins, from its options as a user gives them.
inline std::unique_ptr<Exporter> MakeExporter(const std::string& name, const Value::Map& options = {}) {
  static PluginHost* host = [] {
    auto* made = new PluginHost(OwnFingerprint());
    for (const char* one : {"dense", "gptq_v2", "compressed_tensors", "gguf"}) {
      const std::string path = std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_exporter_" + one + ".so";
      if (std::filesystem::exists(path)) made->LoadFile(path);  // A test builds those that it uses.
    }
    return made;
  }();
  const Component& component = host->Find(ComponentKind::kExporter, name);
  return host->MakeExporter(name, component.schema.Resolve(Value(options), component.full_name()));
}

/// A layer whose numbers follow from their place: code(o, j) = (7 o + 5 j + o j) mod 2^bits, zero(o, g) = (o + 3 g) mod
/// 2^bits, or the middle code if symmetric, scale(o, g) = (1 + (o mod 4) + g / 4) / 64, exact in float16.
inline QuantizedLinear PlacedLayer(int64_t rows, int64_t columns, int64_t group, int bits, bool symmetric) {
  const at::Tensor o = at::arange(rows).unsqueeze(1), j = at::arange(columns).unsqueeze(0);
  const at::Tensor g = at::arange((columns + group - 1) / group).unsqueeze(0);
  QuantizedLinear q;
  q.bits = bits;
  q.symmetric = symmetric;
  q.group_size = group;
  q.codes = (o * 7 + j * 5 + o * j).remainder(1 << bits).to(at::kByte);
  q.zeros = symmetric ? at::full({rows, g.size(1)}, 1 << (bits - 1), at::kByte)
                      : (o + g * 3).remainder(1 << bits).to(at::kByte);
  q.scales = (o.remainder(4) + 1 + g.to(at::kFloat) / 4).to(at::kFloat) / 64;
  q.group_index = at::arange(columns, at::kInt).div(group, "floor").to(at::kInt);
  q.scale_dtype = "float16";
  return q;
}

/// The tensors of a safetensors file, by name.
class StoredTensors {
 public:
  explicit StoredTensors(const std::filesystem::path& path) : file_(MappedFile::Open(path)) {
    for (SafetensorsEntry& entry : ReadSafetensorsHeader(*file_)) entries_[entry.name] = entry;
  }
  const std::map<std::string, SafetensorsEntry>& entries() const { return entries_; }
  std::string Bytes(const std::string& name) const {
    const SafetensorsEntry& entry = entries_.at(name);
    return {reinterpret_cast<const char*>(file_->bytes()) + entry.offset_bytes, static_cast<size_t>(entry.size_bytes)};
  }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, SafetensorsEntry> entries_;
};

}  // namespace bitlaw
