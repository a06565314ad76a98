#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bitlaw/sdk/checkpoint/safetensors_writer.h"

namespace bitlaw {

/// One of tests/parity/logits/architectures/*.json.
inline nlohmann::json ArchitectureGolden(const std::string& name) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/logits/architectures/" + name + ".json");
  return nlohmann::json::parse(file);
}

/// weight_values() of make_architectures.py: center + scale u, u in [-1, 1) from the upper 24 bits of splitmix64, begun
/// at the name's FNV-1a hash. Little-endian float32.
inline std::string SeededWeights(const std::string& name, int64_t count, double center, double scale) {
  uint64_t state = 0xCBF29CE484222325u;
  for (const char c : name) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  std::string bytes(static_cast<size_t>(count) * sizeof(float), '\0');
  for (int64_t i = 0; i < count; ++i) {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    const auto value = static_cast<float>(center + scale * (static_cast<double>(z >> 40) / 8388608.0 - 1.0));
    std::memcpy(bytes.data() + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
  }
  return bytes;
}

/// Writes the golden's model as transformers stores it: config.json, model.safetensors, and the tokenizer of the tiny
/// checkpoints beside it.
inline void WriteSeededCheckpoint(const nlohmann::json& golden, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << golden.at("config").dump();
  std::filesystem::copy_file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/logits/tiny_llama/tokenizer.json",
                             folder / "tokenizer.json", std::filesystem::copy_options::overwrite_existing);
  std::vector<TensorToWrite> tensors;
  for (const auto& entry : golden.at("tensors")) {
    const auto name = entry[0].get<std::string>();
    const auto shape = entry[1].get<std::vector<int64_t>>();
    const double center = entry[2].get<double>(), scale = entry[3].get<double>();
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    tensors.push_back({name, "F32", shape, [=] { return SeededWeights(name, count, center, scale); }});
  }
  WriteSafetensors(folder / "model.safetensors", std::move(tensors), {{"format", "pt"}});
}

/// The names of the goldens that show what an architecture or a rotary scaling computes.
inline const std::vector<std::string>& ArchitectureGoldens() {
  static const std::vector<std::string> names = {
      "gemma",      "gemma2",       "gemma3",     "gemma3_images",  "llama_dynamic", "llama_linear", "llama_yarn",
      "mistral",    "mixtral",      "olmo2",      "phi3",           "phi3_longrope", "qwen2_moe",
      "qwen2_window",
      "qwen2_yarn", "qwen3_longrope", "qwen3_moe_dense_blocks", "smollm3",  "smollm3_window"};
  return names;
}

}  // namespace bitlaw
