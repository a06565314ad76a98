// NF4 against bitsandbytes' table and onnxruntime's quantizer: make_goldens.py says which versions and why no tolerance.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/sdk/grids/integer_grid.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

using nlohmann::json;

const json& Goldens() {
  static const json goldens = [] {
    std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/nf4/goldens.json");
    return json::parse(file);
  }();
  return goldens;
}

template <class T>
at::Tensor Matrix(const json& rows, at::ScalarType type) {
  std::vector<T> flat;
  for (const json& row : rows) {
    for (const json& one : row) flat.push_back(one.get<T>());
  }
  return at::from_blob(flat.data(), {static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())}, type)
      .clone();
}

TEST(Nf4Parity, LevelsAreThoseOfBitsandbytes) {
  const auto grid = MakeGrid("nf4", {});
  ASSERT_EQ(grid->levels().size(), 16u);
  for (size_t c = 0; c < 16; ++c) EXPECT_EQ(grid->levels()[c], Goldens()["levels"][c].get<float>()) << c;
}

TEST(Nf4Parity, CodesAndScalesAreThoseOfOnnxruntime) {
  const auto grid = MakeGrid("nf4", {});
  ASSERT_EQ(Goldens()["cases"].size(), 2u);
  for (const json& golden : Goldens()["cases"]) {
    const at::Tensor weight = Matrix<float>(golden["weight"], at::kFloat);
    const QuantizedLinear q = RoundToNearest(*grid, weight, golden["group_size"], "layer");
    EXPECT_TRUE(at::equal(q.scales, Matrix<float>(golden["absmax"], at::kFloat)));
    EXPECT_TRUE(at::equal(q.codes, Matrix<uint8_t>(golden["codes"], at::kByte)));
    EXPECT_EQ(q.levels.numel(), 16);
  }
}

}  // namespace
}  // namespace bitlaw
