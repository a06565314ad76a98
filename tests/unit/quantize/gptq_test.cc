#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "quantize/input_statistics.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

at::Tensor Random(int64_t rows, int64_t columns, uint64_t seed) {
  Rng rng(seed);
  at::Tensor x = at::empty({rows, columns}, at::kFloat);
  for (int64_t i = 0; i < x.numel(); ++i) x.data_ptr<float>()[i] = static_cast<float>(rng.Normal());
  return x;
}

// Inputs whose neighbouring columns are alike, as real activations are.
at::Tensor CorrelatedInputs(int64_t tokens, int64_t columns, uint64_t seed) {
  at::Tensor x = Random(tokens, columns, seed);
  for (int64_t j = 1; j < columns; ++j) x.select(1, j).mul_(0.4).add_(x.select(1, j - 1), 0.9);
  return x;
}

LayerCalibration CalibrationOf(const at::Tensor& inputs, int64_t sequences = 4) {
  LayerCalibration calibration;
  calibration.sequences = sequences;
  calibration.tokens = inputs.size(0);
  calibration.second_moment = at::mm(inputs.t(), inputs) * (2.0 / static_cast<double>(sequences));
  return calibration;
}

LinearShape ShapeOf(const at::Tensor& weight) {
  return {.name = "model.layers.0.mlp.up_proj", .in_features = weight.size(1), .out_features = weight.size(0)};
}

QuantizedLinear Gptq(const Value::Map& options, const at::Tensor& weight, const LayerCalibration& calibration) {
  const QuantizedLinear q = MakeQuantizer("gptq", options)->Quantize(ShapeOf(weight), weight, calibration);
  q.Validate(ShapeOf(weight));
  return q;
}

double Diagnostic(const QuantizedLinear& q, const std::string& name) {
  for (const auto& [key, value] : q.diagnostics) {
    if (key == name) return value;
  }
  ADD_FAILURE() << "no diagnostic '" << name << "'";
  return std::nan("");
}

std::string ErrorOf(ErrorKind kind, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  return "(no error)";
}

TEST(GptqQuantizer, KeepsALayerWithAGroupTooSmallForFloat16Scales) {
  at::Tensor weight = Random(8, 64, 1);
  weight[5].narrow(0, 16, 16).fill_(1e-9);
  weight[6].fill_(1e-9);
  const LayerCalibration calibration = CalibrationOf(Random(256, 64, 2));
  for (const char* group_params : {"ref", "in_block", "static"}) {
    for (const bool act_order : {false, true}) {
      for (const int bits : {2, 4, 8}) {
        const QuantizedLinear q = Gptq({{"bits", bits}, {"group_size", 16}, {"group_params", group_params},
                                        {"act_order", act_order}},
                                       weight, calibration);
        EXPECT_GE(Diagnostic(q, "smallest_scales"), 1.0);
        EXPECT_LE(q.Dequantize()[6].abs().max().item<float>(), 0x1p-24f) << group_params << act_order << bits;
      }
    }
  }
}

TEST(GptqQuantizer, RoundsToNearestWhereColumnsDoNotMeet) {
  const at::Tensor weight = Random(40, 64, 1);
  LayerCalibration calibration;
  calibration.sequences = 1;
  calibration.tokens = 64;
  calibration.second_moment = at::diag(at::arange(1, 65).to(at::kFloat));
  const Value::Map options = {{"bits", 3}, {"group_size", 16}};
  const QuantizedLinear gptq = Gptq(options, weight, calibration);
  const QuantizedLinear rtn = MakeQuantizer("rtn", options)->Quantize(ShapeOf(weight), weight, {});
  EXPECT_TRUE(at::equal(gptq.codes, rtn.codes));
  EXPECT_TRUE(at::equal(gptq.scales, rtn.scales));
  // One is of the walk's errors, the other of a product.
  const double expected = Diagnostic(gptq, "hessian_error_rtn");
  EXPECT_NEAR(Diagnostic(gptq, "hessian_error"), expected, 1e-6 * expected);
}

// H = [[2, 1], [1, 2]], tiny damp: H^-1 = [[2, -1], [-1, 2]] / 3, U = [[sqrt(2/3), -sqrt(1/6)], [0, sqrt(1/2)]].
// Rounding w0 = 0.4 to 0 leaves e = 0.4 / U00, so w1 = 0.4 - e * U01 = 0.4 + 0.4 / 2 = 0.6, which rounds to 1.
TEST(GptqQuantizer, MovesTheErrorOfOneColumnToTheNext) {
  const at::Tensor weight = at::tensor(std::vector<float>{0.4f, 0.4f, 0.0f, 3.0f}).view({1, 4});
  LayerCalibration calibration;
  calibration.sequences = 1;
  calibration.tokens = 8;
  calibration.second_moment = at::eye(4) * 2;
  calibration.second_moment[0][1] = calibration.second_moment[1][0] = 1;
  const QuantizedLinear q = Gptq({{"bits", 2}, {"group_size", "row"}, {"damp", 1e-6}}, weight, calibration);
  EXPECT_EQ(q.scales[0][0].item<float>(), 1.0f);
  EXPECT_EQ(q.zeros[0][0].item<int>(), 0);
  EXPECT_TRUE(at::equal(q.codes, at::tensor(std::vector<uint8_t>{0, 1, 0, 3}).view({1, 4})));
}

TEST(GptqQuantizer, ErrsLessThanRoundToNearestUnderEveryRule) {
  const at::Tensor weight = Random(48, 256, 2);
  const LayerCalibration calibration = CalibrationOf(CorrelatedInputs(600, 256, 3));
  for (const char* rule : {"ref", "in_block", "static"}) {
    for (const bool act_order : {false, true}) {
      for (const int bits : {2, 4}) {
        const QuantizedLinear q = Gptq(
            {{"bits", bits}, {"group_size", 32}, {"group_params", rule}, {"act_order", act_order}}, weight, calibration);
        EXPECT_LT(Diagnostic(q, "hessian_error"), 0.7 * Diagnostic(q, "hessian_error_rtn"))
            << rule << " " << act_order << " " << bits;
      }
    }
  }
}

TEST(GptqQuantizer, ReportsTheErrorOfWhatItReturns) {
  const at::Tensor weight = Random(16, 64, 2);
  const LayerCalibration calibration = CalibrationOf(CorrelatedInputs(300, 64, 3));
  const QuantizedLinear q = Gptq({{"bits", 3}, {"group_size", 32}}, weight, calibration);
  const at::Tensor h = calibration.second_moment.to(at::kDouble), w = weight.to(at::kDouble);
  const at::Tensor d = q.Dequantize().to(at::kDouble) - w;
  const double expected = (at::mm(d, h) * d).sum().item<double>() / (at::mm(w, h) * w).sum().item<double>();
  EXPECT_NEAR(Diagnostic(q, "hessian_error"), expected, 1e-4 * expected);
}

TEST(GptqQuantizer, RulesForGroupGridsDifferOnlyWhereGroupsStartInsideABlock) {
  const at::Tensor weight = Random(16, 256, 4);
  const LayerCalibration calibration = CalibrationOf(CorrelatedInputs(600, 256, 5));
  const auto codes = [&](int group, const char* rule) {
    return Gptq({{"bits", 3}, {"group_size", group}, {"group_params", rule}}, weight, calibration).codes;
  };
  EXPECT_TRUE(at::equal(codes(128, "ref"), codes(128, "in_block")));
  EXPECT_FALSE(at::equal(codes(32, "ref"), codes(32, "in_block")));
  EXPECT_FALSE(at::equal(codes(128, "ref"), codes(128, "static")));
}

TEST(GptqQuantizer, StaticGroupsHaveTheGridsOfRoundToNearest) {
  const at::Tensor weight = Random(16, 128, 4);
  const LayerCalibration calibration = CalibrationOf(CorrelatedInputs(300, 128, 5));
  const Value::Map grid = {{"bits", 3}, {"group_size", 32}};
  Value::Map options = grid;
  options.emplace_back("group_params", "static");
  options.emplace_back("act_order", true);
  const QuantizedLinear q = Gptq(options, weight, calibration);
  const QuantizedLinear rtn = MakeQuantizer("rtn", grid)->Quantize(ShapeOf(weight), weight, {});
  EXPECT_TRUE(at::equal(q.scales, rtn.scales));
  EXPECT_TRUE(at::equal(q.group_index, rtn.group_index));
}

TEST(GptqQuantizer, ActOrderGroupsColumnsByTheirPlaceInTheWalk) {
  const at::Tensor weight = Random(8, 8, 6);
  LayerCalibration calibration = CalibrationOf(Random(64, 8, 7));
  calibration.second_moment.diagonal().copy_(at::tensor(std::vector<float>{30, 80, 40, 70, 20, 60, 10, 50}) * 10);
  const QuantizedLinear q = Gptq({{"bits", 4}, {"group_size", 4}, {"act_order", true}, {"group_params", "ref"}}, weight, calibration);
  // Falling diagonal: columns 1, 3, 5, 7 | 2, 0, 4, 6.
  EXPECT_TRUE(at::equal(q.group_index, at::tensor(std::vector<int>{1, 0, 1, 0, 1, 0, 1, 0}).to(at::kInt)));
}

// Groups go by their largest diagonal, 80 of the second and 40 of the first, each sorted within: columns 4, 6, 5, 7 |
// 1, 0, 3, 2.
TEST(GptqQuantizer, OrderOfGroupsNeedsNoGroupIndex) {
  const at::Tensor weight = Random(8, 8, 6);
  LayerCalibration calibration = CalibrationOf(Random(64, 8, 7));
  calibration.second_moment.diagonal().copy_(at::tensor(std::vector<float>{30, 40, 10, 20, 80, 60, 70, 50}) * 10);
  const Value::Map options = {{"bits", 4}, {"group_size", 4}, {"block_size", 4}, {"preset", "group_aware"}};
  const QuantizedLinear q = Gptq(options, weight, calibration);
  EXPECT_TRUE(at::equal(q.group_index, at::tensor(std::vector<int>{0, 0, 0, 0, 1, 1, 1, 1}).to(at::kInt)));
  // The walk begins with the second group, whose grid is that of its weights as they are; the first one's has moved.
  const QuantizedLinear rtn =
      MakeQuantizer("rtn", {{"bits", 4}, {"group_size", 4}})->Quantize(ShapeOf(weight), weight, {});
  EXPECT_TRUE(at::equal(q.scales.select(1, 1), rtn.scales.select(1, 1)));
  EXPECT_FALSE(at::equal(q.scales.select(1, 0), rtn.scales.select(1, 0)));
  EXPECT_EQ(q.codes[0][4].item<int>(), rtn.codes[0][4].item<int>())
      << "the first column of the walk is rounded to nearest";
  EXPECT_EQ(MakeQuantizer("gptq", options)->BitsPerWeight(ShapeOf(weight)), rtn.bits + (16 + 4) / 4.0);
}

// H as above: P01 = alpha D01 U11^2 = alpha D01 / 2. Without it w1 = 0 takes 0.4 / 2 = 0.2 of w0's error; with alpha =
// 1 and D01 = 2 it takes w0 P01 = 0.4 as well, and 0.6 rounds to 1.
TEST(GptqQuantizer, MakesUpForInputsThatDifferFromTheUnquantizedModels) {
  const at::Tensor weight = at::tensor(std::vector<float>{0.4f, 0.0f, 0.0f, 3.0f}).view({1, 4});
  LayerCalibration calibration;
  calibration.sequences = 1;
  calibration.tokens = 8;
  calibration.second_moment = at::eye(4) * 2;
  calibration.second_moment[0][1] = calibration.second_moment[1][0] = 1;
  calibration.cross_moment = at::zeros({4, 4});
  calibration.cross_moment[0][1] = 2;
  const auto quantized = [&](double alpha) {
    return Gptq({{"bits", 2}, {"group_size", "row"}, {"damp", 1e-6}, {"gptaq_alpha", alpha}}, weight, calibration);
  };
  EXPECT_TRUE(at::equal(quantized(0).codes, at::tensor(std::vector<uint8_t>{0, 0, 0, 3}).view({1, 4})));
  EXPECT_TRUE(at::equal(quantized(1).codes, at::tensor(std::vector<uint8_t>{0, 1, 0, 3}).view({1, 4})));
  // Of what is returned, whatever was walked: d = (-0.4, 1, 0, 0), d H d = 0.32 - 0.8 + 2, w H w = 0.32 + 18.
  EXPECT_NEAR(Diagnostic(quantized(1), "hessian_error"), 1.52 / 18.32, 1e-5);
  EXPECT_TRUE(MakeQuantizer("gptq", {{"gptaq_alpha", 0.25}})->needs().cross_moment);
  EXPECT_FALSE(MakeQuantizer("gptq", {})->needs().cross_moment);
}

TEST(GptqQuantizer, GivesDeadColumnsTheCodeOfZero) {
  const at::Tensor weight = Random(8, 64, 8);
  at::Tensor inputs = CorrelatedInputs(300, 64, 9);
  inputs.select(1, 5).zero_();
  inputs.select(1, 40).zero_();
  const QuantizedLinear q = Gptq({{"bits", 3}, {"group_size", 32}}, weight, CalibrationOf(inputs));
  EXPECT_EQ(Diagnostic(q, "dead_columns"), 2);
  EXPECT_TRUE(at::equal(q.Dequantize().select(1, 5), at::zeros(8)));
  EXPECT_TRUE(at::equal(q.Dequantize().select(1, 40), at::zeros(8)));
}

TEST(GptqQuantizer, CodesDoNotDependOnTheBlockSizeBeyondTies) {
  const at::Tensor weight = Random(32, 192, 10);
  const LayerCalibration calibration = CalibrationOf(CorrelatedInputs(500, 192, 11));
  const auto codes = [&](int block) {
    return Gptq({{"bits", 4}, {"group_size", "row"}, {"block_size", block}}, weight, calibration).codes.to(at::kInt);
  };
  const at::Tensor reference = codes(128);
  for (const int block : {1, 7, 192, 1000}) {
    EXPECT_LE((codes(block) - reference).ne(0).sum().item<int>(), 32 * 192 / 100) << block;
  }
}

TEST(GptqQuantizer, GivesTheSameBytesForAnyNumberOfThreads) {
  const at::Tensor weight = Random(150, 256, 12);
  const LayerCalibration calibration = CalibrationOf(CorrelatedInputs(600, 256, 13));
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const QuantizedLinear one = Gptq({{"bits", 3}, {"group_size", 64}}, weight, calibration);
  at::set_num_threads(2);
  const QuantizedLinear two = Gptq({{"bits", 3}, {"group_size", 64}}, weight, calibration);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one.codes, two.codes));
  EXPECT_TRUE(at::equal(one.scales, two.scales));
}

TEST(GptqQuantizer, Float64FactorsAgreeWithFloat32BeyondTies) {
  const at::Tensor weight = Random(32, 128, 14);
  const LayerCalibration calibration = CalibrationOf(CorrelatedInputs(500, 128, 15));
  const auto codes = [&](const char* dtype) {
    return Gptq({{"bits", 3}, {"group_size", 64}, {"factor_dtype", dtype}}, weight, calibration).codes.to(at::kInt);
  };
  EXPECT_LE((codes("float64") - codes("float32")).ne(0).sum().item<int>(), 32 * 128 / 100);
}

TEST(GptqQuantizer, ReportsRatherThanRepairsSingularHessian) {
  const at::Tensor weight = Random(4, 32, 16);
  LayerCalibration calibration = CalibrationOf(Random(64, 32, 17));
  calibration.second_moment.sub_(at::eye(32) * 100);  // indefinite; no damp below 1 mends it
  EXPECT_EQ(ErrorOf(ErrorKind::kNumerical, [&] { Gptq({{"group_size", "row"}}, weight, calibration); }),
            "quantizer 'gptq', model.layers.0.mlp.up_proj: the Hessian [32, 32] of 64 calibration tokens is not positive "
            "definite with damp = 0.01. Use more calibration tokens, a larger damp, factor_dtype: float64, or "
            "on_singular: raise_damping, which the record will name.");
  EXPECT_EQ(ErrorOf(ErrorKind::kNumerical,
                    [&] { Gptq({{"group_size", "row"}, {"on_singular", "raise_damping"}}, weight, calibration); }),
            "quantizer 'gptq', model.layers.0.mlp.up_proj: the Hessian [32, 32] of 64 calibration tokens is not positive "
            "definite with damp = 0.01 nor with ten times as much, below 1. Use more calibration tokens, a larger damp, "
            "factor_dtype: float64.");
}

TEST(GptqQuantizer, RecordsThatDampingWasRaised) {
  const at::Tensor weight = Random(4, 16, 18);
  LayerCalibration calibration;
  calibration.sequences = 1;
  calibration.tokens = 16;
  // Eigenvalues 1 - 1.05 and 1 + 15 * ...: damp must pass 5 % of the mean diagonal.
  calibration.second_moment = at::eye(16);
  calibration.second_moment[0][1] = calibration.second_moment[1][0] = 1.05;
  const Value::Map strict = {{"group_size", "row"}, {"damp", 0.01}};
  EXPECT_NE(ErrorOf(ErrorKind::kNumerical, [&] { Gptq(strict, weight, calibration); }), "(no error)");
  Value::Map lenient = strict;
  lenient.emplace_back("on_singular", "raise_damping");
  const QuantizedLinear q = Gptq(lenient, weight, calibration);
  EXPECT_EQ(q.fallback, QuantizeFallback::kDampingRaised);
  EXPECT_DOUBLE_EQ(Diagnostic(q, "damp"), 0.1);
}

TEST(GptqQuantizer, ReportsInputsThatOverflowed) {
  const at::Tensor weight = Random(4, 16, 18);
  LayerCalibration calibration = CalibrationOf(Random(64, 16, 17));
  calibration.second_moment[3][3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(ErrorOf(ErrorKind::kNumerical, [&] { Gptq({{"group_size", "row"}}, weight, calibration); }),
            "quantizer 'gptq', model.layers.0.mlp.up_proj: the Hessian of 64 calibration tokens is not finite. The "
            "layer's inputs overflow. Compute the model in float32.");
}

TEST(GptqQuantizer, ReportsALayerThatSawNoToken) {
  const at::Tensor weight = Random(4, 16, 18);
  LayerCalibration calibration = CalibrationOf(Random(64, 16, 17));
  calibration.tokens = 0;
  EXPECT_EQ(ErrorOf(ErrorKind::kNumerical, [&] { Gptq({{"group_size", "row"}}, weight, calibration); }),
            "quantizer 'gptq', model.layers.0.mlp.up_proj: saw 0 of the calibration tokens. GPTQ needs inputs of every "
            "layer. Use more calibration sequences, leave this layer out, or set on_unseen: rtn, which the record will "
            "name.");
}

TEST(GptqQuantizer, RoundsALayerThatSawNoTokenIfToldTo) {
  const at::Tensor weight = Random(4, 16, 18);
  LayerCalibration calibration;
  calibration.second_moment = at::zeros({16, 16});
  const QuantizedLinear q = Gptq({{"group_size", "row"}, {"on_unseen", "rtn"}}, weight, calibration);
  EXPECT_EQ(q.fallback, QuantizeFallback::kRoundToNearest);
  EXPECT_LT((q.Dequantize() - weight).abs().max().item<double>(), 0.51 * q.scales.max().item<double>());
}

TEST(GptqQuantizer, RefusesAGroupThatDoesNotDivideTheRow) {
  const LinearShape layer = {.name = "o_proj", .in_features = 320, .out_features = 8};
  const std::string reason =
      "group_size = 128 does not divide C_in = 320 of 'o_proj'. Use 16, 32, 64, row, or allow_partial_group: true for a "
      "short last group.";
  for (const char* name : {"gptq", "rtn"}) {
    EXPECT_EQ(MakeQuantizer(name, {{"group_size", 128}})->ExplainUnsupported(layer), reason);
    EXPECT_EQ(MakeQuantizer(name, {{"group_size", 128}, {"allow_partial_group", true}})->ExplainUnsupported(layer), "");
    EXPECT_EQ(MakeQuantizer(name, {{"group_size", 1024}})->ExplainUnsupported(layer), "");
  }
  EXPECT_EQ(ErrorOf(ErrorKind::kUnsupported,
                    [&] { MakeQuantizer("rtn", {{"group_size", 128}})->Quantize(layer, Random(8, 320, 1), {}); }),
            "quantizer 'rtn': " + reason);
}

TEST(GptqQuantizer, CountsTheGroupIndexOnlyWhenGroupsAreScattered) {
  const LinearShape layer = {.name = "o_proj", .in_features = 256, .out_features = 64};
  const auto bits = [&](Value::Map options) {
    options.emplace_back("bits", 4);
    options.emplace_back("symmetric", true);
    return MakeQuantizer("gptq", options)->BitsPerWeight(layer);
  };
  EXPECT_DOUBLE_EQ(bits({{"group_size", 128}}), 4.125);
  EXPECT_DOUBLE_EQ(bits({{"group_size", 128}, {"act_order", true}, {"group_params", "ref"}}), 4.125 + 32.0 / 64);
  EXPECT_DOUBLE_EQ(bits({{"group_size", 128}, {"preset", "static_order"}}), 4.125);
  EXPECT_DOUBLE_EQ(bits({{"group_size", 128}, {"preset", "ist"}, {"act_order", true}}), 4.125 + 32.0 / 64);
  EXPECT_DOUBLE_EQ(bits({{"group_size", "row"}, {"act_order", true}}), 4 + 16 / 256.0);
  EXPECT_DOUBLE_EQ(bits({{"group_size", 128}, {"scale_dtype", "float32"}}), 4.25);
}

TEST(GptqQuantizer, AsksForTheSecondMomentInTheDtypeOfItsOptions) {
  EXPECT_TRUE(MakeQuantizer("gptq", {})->needs().second_moment);
  EXPECT_FALSE(MakeQuantizer("gptq", {})->needs().second_moment_float64);
  EXPECT_TRUE(MakeQuantizer("gptq", {{"hessian_dtype", "float64"}})->needs().second_moment_float64);
  EXPECT_FALSE(MakeQuantizer("rtn", {})->needs().any());
}

// The last bits of a sum, or of a factor, decide where a weight lies between two levels; one code that turns over turns more.
// Scales in float32 of groups that the walk has compensated show every bit of the factor.
TEST(Gptq, GivesTheSameBitsForAnyNumberOfThreads) {
  const int64_t columns = 512, rows = 96;
  const at::Tensor inputs = CorrelatedInputs(1500, columns, 17), weight = Random(rows, columns, 18).mul_(0.05);
  const auto quantizer = MakeQuantizer("gptq", {{"bits", 4}, {"group_size", 32}, {"group_params", "in_block"},
                                                {"scale_dtype", "float32"}});
  LinearShape layer;
  layer.name = "layer";
  layer.in_features = columns;
  layer.out_features = rows;
  at::Tensor moment, scales, codes;
  const int threads_before = at::get_num_threads();
  for (const int threads : {1, 2, 3}) {
    SCOPED_TRACE(threads);
    at::set_num_threads(threads);
    InputStatistics statistics(quantizer->needs());
    statistics.Add(inputs.narrow(0, 0, 707));
    statistics.Add(inputs.narrow(0, 707, 793));
    const LayerCalibration calibration = statistics.Finish(4);
    const QuantizedLinear quantized = quantizer->Quantize(layer, weight, calibration);
    if (threads == 1) {
      moment = calibration.second_moment;
      scales = quantized.scales;
      codes = quantized.codes;
    }
    EXPECT_EQ(calibration.second_moment.ne(moment).sum().item<int64_t>(), 0) << "sums differ";
    EXPECT_EQ(quantized.scales.ne(scales).sum().item<int64_t>(), 0) << "scales differ";
    EXPECT_EQ(quantized.codes.ne(codes).sum().item<int64_t>(), 0) << "codes differ";
  }
  at::set_num_threads(threads_before);
}

// Sites of alike experts: two readers of 24 and 16 rows over 48 columns, inputs of their own.
struct Experts {
  explicit Experts(size_t count) {
    for (size_t e = 0; e < count; ++e) {
      const std::string name = "experts." + std::to_string(e);
      SiteShape& shape = shapes.emplace_back();
      shape.name = name;
      shape.readers = {{name + ".gate", 0, 48, 24, true}, {name + ".up", 0, 48, 16, true}};
      weights.push_back({Random(24, 48, 30 + e), Random(16, 48, 40 + e)});
      calibrations.push_back(CalibrationOf(CorrelatedInputs(200, 48, 50 + e)));
    }
    for (size_t e = 0; e < count; ++e) inputs.push_back({&shapes[e], weights[e], &calibrations[e]});
  }
  std::vector<SiteShape> shapes;
  std::vector<std::vector<at::Tensor>> weights;
  std::vector<LayerCalibration> calibrations;
  std::vector<SiteInput> inputs;
};

class TwoThreads : public ::testing::Test {
 protected:
  TwoThreads() { at::set_num_threads(2); }
  ~TwoThreads() override { at::set_num_threads(before_); }

 private:
  const int before_ = at::get_num_threads();
};
using GptqExperts = TwoThreads;

TEST_F(GptqExperts, GiveTogetherWhatTheyGiveOneAfterAnother) {
  const auto quantizer = MakeQuantizer("gptq", {{"bits", 3}, {"group_size", 16}, {"act_order", true}});
  const Experts experts(5);
  std::vector<std::vector<QuantizedLinear>> results(5, std::vector<QuantizedLinear>(2));
  ASSERT_EQ(quantizer->QuantizeAlike(experts.inputs, results), 5U);
  for (size_t e = 0; e < 5; ++e) {
    std::vector<QuantizedLinear> alone(2);
    ASSERT_TRUE(quantizer->QuantizeSite(experts.shapes[e], experts.weights[e], experts.calibrations[e], alone));
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(results[e][i].codes.equal(alone[i].codes)) << e;
      EXPECT_TRUE(results[e][i].scales.equal(alone[i].scales)) << e;
      EXPECT_TRUE(results[e][i].zeros.equal(alone[i].zeros)) << e;
      EXPECT_TRUE(results[e][i].group_index.equal(alone[i].group_index)) << e;
    }
  }
}

TEST_F(GptqExperts, AreTakenUpToTheFirstThatSawNoToken) {
  const auto quantizer = MakeQuantizer("gptq", {{"bits", 4}, {"group_size", 16}, {"on_unseen", "rtn"}});
  Experts experts(4);
  experts.calibrations[2].tokens = 0;
  std::vector<std::vector<QuantizedLinear>> results(4, std::vector<QuantizedLinear>(2));
  EXPECT_EQ(quantizer->QuantizeAlike(experts.inputs, results), 2U);
  EXPECT_FALSE(results[2][0].codes.defined());
  experts.calibrations[0].tokens = 0;
  EXPECT_EQ(quantizer->QuantizeAlike(experts.inputs, results), 0U);
}

TEST_F(GptqExperts, NameTheFirstThatFails) {
  const auto quantizer = MakeQuantizer("gptq", {{"bits", 4}, {"group_size", 16}});
  Experts experts(4);
  experts.calibrations[3].second_moment.fill_(1.0f);
  experts.calibrations[1].second_moment.neg_();
  std::vector<std::vector<QuantizedLinear>> results(4, std::vector<QuantizedLinear>(2));
  const std::string error = ErrorOf(ErrorKind::kNumerical, [&] { quantizer->QuantizeAlike(experts.inputs, results); });
  EXPECT_EQ(error,
            "quantizer 'gptq', experts.1.gate: the Hessian [48, 48] of 200 calibration tokens is not positive definite "
            "with damp = 0.01. Use more calibration tokens, a larger damp, factor_dtype: float64, or on_singular: "
            "raise_damping, which the record will name.");
}

}  // namespace
}  // namespace bitlaw
