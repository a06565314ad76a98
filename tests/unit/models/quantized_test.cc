// Checkpoints that other programs quantized, and what is wrong with some. tests/parity/import has their numbers.
#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <map>

#include "bitlaw/sdk/checkpoint/tensor_to_write.h"
#include "support/models.h"
#include "support/quantized_checkpoint.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

class QuantizedCheckpoint : public FileTest {
 protected:
  using Parts = std::map<std::string, at::Tensor>;

  // Codes 0, zero points 8, scales 0.5: every weight is -4.
  static Parts GptqParts() {
    return {{"qweight", at::zeros({12, 64}, at::kInt)},
            {"qzeros", at::full({3, 8}, -2004318072, at::kInt)},  // 0x88888888
            {"scales", at::full({3, 64}, 0.5, at::kHalf)},
            {"g_idx", at::arange(96, at::kInt).div(32, "floor").to(at::kInt)}};
  }
  static Value GptqConfig() {
    return Value::Map{{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}, {"sym", true}, {"checkpoint_format", "gptq_v2"}};
  }
  static Value With(Value config, const char* key, Value value) {
    config.Set(key, std::move(value));
    return config;
  }
  static Value Compressed(const char* format, Value weights, Value inputs = {}) {
    return Value::Map{{"quant_method", "compressed-tensors"},
                      {"format", format},
                      {"config_groups", Value::Map{{"group_0", Value::Map{{"targets", Value::List{"re:.*gate_proj"}},
                                                                          {"weights", std::move(weights)},
                                                                          {"input_activations", std::move(inputs)}}}}}};
  }
  void Store(const Value& config, const Parts& parts) {
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, tensor] : parts) tensors.push_back(WriteTensor(name, tensor));
    WriteQuantizedCheckpoint(folder_ / "q", config, std::move(tensors));
  }
  // What is said when it is opened and its layer read.
  std::string Fault(const Value& config, const Parts& parts) {
    Store(config, parts);
    return ErrorText([&] { hf_->Open(folder_ / "q", {})->block(0); });
  }
  const Linear& Layer() {
    model_ = hf_->Open(folder_ / "q", {});
    for (int stage = 0; stage < model_->block(0).num_stages(); ++stage) {
      for (const Linear* linear : model_->block(0).stage_linears(stage)) {
        if (linear->shape().name == kStoredLayer) return *linear;
      }
    }
    throw InternalError("the layer is not there");
  }
  at::Tensor Weight() { return Layer().weight(); }
  // Its weights are ones: what it makes of inputs are sums of what these are rounded to.
  void ExpectRoundsTo(const ActivationGrid& grid, const Value& config, const Parts& parts) {
    Store(config, parts);
    const at::Tensor inputs = at::sin(at::arange(192, at::kFloat).view({2, 96})) * 3 + 1;
    const at::Tensor sums = grid.Round(inputs).sum(1, true).expand({2, 64});
    EXPECT_TRUE(at::allclose(Layer().Apply(inputs), sums, 1e-5, 0));
    EXPECT_FALSE(at::allclose(inputs.sum(1, true).expand({2, 64}), sums, 1e-5, 0));
  }

  static constexpr char kWhere[] = "DIR/q: 'model.layers.0.mlp.gate_proj' (4 bits in groups of 32): ";
  std::unique_ptr<ModelBackend> hf_ = MakeModelBackend("hf");
  std::unique_ptr<Model> model_;
};

TEST_F(QuantizedCheckpoint, SaysWhatItsWeightsAreStoredAs) {
  Store(GptqConfig(), GptqParts());
  EXPECT_TRUE(Weight().equal(at::full({64, 96}, -4.0)));
  const ModelSummary summary = hf_->Inspect(folder_ / "q");
  ASSERT_TRUE(summary.stored_quantization.has_value());
  EXPECT_EQ(summary.stored_quantization->method, "gptq");
  EXPECT_EQ(summary.baseline_note, "weights were quantized by another program (gptq, 4 bits in groups of 32)");
  // One of seven layers: 64 x 96 of 2 x 96 x 96 + 2 x 48 x 96 + 3 x 64 x 96 weights; the others stay in 16 bits.
  const double share = 6144.0 / (18432 + 9216 + 18432);
  EXPECT_DOUBLE_EQ(summary.stored_quantization->bits, 16 - 12 * share);
  EXPECT_DOUBLE_EQ(summary.stored_quantization->bits_per_weight, 16 - (12 - 16.0 / 32) * share);
  ASSERT_EQ(summary.stored_quantization->factors.size(), 3u);
  EXPECT_EQ(summary.stored_quantization->factors[0].column, "G");
  EXPECT_EQ(summary.stored_quantization->factors[0].value, Value(32));
  EXPECT_EQ(summary.factors.back().column, "stored_method");
  EXPECT_EQ(summary.factors.back().value, Value("gptq"));
}

TEST_F(QuantizedCheckpoint, ReadsZeroPointsOfTheFirstFormatAsOneMore) {
  Parts parts = GptqParts();
  parts["qzeros"] = at::full({3, 8}, 0x77777777, at::kInt);
  Store(With(GptqConfig(), "checkpoint_format", "gptq"), parts);
  EXPECT_TRUE(Weight().equal(at::full({64, 96}, -4.0)));
}

TEST_F(QuantizedCheckpoint, RoundsInputsAsItsConfigurationSays) {
  const Value inputs = Value::Map{{"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "token"}, {"dynamic", true}};
  const Value weights = Value::Map{{"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "channel"}};
  const Parts parts = {{"weight", at::full({64, 96}, 127, at::kChar)}, {"weight_scale", at::ones({64, 1}, at::kFloat)}};
  Store(Compressed("int-quantized", weights, inputs), parts);
  EXPECT_TRUE(Weight().equal(at::full({64, 96}, 127.0)));
  // 0.3 of a row whose largest is 127 rounds to 0, 1.6 to 2.
  at::Tensor row = at::full({1, 96}, 0.3);
  row[0][0] = 127.0;
  row[0][1] = 1.6;
  const Linear* layer = model_->block(0).stage_linears(2)[0];
  ASSERT_EQ(layer->shape().name, kStoredLayer);
  EXPECT_TRUE(layer->Apply(row).equal(at::full({1, 64}, 127.0 * 129)));
  ASSERT_EQ(hf_->Inspect(folder_ / "q").stored_quantization->factors.back().column, "B_a");
}

TEST_F(QuantizedCheckpoint, NamesWhatItsConfigurationLacks) {
  const std::string where = "DIR/q/config.json: quantization_config: ";
  EXPECT_EQ(Fault(With(GptqConfig(), "quant_method", "bitsandbytes"), GptqParts()),
            where + "quant_method 'bitsandbytes' is not supported. Supported: gptq, awq, compressed-tensors. Use the original "
                    "checkpoint.");
  EXPECT_EQ(Fault(With(GptqConfig(), "bits", 5), GptqParts()), where + "bits = 5 is not supported. Supported: 2, 3, 4, 8.");
  EXPECT_EQ(Fault(With(GptqConfig(), "bits", "4"), GptqParts()), where + "'bits' is '4'. It must be an integer in [1, 32].");
  EXPECT_EQ(Fault(With(GptqConfig(), "checkpoint_format", "marlin"), GptqParts()),
            where + "checkpoint_format 'marlin' is not supported. Supported: gptq, gptq_v2.");
  EXPECT_EQ(Fault(With(With(GptqConfig(), "quant_method", "awq"), "version", "GEMV"), GptqParts()),
            where + "version 'gemv' is not supported. Supported: gemm.");
  EXPECT_EQ(Fault(Compressed("marlin-24", Value::Map{{"num_bits", 4}}), GptqParts()),
            where + "group_0: format 'marlin-24' of weights of type int with 4 bits is not supported. Supported: "
                    "pack-quantized, int-quantized, naive-quantized, float-quantized of 8 bits, nvfp4-pack-quantized, "
                    "mxfp4-pack-quantized, mxfp8-quantized.");
}

TEST_F(QuantizedCheckpoint, NamesTensorsThatAreMissingOrOfAnotherForm) {
  Parts parts = GptqParts();
  parts.erase("scales");
  parts["qzeros"] = at::zeros({3, 7}, at::kInt);
  EXPECT_EQ(Fault(GptqConfig(), parts), std::string(kWhere) + "qzeros is [3, 7]. It must be [3, 8]. scales is missing.");
  parts = GptqParts();
  parts["scales"] = at::ones({3, 64}, at::kInt);
  parts["qweight"] = at::zeros({11, 64}, at::kInt);
  EXPECT_EQ(Fault(GptqConfig(), parts), std::string(kWhere) + "qweight is [11, 64]. It must be [12, 64]. scales has dtype I32. "
                                                              "It must be F16 or BF16 or F32.");
  parts = GptqParts();
  parts.erase("g_idx");
  EXPECT_EQ(Fault(With(GptqConfig(), "desc_act", true), parts), std::string(kWhere) + "g_idx is missing.");
  EXPECT_EQ(Fault(GptqConfig(), {{"weight", at::zeros({64, 96}, at::kFloat)}}),
            "DIR/q: quantization_config says that weights are quantized with gptq, and no layer has their tensors. The files "
            "belong to different checkpoints.");
}

TEST_F(QuantizedCheckpoint, NamesNumbersThatCannotBe) {
  const std::string where = "DIR/q: 'model.layers.0.mlp.gate_proj': ", end = " The checkpoint is damaged.";
  Parts parts = GptqParts();
  parts["g_idx"] = at::arange(96, at::kInt).div(24, "floor").to(at::kInt);
  EXPECT_EQ(Fault(GptqConfig(), parts), where + "g_idx spans [0, 3], and there are 3 groups." + end);
  parts = GptqParts();
  parts["scales"][1][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Fault(GptqConfig(), parts), where + "a weight is not finite." + end);
  parts = GptqParts();
  parts["bias"] = at::ones({64}, at::kHalf);
  EXPECT_EQ(Fault(GptqConfig(), parts),
            where + "it has a bias that is not zero, and a model of this configuration has none." + end);
  parts["bias"] = at::zeros({64}, at::kHalf);  // As some programs store it for every layer.
  EXPECT_EQ(Fault(GptqConfig(), parts), "no error");
  const Value four = Value::Map{{"num_bits", 4}, {"type", "int"}, {"symmetric", true}, {"strategy", "channel"}};
  EXPECT_EQ(Fault(Compressed("int-quantized", four), {{"weight", at::full({64, 96}, 8, at::kChar)},
                                                      {"weight_scale", at::ones({64, 1}, at::kFloat)}}),
            where + "a code of weight lies outside [-8, 7]." + end);
  EXPECT_EQ(Fault(Compressed("pack-quantized", four), {{"weight_packed", at::zeros({64, 12}, at::kInt)},
                                                       {"weight_shape", at::tensor({96, 64}, at::kLong)},
                                                       {"weight_scale", at::ones({64, 1}, at::kFloat)}}),
            where + "weight_shape says [96, 64], the configuration [64, 96]." + end);
}

// E4M3 with one scale a pass is found by no grid of inputs; per token it is.
TEST_F(QuantizedCheckpoint, LeavesOutRoundedInputsThatItDoesNotComputeOnlyWhenAsked) {
  const auto inputs = [](const char* strategy) {
    return Value(Value::Map{{"num_bits", 8}, {"type", "float"}, {"strategy", strategy}, {"dynamic", true}});
  };
  const Value weights = Value::Map{{"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "channel"}};
  const Value config = Compressed("int-quantized", weights, inputs("tensor"));
  const Value tokens = Compressed("int-quantized", weights, inputs("token"));
  const Parts parts = {{"weight", at::ones({64, 96}, at::kChar)}, {"weight_scale", at::ones({64, 1}, at::kFloat)}};
  EXPECT_EQ(Fault(config, parts), "DIR/q/config.json: quantization_config: group_0: inputs are quantized to float of 8 bits with "
                                  "strategy 'tensor', which is not computed here. Set backend_options: {weights_only: true} "
                                  "to leave that out.");
  EXPECT_EQ(Fault(tokens, parts), "no error");
  EXPECT_EQ(hf_->Inspect(folder_ / "q").baseline_note,
            "weights were quantized by another program (compressed-tensors, 8 bits with a scale a row, inputs in fp8_e4m3)");
  hf_ = MakeModelBackend("hf", {{"weights_only", true}});
  EXPECT_EQ(Fault(config, parts), "no error");
  EXPECT_EQ(hf_->Inspect(folder_ / "q").baseline_note,
            "weights were quantized by another program (compressed-tensors, 8 bits with a scale a row); left out: inputs are "
            "quantized to float of 8 bits with strategy 'tensor'");
  EXPECT_EQ(Fault(tokens, parts), "no error");
  EXPECT_EQ(hf_->Inspect(folder_ / "q").baseline_note,
            "weights were quantized by another program (compressed-tensors, 8 bits with a scale a row); left out: inputs are "
            "quantized to float of 8 bits");
}

// Zero point -28 of a signed byte is code 100 of [0, 255]; the divisor of NVFP4 is its input_global_scale.
TEST_F(QuantizedCheckpoint, TakesTheNumbersOfInputsThatALayerStores) {
  const Value rows = Value::Map{{"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "channel"}};
  const Parts weight = {{"weight", at::ones({64, 96}, at::kChar)}, {"weight_scale", at::ones({64, 1}, at::kFloat)}};
  const Value asymmetric = Value::Map{{"num_bits", 8}, {"type", "int"}, {"symmetric", false}, {"strategy", "tensor"}};
  Parts parts = weight;
  parts["input_scale"] = at::full({1}, 0.5F);
  parts["input_zero_point"] = at::full({1}, -28, at::kChar);
  ActivationGrid grid{.bits = 8, .symmetric = false, .per_token = false, .static_scale = 0.5};
  grid.static_zero = 100;
  ExpectRoundsTo(grid, Compressed("int-quantized", rows, asymmetric), parts);
  parts["input_scale"] = at::full({1}, -0.5F);
  EXPECT_EQ(Fault(Compressed("int-quantized", rows, asymmetric), parts),
            "DIR/q: 'model.layers.0.mlp.gate_proj': input_scale is -0.5. It must be finite and positive. The checkpoint is "
            "damaged.");
  const Value nvfp4 = Value::Map{{"num_bits", 4}, {"type", "float"}, {"strategy", "tensor_group"}, {"group_size", 16},
                                 {"dynamic", "local"}};
  parts = weight;
  parts["input_global_scale"] = at::full({1}, 672.0F);
  ActivationGrid blocks{.bits = 4, .format = InputFormat::kNvfp4};
  blocks.scale_divisor = 672;
  ExpectRoundsTo(blocks, Compressed("int-quantized", rows, nvfp4), parts);
  EXPECT_EQ(Fault(Compressed("int-quantized", rows, nvfp4), weight),
            "DIR/q: 'model.layers.0.mlp.gate_proj' (8 bits with a scale a row, inputs in nvfp4): input_global_scale is "
            "missing.");
}

}  // namespace
}  // namespace bitlaw
