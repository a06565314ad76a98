// HQQ against its authors' package: make_goldens.py says which version, and why these tolerances.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/api/quantized_linear.h"
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

TEST(HqqParity, CodesScalesAndZeroPointsAreThoseOfThePackage) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/hqq/goldens.json");
  const json goldens = json::parse(file);
  ASSERT_EQ(goldens["cases"].size(), 8u);
  for (const json& golden : goldens["cases"]) {
    const int bits = golden["bits"], group_size = golden["group_size"], axis = golden["axis"];
    SCOPED_TRACE(std::to_string(bits) + " bits, groups of " + std::to_string(group_size) + ", axis " +
                 std::to_string(axis));
    const at::Tensor weight = Matrix(golden["weight"]);
    LinearShape shape;
    shape.name = "layer";
    shape.out_features = weight.size(0);
    shape.in_features = weight.size(1);
    const auto quantizer = MakeQuantizer("hqq", {{"bits", bits},
                                                 {"group_size", group_size},
                                                 {"group_axis", axis == 1 ? "row" : "column"},
                                                 {"round_zero", golden["round_zero"] ? "always" : "never"},
                                                 {"scale_dtype", "float32"}});
    const QuantizedLinear q = quantizer->Quantize(shape, weight, {});
    q.Validate(shape);
    const at::Tensor scales = Matrix(golden["scales"]), zeros = Matrix(golden["zeros"]), codes = Matrix(golden["codes"]);
    ASSERT_EQ(q.scales.sizes(), scales.sizes());
    EXPECT_LE(((q.scales - scales).abs() / scales).max().item<double>(), 1e-5);
    EXPECT_LE(((q.zeros - zeros).abs() / (zeros.abs() + 1)).max().item<double>(), 1e-5);

    // In codes: where each weight lies among them, by the package's parameters.
    QuantizedLinear among = q;
    among.scales = scales.reciprocal();
    among.zeros = at::zeros_like(zeros);
    among.codes = at::ones_like(q.codes);
    const at::Tensor inverse = among.Dequantize();
    among.scales = zeros;
    const at::Tensor place = weight * inverse + among.Dequantize(), differs = codes != q.codes.to(at::kFloat);
    const at::Tensor from_half = (place - place.floor() - 0.5).abs();
    EXPECT_FALSE((differs & (from_half > 1e-3)).any().item<bool>());
    EXPECT_LE(differs.sum().item<int64_t>(), 1);
  }
}

TEST(HqqParity, ZeroPointsBeginAtWholeNumbersAtFourBitsAsThePackageDefaults) {
  const at::Tensor weight = at::tensor({-0.26F, 0.1F, 0.3F, 1.24F}, at::kFloat).view({1, 4});
  LinearShape shape;
  shape.name = "layer";
  shape.out_features = 1, shape.in_features = 4;
  const auto zero_of = [&](int bits, const char* round_zero) {  // Where they begin: without a step.
    const auto quantizer = MakeQuantizer(
        "hqq", {{"bits", bits}, {"group_size", 4}, {"iterations", 0}, {"round_zero", round_zero}, {"scale_dtype", "float32"}});
    return quantizer->Quantize(shape, weight, {}).zeros.item<float>();
  };
  EXPECT_NEAR(zero_of(4, "never"), 2.6, 1e-5);  // 0.26 of a range of 1.5, in 15 steps.
  EXPECT_EQ(zero_of(4, "at_4_bits"), 3);
  EXPECT_EQ(zero_of(4, "always"), 3);
  EXPECT_NEAR(zero_of(3, "at_4_bits"), 0.26 * 7 / 1.5, 1e-5);
  EXPECT_EQ(zero_of(3, "always"), 1);
}

}  // namespace
}  // namespace bitlaw
