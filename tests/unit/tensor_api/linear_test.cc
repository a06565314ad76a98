#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "bitlaw/api/model.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

at::Tensor Row(std::vector<float> values) { return at::tensor(values).view({1, -1}); }

std::vector<float> Values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kFloat).contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

// Two outputs, four inputs, groups of two; 2-bit codes.
QuantizedLinear SmallQuantized() {
  QuantizedLinear q;
  q.bits = 2;
  q.group_size = 2;
  q.codes = at::tensor(std::vector<int>{0, 1, 2, 3, 3, 2, 1, 0}).to(at::kByte).view({2, 4});
  q.scales = at::tensor(std::vector<float>{1.0f, 0.5f, 2.0f, 0.25f}).view({2, 2});
  q.zeros = at::tensor(std::vector<int>{1, 2, 0, 3}).to(at::kByte).view({2, 2});
  q.group_index = at::tensor(std::vector<int>{0, 0, 1, 1}).to(at::kInt);
  q.scale_dtype = "float32";
  return q;
}

const LinearShape kSmall{.name = "model.layers.0.self_attn.q_proj", .in_features = 4, .out_features = 2};

std::string InvalidText(const QuantizedLinear& q) {
  try {
    q.Validate(kSmall);
  } catch (const InternalError& error) {
    return error.what();
  }
  return "valid";
}

TEST(QuantizedLinear, DequantizesCodeMinusZeroTimesScaleOfItsGroup) {
  // Row 0: (0-1)*1, (1-1)*1, (2-2)*.5, (3-2)*.5; row 1: 3*2, 2*2, (1-3)*.25, (0-3)*.25.
  EXPECT_EQ(Values(SmallQuantized().Dequantize()), (std::vector<float>{-1, 0, 0, 0.5f, 6, 4, -0.5f, -0.75f}));
}

TEST(QuantizedLinear, DequantizesByGroupIndexWhenColumnsWereReordered) {
  QuantizedLinear q = SmallQuantized();
  q.group_index = at::tensor(std::vector<int>{1, 0, 0, 1}).to(at::kInt);
  EXPECT_EQ(Values(q.Dequantize()), (std::vector<float>{-1, 0, 1, 0.5f, 0, 4, 2, -0.75f}));
}

TEST(QuantizedLinear, GivesWhatAWeightDiffersByAndItsSquares) {
  // Dequantized -1, 0, 0, 0.5; 6, 4, -0.5, -0.75.
  const at::Tensor weight = at::tensor(std::vector<float>{-1.5f, 0, 2, 0.5f, 5, 4, -0.5f, 0.25f}).view({2, 4});
  at::Tensor difference = at::full({2, 4}, 7.0f);
  SmallQuantized().Difference(weight, difference);
  EXPECT_EQ(Values(difference), (std::vector<float>{-0.5f, 0, 2, 0, -1, 0, 0, 1}));
  EXPECT_EQ(SmallQuantized().SquaredDifference(weight), 0.25 + 4 + 1 + 1);
  const at::Tensor turned = weight.t().contiguous().t();  // Not contiguous.
  SmallQuantized().Difference(turned, difference);
  EXPECT_EQ(Values(difference), (std::vector<float>{-0.5f, 0, 2, 0, -1, 0, 0, 1}));
  EXPECT_EQ(SmallQuantized().SquaredDifference(turned), 6.25);
}

TEST(QuantizedLinear, SumsTheSquaresOfLongRows) {
  at::manual_seed(5);
  QuantizedLinear q = SmallQuantized();
  const int64_t rows = 70, columns = 83;
  q.codes = at::randint(4, {rows, columns}).to(at::kByte);
  q.scales = at::rand({rows, 2});
  q.zeros = at::randint(4, {rows, 2}).to(at::kByte);
  q.group_index = (at::arange(columns) % 2).to(at::kInt);
  const at::Tensor weight = at::randn({rows, columns});
  const double expected = (weight - q.Dequantize()).to(at::kDouble).square().sum().item<double>();
  EXPECT_NEAR(q.SquaredDifference(weight), expected, 1e-12 * expected);
}

TEST(QuantizedLinear, ValidatesShapesRangesAndFiniteness) {
  EXPECT_EQ(InvalidText(SmallQuantized()), "valid");
  QuantizedLinear q = SmallQuantized();
  q.codes = q.codes.narrow(1, 0, 3);
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: codes is [2, 3]. It must be [2, 4].");
  q = SmallQuantized();
  q.codes = q.codes + 1;
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: codes reach 4. With bits = 2 they must lie in [0, 3].");
  q = SmallQuantized();
  q.scales[0][1] = NAN;
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: scales hold a value that is not finite.");
  q = SmallQuantized();
  q.group_index[3] = 2;
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: group_index spans [0, 2]. There are 2 groups.");
  q = SmallQuantized();
  q.scale_dtype = "float16";
  q.scales[0][0] = 0.1f;
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: scale_dtype is 'float16' but a scale is not exact in "
            "float16.");
  q = SmallQuantized();
  q.activation = ActivationGrid{.bits = 8, .symmetric = false, .per_token = false, .static_scale = 1.0,
                                .static_zero = 256};
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: activation.static_zero is 256. With bits = 8 it must lie "
            "in [0, 255].");
  q.activation = ActivationGrid{.bits = 8, .format = InputFormat::kNvfp4};
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: activation.bits is 8, and nvfp4 has 4.");
  q.activation = ActivationGrid{.bits = 4, .format = InputFormat::kNvfp4};
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: activation.scale_divisor is 0.000000. It must be finite "
            "and positive.");
  q.activation = ActivationGrid{.bits = 8, .group_size = 3};
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: its inputs have 4 channels, and activations are rounded "
            "in groups of 3, which does not divide them.");
}

TEST(QuantizedLinear, DequantizesRowsThatShareScales) {
  QuantizedLinear q = SmallQuantized();
  q.scales = q.scales.narrow(0, 1, 1).contiguous();  // 2, 0.25
  q.zeros = q.zeros.narrow(0, 1, 1).contiguous();    // 0, 3
  q.row_index = at::zeros({2}, at::kInt);
  EXPECT_EQ(InvalidText(q), "valid");
  // Row 0: (0-0)*2, (1-0)*2, (2-3)*.25, (3-3)*.25; row 1 as ever.
  EXPECT_EQ(Values(q.Dequantize()), (std::vector<float>{0, 2, -0.25f, 0, 6, 4, -0.5f, -0.75f}));
  q.row_index[1] = 1;
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: row_index spans [0, 1]. Scales have 1 rows.");
}

TEST(QuantizedLinear, HasRealZeroPoints) {
  QuantizedLinear q = SmallQuantized();
  q.zeros = at::tensor(std::vector<float>{1.5f, -2, 0.25f, 3}).view({2, 2});
  EXPECT_EQ(InvalidText(q), "valid");
  // Row 0: (0-1.5)*1, (1-1.5)*1, (2+2)*.5, (3+2)*.5; row 1: (3-.25)*2, (2-.25)*2, (1-3)*.25, (0-3)*.25.
  EXPECT_EQ(Values(q.Dequantize()), (std::vector<float>{-1.5f, -0.5f, 2, 2.5f, 5.5f, 3.5f, -0.5f, -0.75f}));
  q.zeros[0][0] = 0.1f;
  q.scale_dtype = "float16";
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: scale_dtype is 'float16' but a zero is not exact in "
            "float16.");
  q.zeros[0][0] = NAN;
  EXPECT_EQ(InvalidText(q), "model.layers.0.self_attn.q_proj: quantized layer: zeros hold a value that is not finite.");
}

TEST(QuantizedLinear, HasScalesOfEightBits) {
  QuantizedLinear q = SmallQuantized();  // Scales 1, 0.5, 2, 0.25.
  q.scale_dtype = "float8_e8m0fnu";
  EXPECT_EQ(InvalidText(q), "valid");
  q.scales[0][0] = 3;
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: scale_dtype is 'float8_e8m0fnu' but a scale is not exact "
            "in float8_e8m0fnu.");
  q.scale_dtype = "float8_e4m3fn";
  EXPECT_EQ(InvalidText(q), "valid");
  q.scale_divisor = 3;  // 1 * 3, 1.5, 6 and 0.75 are values of E4M3, and so is 9.
  EXPECT_EQ(InvalidText(q), "valid");
  EXPECT_EQ(Values(q.StoredScales()), (std::vector<float>{9, 1.5f, 6, 0.75f}));
  for (const float wrong : {17.0f / 3, 480.0f / 3}) {  // Five digits; above 448.
    q.scales[0][0] = wrong;
    EXPECT_EQ(InvalidText(q),
              "model.layers.0.self_attn.q_proj: quantized layer: scale_dtype is 'float8_e4m3fn' but a scale is not exact "
              "in float8_e4m3fn.");
  }
  q.scale_dtype = "float32";
  EXPECT_EQ(InvalidText(q),
            "model.layers.0.self_attn.q_proj: quantized layer: scale_divisor is 3.000000. It must be 1, or positive and "
            "finite with scale_dtype 'float8_e4m3fn'.");
}

TEST(QuantizeFallback, HasAStableNameForRecords) {
  EXPECT_EQ(Name(QuantizeFallback::kNone), "none");
  EXPECT_EQ(Name(QuantizeFallback::kDampingRaised), "damping_raised");
  EXPECT_EQ(Name(QuantizeFallback::kRoundToNearest), "round_to_nearest");
}

TEST(Linear, AppliesWeightAndBiasToTheLastDimension) {
  const Linear linear(kSmall, at::tensor(std::vector<float>{1, 0, 0, 0, 0, 2, 0, 1}).view({2, 4}),
                      at::tensor(std::vector<float>{10, 20}));
  const at::Tensor output = linear.Apply(at::ones({3, 5, 4}));
  EXPECT_EQ(output.sizes(), (at::IntArrayRef{3, 5, 2}));
  EXPECT_EQ(Values(output[2][4]), (std::vector<float>{11, 23}));
}

TEST(Linear, RefusesAnInputOfAnotherWidth) {
  const Linear linear(kSmall, at::zeros({2, 4}), {});
  EXPECT_THROW(linear.Apply(at::ones({1, 3})), InternalError);
  EXPECT_THROW(Linear(kSmall, at::zeros({4, 2}), {}), InternalError);
}

TEST(Linear, BFloat16RowsOfAnyNumberEqualFloat32) {
  at::manual_seed(4);
  const at::Tensor weight = at::randn({24, 40}).to(at::kBFloat16), bias = at::randn({24}).to(at::kBFloat16);
  const Linear linear({.name = "l", .in_features = 40, .out_features = 24}, weight, bias);
  for (const int64_t rows : {1, 31, 32, 33, 315}) {
    const at::Tensor input = at::randn({rows, 40}).to(at::kBFloat16);
    const at::Tensor exact = at::addmm(bias.to(at::kFloat), input.to(at::kFloat), weight.to(at::kFloat).t());
    const at::Tensor output = linear.Apply(input);
    ASSERT_EQ(output.sizes(), exact.sizes());
    EXPECT_LT((output.to(at::kFloat) - exact).abs().max().item<double>(), 0.25) << rows << " rows of values up to 30";
  }
}

TEST(Linear, ComputesWithTheCodesOnceInstalled) {
  Linear linear(kSmall, at::zeros({2, 4}), {});
  EXPECT_FALSE(linear.is_quantized());
  linear.Install(SmallQuantized());
  EXPECT_TRUE(linear.is_quantized());
  EXPECT_EQ(Values(linear.Apply(Row({1, 1, 1, 1}))), (std::vector<float>{-0.5f, 8.75f}));
}

TEST(Linear, DividesInputsByTheInstalledScale) {
  Linear linear(kSmall, at::zeros({2, 4}), {});
  QuantizedLinear q = SmallQuantized();
  q.input_scale = at::tensor(std::vector<float>{1, 2, 4, 8});
  linear.Install(q);
  // -1*1/1 + 0.5*8/8 and 6*1/1 + 4*2/2 - 0.5*4/4 - 0.75*8/8
  EXPECT_EQ(Values(linear.Apply(Row({1, 2, 4, 8}))), (std::vector<float>{-0.5f, 8.75f}));
}

// An identity weight shows the rounded activations themselves.
Linear IdentityWithActivation(const ActivationGrid& grid) {
  LinearShape shape{.name = "identity", .in_features = 4, .out_features = 4};
  Linear linear(shape, at::zeros({4, 4}), {});
  QuantizedLinear q;
  q.bits = 2;
  q.group_size = 4;
  q.codes = at::eye(4).to(at::kByte);
  q.scales = at::ones({4, 1});
  q.zeros = at::zeros({4, 1}).to(at::kByte);
  q.group_index = at::zeros({4}).to(at::kInt);
  q.scale_dtype = "float32";
  q.activation = grid;
  linear.Install(q);
  return linear;
}

TEST(Linear, RoundsActivationsOfEachTokenToItsOwnSymmetricGrid) {
  const Linear linear = IdentityWithActivation({.bits = 3, .symmetric = true, .per_token = true});
  // q_max = 3: row scales 1 and 2; a row of zeros stays zero.
  const at::Tensor input = at::tensor(std::vector<float>{3, -1.4f, 0.6f, 0, -6, 2.9f, 3.1f, 1, 0, 0, 0, 0}).view({3, 4});
  EXPECT_EQ(Values(linear.Apply(input)), (std::vector<float>{3, -1, 1, 0, -6, 2, 4, 0, 0, 0, 0, 0}));
}

TEST(Linear, ClipsActivationsToAStaticGrid) {
  const Linear linear =
      IdentityWithActivation({.bits = 3, .symmetric = true, .per_token = false, .static_scale = 0.5});
  EXPECT_EQ(Values(linear.Apply(Row({0.3f, -0.8f, 9, -9}))), (std::vector<float>{0.5f, -1, 1.5f, -1.5f}));
}

TEST(Linear, RoundsActivationsToAnAsymmetricGridThatHoldsZero) {
  const Linear linear = IdentityWithActivation({.bits = 2, .symmetric = false, .per_token = true});
  // Range [0, 3] although the least input is 1: scale 1, zero point 0.
  EXPECT_EQ(Values(linear.Apply(Row({1, 1.6f, 3, 2.2f}))), (std::vector<float>{1, 2, 3, 2}));
}

}  // namespace
}  // namespace bitlaw
