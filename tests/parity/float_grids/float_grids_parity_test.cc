// Floating-point grids against compressed-tensors, torchao and torch, and layers of one input against llm-compressor:
// make_goldens.py and make_site_goldens.py say which versions and why no tolerance.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/sdk/grids/float_format.h"
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

// The bits of E2M1, two a byte, the first in the low half. A weight below zero that becomes 0 is -0 there and 0 here.
at::Tensor UnpackedE2m1(const at::Tensor& bytes) {
  const at::Tensor bits = at::stack({bytes.bitwise_and(15), bytes.bitwise_right_shift(4)}, 2).flatten(1);
  return bits.masked_fill(bits == 8, 0);
}

TEST(FloatGridParity, LayersOfOneInputHaveTheTensorScaleThatLlmCompressorGivesThem) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/float_grids/site_goldens.json");
  const json goldens = json::parse(file);
  ASSERT_EQ(goldens["sites"].size(), 4u);
  const auto rtn = MakeQuantizer("rtn", {{"group_size", 16}});
  rtn->TakeGrid(MakeGrid("nvfp4", {}));
  for (const json& layers : goldens["sites"]) {
    SiteShape site;
    std::vector<at::Tensor> weights;
    for (const json& layer : layers) {
      weights.push_back(Matrix(layer["weight_1024"]).div(1024));
      site.readers.push_back({.name = layer["name"], .in_features = weights.back().size(1),
                              .out_features = weights.back().size(0)});
    }
    std::vector<QuantizedLinear> results(layers.size());
    if (!rtn->QuantizeSite(site, weights, {}, results)) results[0] = rtn->Quantize(site.readers[0], weights[0], {});
    for (size_t i = 0; i < layers.size(); ++i) {
      SCOPED_TRACE(site.readers[i].name);
      const json& golden = layers[i];
      EXPECT_EQ(results[i].scale_divisor, golden["global_scale"].get<float>());
      EXPECT_TRUE(EncodeFloats(FloatFormat::kE4M3, results[i].StoredScales()).equal(Matrix(golden["scale"]).to(at::kByte)));
      const at::Tensor values = results[i].levels.index_select(0, results[i].codes.flatten().to(at::kLong));
      EXPECT_TRUE(EncodeFloats(FloatFormat::kE2M1, values.view_as(weights[i]))
                      .equal(UnpackedE2m1(Matrix(golden["packed"]).to(at::kByte))));
    }
  }
}

}  // namespace
}  // namespace bitlaw
