#include "dequantize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace bitlaw {
namespace {

std::vector<std::byte> Bytes(const std::string& hex) {
  std::vector<std::byte> bytes(hex.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  return bytes;
}

const GgmlType& TypeNamed(const std::string& name) {
  for (uint32_t id = 0; id < 64; ++id) {
    if (const GgmlType* type = FindGgmlType(id); type != nullptr && type->name == name) return *type;
  }
  throw std::runtime_error("no ggml type " + name);
}

TEST(Dequantize, EqualsTheGgufPackageToTheBit) {
  std::ifstream file(BITLAW_SOURCE_DIR "/tests/parity/logits/dequantized.json");
  const auto golden = nlohmann::json::parse(file);
  ASSERT_EQ(golden.at("types").size(), 15u);
  for (const auto& [name, blocks] : golden.at("types").items()) {
    const GgmlType& type = TypeNamed(name);
    const std::vector<std::byte> stored = Bytes(blocks.at("blocks")), expected = Bytes(blocks.at("values"));
    const size_t elements = stored.size() / type.block_bytes * type.block_elements;
    ASSERT_EQ(expected.size(), elements * 4) << name;
    std::vector<float> values(elements);
    Dequantize(type, stored.data(), 0, elements, values.data());
    EXPECT_EQ(std::memcmp(values.data(), expected.data(), expected.size()), 0) << name;
    // A part that begins inside gives the same numbers.
    std::vector<float> part(type.block_elements);
    Dequantize(type, stored.data(), type.block_elements, 2 * type.block_elements, part.data());
    EXPECT_EQ(std::memcmp(part.data(), values.data() + type.block_elements, 4 * part.size()), 0) << name;
  }
}

}  // namespace
}  // namespace bitlaw
