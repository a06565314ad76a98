// An export, opened again, is the model that was evaluated: the same logits, bit for bit.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "quantize/quantize_model.h"
#include "support/exporters.h"
#include "support/fixture_study.h"
#include "support/models.h"
#include "support/quantizers.h"
#include "support/seeded_checkpoint.h"
#include "support/tiny_checkpoint.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char* name;
  const char* exporter;
  Value::Map exporter_options;
  const char* quantizer;
  Value::Map options;
  std::optional<ActivationGrid> activations;
  Dtype dtype;
  double bits_effective;
  const char* grid = nullptr;
  Value::Map grid_options{};
};

class ReadBack : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyCheckpoint(folder_ / "from", {.blocks = 2, .kv_heads = 4});
  }

  static at::Tensor Logits(Model& model) {
    const at::NoGradGuard no_grad;
    const at::Tensor tokens = at::arange(40, at::kLong).mul(7).remainder(256).view({2, 20});
    return model.Logits(model.Forward(tokens, {}));
  }

  static TokenSequences Calibration() {
    TokenSequences sequences{4, 32, {}};
    for (int32_t i = 0; i < 128; ++i) sequences.ids.push_back((i * 37 + i * i) % 256);
    return sequences;
  }

  static ActivationGrid Of(InputFormat format) {
    return {.bits = BitsOf(format), .format = format, .scale_rule = MxScale::kRound};  // As readers round.
  }
  // One scale a tensor, of the calibration's range.
  static ActivationGrid Range(int bits, bool symmetric) {
    return {.bits = bits, .symmetric = symmetric, .per_token = false};
  }

  const ScratchFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

TEST_F(ReadBack, GivesTheLogitsThatWereEvaluatedBitForBit) {
  const ActivationGrid tokens{.bits = 8}, asymmetric{.bits = 8, .symmetric = false},
      fixed{.bits = 8, .per_token = false, .static_scale = 0.03};
  const Value::Map four = {{"bits", 4}, {"group_size", 16}}, three = {{"bits", 3}, {"group_size", 16}, {"symmetric", true}},
                   rows = {{"bits", 8}, {"group_size", "row"}, {"symmetric", true}};
  const Value::Map row = {{"group_size", "row"}};
  const auto by = [](int64_t group_size) { return Value::Map{{"group_size", group_size}}; };
  ActivationGrid fp8_static = Of(InputFormat::kFp8E4m3);
  fp8_static.per_token = false;
  const auto with = [](Value::Map map, const char* key, Value value) {
    map.emplace_back(key, std::move(value));
    return map;
  };
  const Value::Map first = {{"checkpoint_format", "gptq"}}, scattered = with(with(four, "act_order", true), "group_params", "ref");
  // 4 + (16 + 4) / 16 bits; symmetric 3 + 16 / 16; of scattered groups 32 / C_out more, C_out 32 of all but
  // gate and up: 32 bits of each of 7 rows of inputs, 32 of six and 64 of down, over 10240 weights a block.
  const double index = 32.0 * (6 * 32 + 64) / (4 * 32 * 32 + 3 * 64 * 32);
  const Case cases[] = {
      {"gptq_v2 4 bits", "gptq_v2", {}, "rtn", four, {}, Dtype::kFloat32, 5.25},
      {"gptq_v2 4 bits in bfloat16", "gptq_v2", {}, "rtn", four, {}, Dtype::kBFloat16, 5.25},
      {"gptq_v2 3 bits", "gptq_v2", {}, "rtn", with(three, "scale_dtype", "float16"), {}, Dtype::kFloat32, 4},
      {"gptq of the first format", "gptq_v2", first, "rtn", three, {}, Dtype::kFloat32, 4},
      {"gptq_v2 in scattered groups", "gptq_v2", {}, "gptq", scattered, {}, Dtype::kFloat32, 5.25 + index},
      {"compressed-tensors 4 bits", "compressed_tensors", {}, "rtn", four, {}, Dtype::kFloat32, 5.25},
      {"compressed-tensors 3 bits", "compressed_tensors", {}, "rtn", three, {}, Dtype::kFloat32, 4},
      {"compressed-tensors with float32 scales", "compressed_tensors", {}, "rtn", with(three, "scale_dtype", "float32"), {},
       Dtype::kFloat32, 5},
      {"compressed-tensors in scattered groups", "compressed_tensors", {{"g_idx", true}}, "gptq", scattered, {}, Dtype::kFloat32,
       5.25 + index},
      {"W8A8", "compressed_tensors", {}, "rtn", rows, tokens, Dtype::kFloat32, -1},
      {"W8A8 asymmetric", "compressed_tensors", {}, "rtn", rows, asymmetric, Dtype::kFloat32, -1},
      {"W8A8 of one scale", "compressed_tensors", {}, "rtn", rows, fixed, Dtype::kFloat32, -1},
      {"W4A8", "compressed_tensors", {}, "rtn", four, tokens, Dtype::kBFloat16, 5.25},
      {"W8A8 of one scale and zero point", "compressed_tensors", {}, "rtn", rows, Range(8, false), Dtype::kFloat32, -1},
      // 8 + 32 / 32 bits of rows of 32; one scale of 32 bits for 1024 or 2048 weights.
      {"FP8 weights", "compressed_tensors", {}, "rtn", row, {}, Dtype::kFloat32, -1, "fp8"},
      {"FP8 weights of one scale", "compressed_tensors", {}, "rtn", row, {}, Dtype::kFloat32, -1, "fp8",
       {{"scale", "tensor"}}},
      {"FP8 weights in groups", "compressed_tensors", {}, "rtn", by(16), {}, Dtype::kFloat32, 10, "fp8"},
      {"FP8 weights with float16 scales", "compressed_tensors", {}, "rtn", by(16), {}, Dtype::kFloat32, 9, "fp8",
       {{"scale_dtype", "float16"}}},
      {"FP8 dynamic", "compressed_tensors", {}, "rtn", row, Of(InputFormat::kFp8E4m3), Dtype::kFloat32, -1, "fp8"},
      {"FP8 static", "compressed_tensors", {}, "rtn", row, fp8_static, Dtype::kBFloat16, -1, "fp8", {{"scale", "tensor"}}},
      // 4 + 8 / 16 bits and 32 of a tensor; 4 + 8 / 32; 8 + 8 / 32.
      {"NVFP4 weights", "compressed_tensors", {}, "rtn", by(16), {}, Dtype::kFloat32, -1, "nvfp4"},
      {"NVFP4", "compressed_tensors", {}, "rtn", by(16), Of(InputFormat::kNvfp4), Dtype::kFloat32, -1, "nvfp4"},
      {"NVFP4 in bfloat16", "compressed_tensors", {}, "rtn", by(16), Of(InputFormat::kNvfp4), Dtype::kBFloat16, -1, "nvfp4"},
      {"MXFP4 weights", "compressed_tensors", {}, "rtn", by(32), {}, Dtype::kFloat32, 4.25, "mxfp4"},
      {"MXFP4", "compressed_tensors", {}, "rtn", by(32), Of(InputFormat::kMxfp4), Dtype::kFloat32, 4.25, "mxfp4"},
      {"MXFP4 with FP8 inputs", "compressed_tensors", {}, "rtn", by(32), Of(InputFormat::kFp8E4m3), Dtype::kFloat32, 4.25,
       "mxfp4"},
      {"MXFP8", "compressed_tensors", {}, "rtn", by(32), Of(InputFormat::kMxfp8), Dtype::kFloat32, 8.25, "mxfp8"},
      {"4 bits with FP8 inputs", "compressed_tensors", {}, "rtn", four, Of(InputFormat::kFp8E4m3), Dtype::kFloat32, 5.25},
      {"8 bits with FP8 inputs", "compressed_tensors", {}, "rtn", rows, Of(InputFormat::kFp8E4m3), Dtype::kFloat32, -1},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    const auto hf = MakeModelBackend("hf");
    const auto model = hf->Open(folder_ / "from", {one.dtype, "cpu"});
    const auto quantizer = MakeQuantizer(one.quantizer, one.options);
    if (one.grid != nullptr) quantizer->TakeGrid(MakeGrid(one.grid, one.grid_options));
    QuantizeRecipe recipe;
    recipe.quantizer = quantizer.get();
    recipe.activations = one.activations;
    const TokenSequences calibration = Calibration();
    const QuantizedModel quantized = QuantizeModel(*model, recipe, &calibration, {});
    std::vector<ExportLayer> layers;
    for (const QuantizedLayer& layer : quantized.layers) layers.push_back({layer.shape, layer.linear});
    const ModelSummary summary = model->summary();
    fs::remove_all(folder_ / "to");
    fs::create_directories(folder_ / "to");
    MakeExporter(one.exporter, one.exporter_options)->Export(folder_ / "from", {summary, layers}, folder_ / "to");

    const auto read = hf->Open(folder_ / "to", {one.dtype, "cpu"});
    EXPECT_TRUE(Logits(*read).equal(Logits(*model)));
    const StoredQuantization& stored = read->summary().stored_quantization.value();
    EXPECT_DOUBLE_EQ(stored.bits, quantized.bits_requested);
    EXPECT_DOUBLE_EQ(stored.bits_per_weight, quantized.bits_effective);
    if (one.bits_effective > 0) {
      EXPECT_DOUBLE_EQ(stored.bits_per_weight, one.bits_effective);
    }
    try {
      QuantizeModel(*read, *quantizer, &calibration, {});
      ADD_FAILURE() << "it was quantized twice";
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).substr(0, 41), "to: its weights are quantized already (" + stored.method.substr(0, 2));
    }
  }
}

// What a rotation leaves in weights is a plain checkpoint: embedding, norms, routers and a head that was tied to the
// embedding. The checkpoints' norms are not ones, Gemma's multiply by 1 + weight, Mixtral has routers, Qwen2-MoE the gate
// of a shared expert too.
TEST_F(ReadBack, OfARotatedModelIsTheSameModel) {
  const auto hf = MakeModelBackend("hf");
  const auto rotation = MakeTransform("rotation", {{"down_inputs", false}});
  const auto quantizer = MakeQuantizer("rtn", {{"bits", 4}, {"group_size", 8}});
  QuantizeRecipe recipe;
  recipe.transforms = {rotation.get()};
  recipe.quantizer = quantizer.get();
  for (const char* name : {"gemma", "mixtral", "mistral", "phi3", "qwen2_moe"}) {
    SCOPED_TRACE(name);
    WriteSeededCheckpoint(ArchitectureGolden(name), folder_ / name);
    const auto model = hf->Open(folder_ / name, {Dtype::kFloat32, "cpu"});
    const QuantizedModel quantized = QuantizeModel(*model, recipe, nullptr, {});
    std::vector<ExportLayer> layers;
    for (const QuantizedLayer& layer : quantized.layers) layers.push_back({layer.shape, layer.linear});
    std::vector<ExportWeight> others;
    for (const auto* weights : {&quantized.other_weights, &quantized.model_weights}) {
      for (const auto& [weight, value] : *weights) others.push_back({weight, value});
    }
    for (const auto& [format, options] :
         {std::pair("dense", Value::Map{{"dtype", "float32"}}), {"gptq_v2", Value::Map{}}}) {
      fs::remove_all(folder_ / "to");
      fs::create_directories(folder_ / "to");
      const auto exporter = MakeExporter(format, options);
      const ExportModel what = {model->summary(), layers, others};
      if (!ExplainExport(*exporter, what).empty()) continue;  // Experts of Mixtral in gptq_v2.
      if (std::string(name) == "phi3" && std::string(format) == "gptq_v2") continue;  // Fused matrices are not read back.
      exporter->Export(folder_ / name, what, folder_ / "to");
      EXPECT_TRUE(Logits(*hf->Open(folder_ / "to", {Dtype::kFloat32, "cpu"})).equal(Logits(*model))) << format;
    }
  }
}

// Blocks of experts and dense ones, and shared experts: each layer goes where its own name is.
TEST_F(ReadBack, OfModelsWithDenseBlocksAmongExperts) {
  const auto hf = MakeModelBackend("hf");
  const auto quantizer = MakeQuantizer("gptq", {{"bits", 4}, {"group_size", 8}, {"on_unseen", "rtn"}});
  const TokenSequences calibration = Calibration();
  for (const auto& [name, count] : {std::pair("qwen3_moe_dense_blocks", 3 * 7 + 4 + 5 * 3),
                                    {"qwen2_moe", 7 + 2 * (4 + 5 * 3 + 3)}}) {
    SCOPED_TRACE(name);
    WriteSeededCheckpoint(ArchitectureGolden(name), folder_ / name);
    const auto model = hf->Open(folder_ / name, {Dtype::kFloat32, "cpu"});
    const QuantizedModel quantized = QuantizeModel(*model, *quantizer, &calibration, {.allow_fallback = true});
    ASSERT_EQ(quantized.layers.size(), static_cast<size_t>(count));
    std::vector<ExportLayer> layers;
    for (const QuantizedLayer& layer : quantized.layers) layers.push_back({layer.shape, layer.linear});
    for (const auto& [format, options] :
         {std::pair("dense", Value::Map{{"dtype", "float32"}}), {"compressed_tensors", Value::Map{}}}) {
      fs::remove_all(folder_ / "to");
      fs::create_directories(folder_ / "to");
      MakeExporter(format, options)->Export(folder_ / name, {model->summary(), layers}, folder_ / "to");
      const auto read = hf->Open(folder_ / "to", {Dtype::kFloat32, "cpu"});
      EXPECT_TRUE(Logits(*read).equal(Logits(*model))) << format;
      EXPECT_EQ(read->summary().linears.size(), layers.size()) << format;
    }
  }
}

TEST_F(ReadBack, RotationsOfEachPassAreRefused) {
  const auto hf = MakeModelBackend("hf");
  const auto model = hf->Open(folder_ / "from", {Dtype::kFloat32, "cpu"});
  const std::string place = "model.layers.0.mlp.out";
  const Rotation rotation = Rotation::Hadamard(64);
  const ExportRotation rotations[] = {{place, rotation}};
  const QuantizedLinear gate = PlacedLayer(64, 32, 16, 4, true);
  const LinearShape shape{"model.layers.0.mlp.gate_proj", 0, 32, 64};
  const ExportLayer layers[] = {{shape, gate}};
  const ModelSummary summary = model->summary();
  const ExportModel what = {.summary = summary, .layers = layers, .rotations = rotations};
  for (const char* format : {"dense", "gptq_v2", "compressed_tensors"}) {
    const auto exporter = MakeExporter(format);
    EXPECT_EQ(exporter->ExplainUnsupported(what), "");
    const std::string why =
        "the model computes 1 rotations in each pass, one at model.layers.0.mlp.out, which the format cannot say: "
        "without "
        "them its weights are another model's. Rotate what weights can take alone: transform 'rotation' with keys: "
        "false "
        "and down_inputs: false.";
    EXPECT_EQ(ExplainExport(*exporter, what), why);
    fs::create_directories(folder_ / "to");
    try {
      exporter->Export(folder_ / "from", what, folder_ / "to");
      ADD_FAILURE() << format;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), "exporter '" + std::string(format) + "': " + why);
    }
  }
}

}  // namespace
}  // namespace bitlaw
