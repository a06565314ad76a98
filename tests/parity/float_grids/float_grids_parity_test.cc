// Floating-point grids against compressed-tensors, torchao and torch: make_goldens.py says which versions and why no
// tolerance.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/sdk/grids/integer_grid.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

using nlohmann::json;

at::Tensor Matrix(const json& rows) {
  std::vector<float> flat;
  for (const json& row : rows) {
    for (const json& one : row) flat.push_back(one.get<float>());
  }
  return at::tensor(flat, at::kFloat).view({static_cast<int64_t>(rows.size()), -1});
}

TEST(FloatGridParity, ScalesAndValuesAreThoseOfPublicPrograms) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/float_grids/goldens.json");
  const json goldens = json::parse(file);
  ASSERT_EQ(goldens["cases"].size(), 26u);
  for (const json& golden : goldens["cases"]) {
    const std::string grid = golden["grid"];
    SCOPED_TRACE(grid + " " + golden["options"].dump() + ", groups of " + golden["group_size"].dump() + ", weights '" +
                 golden["weight"].get<std::string>() + "', by " + golden["by"].get<std::string>());
    Value::Map options;
    for (const auto& [name, value] : golden["options"].items()) options.emplace_back(name, value.get<std::string>());
    const at::Tensor weight = Matrix(goldens["weights"][golden["weight"].get<std::string>()]);
    const QuantizedLinear q = RoundToNearest(*MakeGrid(grid, options), weight, golden["group_size"], "layer");
    LinearShape shape;
    shape.name = "layer";
    shape.out_features = weight.size(0);
    shape.in_features = weight.size(1);
    q.Validate(shape);
    EXPECT_EQ(q.scale_divisor, golden["divisor"].get<float>());
    const at::Tensor scales = Matrix(golden["scales"]);
    EXPECT_TRUE(q.StoredScales().equal(scales.expand_as(q.scales))) << q.StoredScales() << scales;
    const at::Tensor values = q.levels.index_select(0, q.codes.flatten().to(at::kLong)).view_as(weight);
    EXPECT_TRUE(values.equal(Matrix(golden["values"])));
  }
}

}  // namespace
}  // namespace bitlaw
