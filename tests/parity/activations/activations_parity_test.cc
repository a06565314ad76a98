// Rounded inputs against compressed-tensors: make_goldens.py says which version, which scales are its own and why no
// tolerance.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "bitlaw/api/quantized_linear.h"

namespace bitlaw {
namespace {

using nlohmann::json;

TEST(ActivationParity, NumbersAreThoseOfCompressedTensors) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/activations/goldens.json");
  const json goldens = json::parse(file);
  ASSERT_EQ(goldens["cases"].size(), 15u);
  const int64_t channels = goldens["channels"];
  const at::Tensor inputs = at::tensor(goldens["inputs"].get<std::vector<float>>(), at::kFloat).view({-1, channels});
  for (const json& golden : goldens["cases"]) {
    const json& of = golden["grid"];
    SCOPED_TRACE(of.dump());
    ActivationGrid grid{.bits = of["bits"].get<int>()};
    grid.symmetric = of.value("symmetric", true);
    grid.per_token = of.value("per_token", true);
    grid.format = InputFormatOf(of.value("format", "int"));
    grid.group_size = of.value("group_size", 0);
    if (!golden["range"].is_null()) grid = grid.WithRange(golden["range"][0].get<float>(), golden["range"][1].get<float>());
    const at::Tensor expected = at::tensor(golden["rounded"].get<std::vector<float>>(), at::kFloat).view_as(inputs);
    const at::Tensor rounded = grid.Round(inputs);
    EXPECT_TRUE(rounded.equal(expected)) << "largest difference " << rounded.sub(expected).abs().max().item<float>();
  }
}

}  // namespace
}  // namespace bitlaw
