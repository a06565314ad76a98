#include "support/exporters.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/sdk/checkpoint/hf_export.h"
#include "bitlaw/sdk/checkpoint/tensor_to_write.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "support/tiny_checkpoint.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;

constexpr char kGate[] = "model.layers.0.mlp.gate_proj", kDown[] = "model.layers.0.mlp.down_proj";

// A tiny checkpoint and layers of it: gate_proj [64, 32] and down_proj [32, 64].
class ExportTest : public FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    WriteTinyCheckpoint(folder_ / "from", {.hidden = 32, .blocks = 1, .mlp = 64});
  }

  void Add(const std::string& name, QuantizedLinear layer) {
    LinearShape shape{name, 0, layer.codes.size(1), layer.codes.size(0)};
    layer.Validate(shape);
    shapes_.push_back(std::make_unique<LinearShape>(shape));
    linears_.push_back(std::make_unique<QuantizedLinear>(std::move(layer)));
    layers_.push_back({*shapes_.back(), *linears_.back()});
  }
  void AddGate(int bits = 4, bool symmetric = true, int64_t group = 16) {
    Add(kGate, PlacedLayer(64, 32, group, bits, symmetric));
  }

  // [64, 32] of codes of 0.5, 1, 0.5, ... with scales 0.5.
  static QuantizedLinear LevelLayer(FloatFormat format, int64_t group, const char* scale_dtype) {
    const std::span<const float> levels = LevelsOf(format);
    QuantizedLinear q = PlacedLayer(64, 32, group, 4, true);
    q.bits = format == FloatFormat::kE2M1 ? 4 : 8;
    q.levels = at::tensor(at::ArrayRef<float>(levels.data(), levels.size()));
    q.codes = at::searchsorted(q.levels, at::tensor({0.5F, 1.0F})).to(at::kByte).repeat({64, 16});
    q.zeros.zero_();
    q.scales.fill_(0.5F);
    q.scale_dtype = scale_dtype;
    return q;
  }

  ExportModel model() const { return {summary_, layers_, others_, kv_cache_}; }
  StoredTensors Export(const std::string& format, const Value::Map& options = {}) {
    std::filesystem::remove_all(folder_ / "to");
    std::filesystem::create_directories(folder_ / "to");
    MakeExporter(format, options)->Export(folder_ / "from", model(), folder_ / "to");
    return StoredTensors(folder_ / "to" / "model.safetensors");
  }
  std::string Refusal(const std::string& format, const Value::Map& options = {}) {
    return MakeExporter(format, options)->ExplainUnsupported(model());
  }
  Value Config() const { return ParseJson(Read(folder_ / "to" / "config.json"), "config.json"); }

  ModelSummary summary_;
  std::vector<std::unique_ptr<LinearShape>> shapes_;
  std::vector<std::unique_ptr<QuantizedLinear>> linears_;
  std::vector<ExportLayer> layers_;
  std::vector<ExportWeight> others_;
  const KvCacheGrid* kv_cache_ = nullptr;
};

at::Tensor Floats(const std::string& bytes, at::IntArrayRef shape) {
  return at::from_blob(const_cast<char*>(bytes.data()), shape, at::kFloat).clone();
}

TEST_F(ExportTest, DenseWritesTheValuesOfTheCodes) {
  AddGate(4, false);
  QuantizedLinear scaled = PlacedLayer(32, 64, 64, 3, true);
  scaled.input_scale = at::full({64}, 2.0F);
  Add(kDown, scaled);
  const StoredTensors stored = Export("dense");
  EXPECT_EQ(stored.entries().size(), StoredTensors(folder_ / "from" / "model.safetensors").entries().size());
  EXPECT_TRUE(Floats(stored.Bytes(std::string(kGate) + ".weight"), {64, 32}).equal(layers_[0].linear.Dequantize()));
  // Inputs that are divided by 2 before the product: half the weights.
  EXPECT_TRUE(Floats(stored.Bytes(std::string(kDown) + ".weight"), {32, 64}).equal(layers_[1].linear.Dequantize() / 2));
  EXPECT_EQ(stored.Bytes("model.embed_tokens.weight"),
            StoredTensors(folder_ / "from" / "model.safetensors").Bytes("model.embed_tokens.weight"));
  EXPECT_EQ(Read(folder_ / "to" / "tokenizer.json"), Read(folder_ / "from" / "tokenizer.json"));
  EXPECT_EQ(Config().Find("torch_dtype")->AsString(), "float32");
}

TEST_F(ExportTest, DenseTakesADtypeAndSaysSo) {
  AddGate();
  const StoredTensors stored = Export("dense", {{"dtype", "bfloat16"}});
  EXPECT_EQ(stored.entries().at(std::string(kGate) + ".weight").dtype, "BF16");
  EXPECT_EQ(stored.entries().at("model.norm.weight").dtype, "F32");
  EXPECT_EQ(Config().Find("torch_dtype")->AsString(), "bfloat16");
}

TEST_F(ExportTest, NormsThatTransformsChangedTakeThePlaceOfTheCheckpoints) {
  AddGate();
  const std::string name = "model.layers.0.input_layernorm.weight";
  const at::Tensor norm = at::full({32}, 0.25F);
  others_.push_back({name, norm});
  for (const char* format : {"dense", "gptq_v2", "compressed_tensors"}) {
    EXPECT_TRUE(Floats(Export(format).Bytes(name), {32}).equal(norm)) << format;
  }
}

TEST_F(ExportTest, GptqConfigSaysWhatTheFilesHold) {
  AddGate(3, true, 32);
  Export("gptq_v2");
  const Value config = *Config().Find("quantization_config");
  EXPECT_EQ(config.Find("bits")->AsInt(), 3);
  EXPECT_EQ(config.Find("group_size")->AsInt(), -1);  // 32 columns: whole rows.
  EXPECT_EQ(config.Find("checkpoint_format")->AsString(), "gptq_v2");
  EXPECT_FALSE(config.Find("desc_act")->AsBool());
  EXPECT_TRUE(config.Find("sym")->AsBool());
  EXPECT_EQ(ParseJson(Read(folder_ / "to" / "quantize_config.json"), "q"), config);
}

// Zero points of 8, four bits each, eight a word: 0x88888888, or 0x77777777 less one.
TEST_F(ExportTest, GptqStoresZeroPointsAsTheFormatHasThem) {
  AddGate(4, true, 32);
  const std::string zeros = std::string(kGate) + ".qzeros";
  EXPECT_EQ(Export("gptq_v2").Bytes(zeros), std::string(32, '\x88'));
  EXPECT_EQ(Export("gptq_v2", {{"checkpoint_format", "gptq"}}).Bytes(zeros), std::string(32, '\x77'));
}

TEST_F(ExportTest, GptqOneRefusesAZeroPointOfZero) {
  AddGate(4, false);
  EXPECT_THAT(ErrorText([&] {
                Export("gptq_v2", {{"checkpoint_format", "gptq"}});
              }),
              HasSubstr(std::string(kGate) + ": a zero point is 0, which checkpoint_format: gptq stores as -1"));
}

TEST_F(ExportTest, GptqKeepsScatteredGroupsInItsIndex) {
  QuantizedLinear layer = PlacedLayer(64, 32, 16, 4, true);
  layer.group_index = layer.group_index.flip(0).contiguous();
  Add(kGate, layer);
  const StoredTensors stored = Export("gptq_v2");
  EXPECT_TRUE(Config().Find("quantization_config")->Find("desc_act")->AsBool());
  EXPECT_EQ(stored.Bytes(std::string(kGate) + ".g_idx").substr(0, 4), std::string("\1\0\0\0", 4));
  EXPECT_THAT(Refusal("compressed_tensors"), HasSubstr("the columns of a group do not lie together"));
  EXPECT_EQ(Refusal("compressed_tensors", {{"g_idx", true}}), "");
  EXPECT_EQ(Export("compressed_tensors", {{"g_idx", true}}).entries().count(std::string(kGate) + ".weight_g_idx"), 1u);
}

TEST_F(ExportTest, CompressedTensorsNamesLayersOfEachScheme) {
  AddGate(4, true, 16);
  Add(kDown, PlacedLayer(32, 64, 64, 8, true));
  Export("compressed_tensors");
  const Value config = *Config().Find("quantization_config");
  EXPECT_EQ(config.Find("format")->AsString(), "pack-quantized");
  const Value& first = *config.Find("config_groups")->Find("group_0");
  EXPECT_EQ(first.Find("targets")->Text(), std::string("['") + kGate + "']");
  EXPECT_EQ(first.Find("weights")->Find("strategy")->AsString(), "group");
  EXPECT_EQ(first.Find("weights")->Find("group_size")->AsInt(), 16);
  const Value& second = *config.Find("config_groups")->Find("group_1");
  EXPECT_EQ(second.Find("weights")->Find("num_bits")->AsInt(), 8);
  EXPECT_EQ(second.Find("weights")->Find("strategy")->AsString(), "channel");
  EXPECT_THAT(config.Find("ignore")->Text(), HasSubstr("'lm_head'"));
  EXPECT_THAT(config.Find("ignore")->Text(), HasSubstr("'model.layers.0.mlp.up_proj'"));
}

TEST_F(ExportTest, CompressedTensorsWritesBytesBesideRoundedInputs) {
  QuantizedLinear layer = PlacedLayer(64, 32, 32, 8, true);
  layer.activation = ActivationGrid{.bits = 8, .symmetric = true, .per_token = true};
  Add(kGate, layer);
  const StoredTensors stored = Export("compressed_tensors");
  // Code 0 counts from the middle one: -128.
  EXPECT_EQ(stored.Bytes(std::string(kGate) + ".weight").substr(0, 2), std::string("\x80\x85", 2));
  const Value config = Config();
  const Value& group = *config.Find("quantization_config")->Find("config_groups")->Find("group_0");
  const Value& inputs = *group.Find("input_activations");
  EXPECT_EQ(inputs.Find("strategy")->AsString(), "token");
  EXPECT_TRUE(inputs.Find("dynamic")->AsBool());
  EXPECT_THAT(Refusal("gptq_v2"), HasSubstr("its inputs are rounded, which the format cannot say"));
  EXPECT_THAT(Refusal("dense"), HasSubstr("its inputs are rounded, which plain weights cannot say"));
  EXPECT_EQ(Refusal("dense", {{"weights_only", true}}), "");
}

// A static range: code 100 of [0, 255] is -28 as a signed byte.
TEST_F(ExportTest, CompressedTensorsWritesTheScaleAndZeroPointOfStaticInputs) {
  QuantizedLinear layer = PlacedLayer(64, 32, 32, 8, true);
  layer.activation = ActivationGrid{.bits = 8, .symmetric = false, .per_token = false, .static_scale = 0.5};
  layer.activation->static_zero = 100;
  Add(kGate, layer);
  const StoredTensors stored = Export("compressed_tensors");
  EXPECT_EQ(stored.Bytes(std::string(kGate) + ".input_zero_point"), std::string("\xe4", 1));
  EXPECT_EQ(stored.Bytes(std::string(kGate) + ".input_scale"), std::string("\0\0\0\x3f", 4));
  const Value config = Config();
  const Value& inputs =
      *config.Find("quantization_config")->Find("config_groups")->Find("group_0")->Find("input_activations");
  EXPECT_EQ(inputs.Find("strategy")->AsString(), "tensor");
  EXPECT_FALSE(inputs.Find("symmetric")->AsBool());
}

// E2M1 in blocks of 16: codes 7 + 1 and 7 + 2 are 0.5 and 1, bits 1 and 2, the first in the low half of a byte.
TEST_F(ExportTest, CompressedTensorsWritesNvfp4) {
  Add(kGate, LevelLayer(FloatFormat::kE2M1, 16, "float8_e4m3fn"));
  linears_.back()->activation = ActivationGrid{.bits = 4, .format = InputFormat::kNvfp4};
  linears_.back()->activation->scale_divisor = 672;
  linears_.back()->scale_divisor = 2;
  const StoredTensors stored = Export("compressed_tensors");
  const std::string gate = kGate;
  EXPECT_EQ(stored.entries().at(gate + ".weight_packed").shape, (std::vector<int64_t>{64, 16}));
  EXPECT_EQ(stored.Bytes(gate + ".weight_packed").substr(0, 2), std::string("\x21\x21", 2));
  EXPECT_EQ(stored.entries().at(gate + ".weight_scale").dtype, "F8_E4M3");
  EXPECT_EQ(stored.Bytes(gate + ".weight_scale"), std::string(128, '\x38'));  // 0.5 * 2 = 1, exponent 7 of 4 bits.
  EXPECT_EQ(stored.Bytes(gate + ".weight_global_scale"), std::string("\0\0\0\x40", 4));
  EXPECT_EQ(stored.Bytes(gate + ".input_global_scale"), std::string("\0\0\x28\x44", 4));
  const Value config = Config();
  const Value& group = *config.Find("quantization_config")->Find("config_groups")->Find("group_0");
  EXPECT_EQ(group.Find("format")->AsString(), "nvfp4-pack-quantized");
  EXPECT_EQ(group.Find("weights")->Text(),
            "{num_bits: 4, type: 'float', symmetric: true, dynamic: false, strategy: 'tensor_group', group_size: 16, "
            "scale_dtype: 'torch.float8_e4m3fn', zp_dtype: 'torch.float8_e4m3fn'}");
  EXPECT_EQ(group.Find("input_activations")->Find("dynamic")->AsString(), "local");
}

// Powers of two as their exponent plus 127: 0.5 is 126. E4M3's 0.5 and 1 are 0x30 and 0x38.
TEST_F(ExportTest, CompressedTensorsWritesBlocksWithPowersOfTwo) {
  Add(kGate, LevelLayer(FloatFormat::kE2M1, 32, "float8_e8m0fnu"));
  const std::string scales = std::string(kGate) + ".weight_scale", weight = std::string(kGate) + ".weight";
  const StoredTensors four = Export("compressed_tensors");
  EXPECT_EQ(four.Bytes(scales), std::string(64, '\x7e'));
  EXPECT_EQ(four.entries().at(scales).dtype, "U8");
  EXPECT_EQ(Config().Find("quantization_config")->Find("format")->AsString(), "mxfp4-pack-quantized");
  layers_.clear();
  Add(kGate, LevelLayer(FloatFormat::kE4M3, 32, "float8_e8m0fnu"));
  const StoredTensors eight = Export("compressed_tensors");
  EXPECT_EQ(eight.entries().at(weight).dtype, "F8_E4M3");
  EXPECT_EQ(eight.Bytes(weight).substr(0, 2), std::string("\x30\x38", 2));
  EXPECT_EQ(Config().Find("quantization_config")->Find("format")->AsString(), "mxfp8-quantized");
}

TEST_F(ExportTest, CompressedTensorsWritesFloat8WithOneScaleOrOneARow) {
  Add(kGate, LevelLayer(FloatFormat::kE4M3, 32, "float32"));
  const std::string scale = std::string(kGate) + ".weight_scale";
  EXPECT_EQ(Export("compressed_tensors").entries().at(scale).shape, (std::vector<int64_t>{1}));
  const auto weights = [&] {
    return Config().Find("quantization_config")->Find("config_groups")->Find("group_0")->Find("weights")->Find("strategy")
        ->AsString();
  };
  EXPECT_EQ(weights(), "tensor");
  EXPECT_EQ(Config().Find("quantization_config")->Find("format")->AsString(), "naive-quantized");
  linears_.back()->scales[3][0] = 0.25F;
  linears_.back()->activation = ActivationGrid{.bits = 8, .format = InputFormat::kFp8E4m3};
  EXPECT_EQ(Export("compressed_tensors").entries().at(scale).shape, (std::vector<int64_t>{64, 1}));
  EXPECT_EQ(weights(), "channel");
  EXPECT_EQ(Config().Find("quantization_config")->Find("format")->AsString(), "float-quantized");
}

TEST_F(ExportTest, CompressedTensorsRefusesFloatsInBlocksOfOtherSizesAndInScatteredGroups) {
  Add(kGate, LevelLayer(FloatFormat::kE2M1, 32, "float16"));
  EXPECT_THAT(Refusal("compressed_tensors"), HasSubstr("its grid has levels of its own; the format holds integers, E2M1 and "
                                                       "E4M3. Use grid uniform, nvfp4, mxfp4, mxfp8 or fp8"));
  layers_.clear();
  Add(kGate, LevelLayer(FloatFormat::kE2M1, 16, "float8_e4m3fn"));
  linears_.back()->group_index = linears_.back()->group_index.flip(0).contiguous();
  EXPECT_THAT(Refusal("compressed_tensors", {{"g_idx", true}}), HasSubstr("which the format says of integers alone"));
}

TEST_F(ExportTest, CompressedTensorsRefusesInputsWithAScaleEachGroup) {
  QuantizedLinear layer = PlacedLayer(64, 32, 32, 8, true);
  layer.activation = ActivationGrid{.bits = 8, .group_size = 16};
  Add(kGate, layer);
  EXPECT_THAT(Refusal("compressed_tensors"), HasSubstr("its inputs have a scale each group of channels, and readers take "
                                                       "one a token or one a tensor. Set activations.per: token."));
}

TEST_F(ExportTest, CompressedTensorsRefusesPowersOfTwoThatReadersDoNotFind) {
  for (const InputFormat format : {InputFormat::kMxfp4, InputFormat::kMxfp8}) {
    QuantizedLinear layer = PlacedLayer(64, 32, 32, 8, true);
    layer.activation = ActivationGrid{.bits = BitsOf(format), .format = format};
    layers_.clear();
    Add(kGate, layer);
    EXPECT_THAT(Refusal("compressed_tensors"),
                HasSubstr("the scales of its inputs are found by scale_rule: floor, and readers round them to the nearest "
                          "power of two. Set activations.scale_rule: round."));
  }
}

TEST_F(ExportTest, WhatAFormatCannotSayIsRefusedByLayer) {
  EXPECT_THAT(Refusal("dense"), HasSubstr("no weight is quantized"));
  QuantizedLinear levels = PlacedLayer(64, 32, 16, 2, true);
  levels.levels = at::tensor({-1.0F, -0.25F, 0.5F, 1.0F});
  levels.zeros.zero_();
  Add(kGate, levels);
  for (const char* format : {"gptq_v2", "compressed_tensors"}) {
    EXPECT_THAT(Refusal(format), HasSubstr(std::string(kGate) + ": its grid has levels of its own")) << format;
  }
  layers_.clear();
  QuantizedLinear real = PlacedLayer(64, 32, 16, 4, false);
  real.zeros = real.zeros.to(at::kFloat) + 0.5;
  Add(kGate, real);
  for (const char* format : {"gptq_v2", "compressed_tensors"}) {
    EXPECT_THAT(Refusal(format), HasSubstr(std::string(kGate) + ": its zero points are real numbers")) << format;
  }
  EXPECT_EQ(Refusal("dense"), "");
  layers_.clear();
  QuantizedLinear shared = PlacedLayer(64, 32, 16, 4, false);
  shared.row_index = at::arange(64, at::kInt);
  Add(kGate, shared);
  for (const char* format : {"gptq_v2", "compressed_tensors"}) {
    EXPECT_THAT(Refusal(format), HasSubstr(std::string(kGate) + ": its rows share scales")) << format;
  }
  EXPECT_EQ(Refusal("dense"), "");
  layers_.clear();
  QuantizedLinear fine = PlacedLayer(64, 32, 16, 4, true);
  fine.scale_dtype = "float32";
  Add(kGate, fine);
  EXPECT_THAT(Refusal("gptq_v2"), HasSubstr("its scales are exact in float32 only"));
  layers_.clear();
  AddGate(5);
  EXPECT_THAT(Refusal("gptq_v2"), HasSubstr("its codes have 5 bits. The format has 2, 3, 4 and 8."));
  layers_.clear();
  AddGate(4, true, 24);
  for (const char* format : {"gptq_v2", "compressed_tensors"}) {
    EXPECT_THAT(Refusal(format), HasSubstr("its last group is shorter than 24")) << format;
  }
  layers_.clear();
  AddGate();
  const KvCacheGrid cache{.keys = KvGrid{}};
  kv_cache_ = &cache;
  for (const char* format : {"dense", "gptq_v2"}) {
    EXPECT_THAT(Refusal(format), HasSubstr("keys and values are rounded")) << format;
  }
}

TEST_F(ExportTest, AnotherCheckpointIsRefused) {
  Add("model.layers.7.mlp.gate_proj", PlacedLayer(64, 32, 16, 4, true));
  EXPECT_THAT(ErrorText([&] { Export("dense"); }),
              HasSubstr("DIR/from: holds no tensor 'model.layers.7.mlp.gate_proj.weight'"));
  layers_.clear();
  AddGate();
  EXPECT_THAT(
      ErrorText([&] { MakeExporter("dense")->Export(folder_ / "from" / "config.json", model(), folder_ / "to"); }),
      HasSubstr("is no Hugging Face folder"));
}

// transformers 5 stores all experts of a block in two tensors.
TEST_F(ExportTest, ExpertsOfOneTensorAreSplitWhereOneIsReplaced) {
  std::filesystem::create_directories(folder_ / "moe");
  std::filesystem::create_directories(folder_ / "to");
  std::ofstream(folder_ / "moe" / "config.json") << "{}";
  const at::Tensor gate_up = at::arange(2 * 4 * 3, at::kFloat).view({2, 4, 3}),
                   down = at::arange(2 * 3 * 2, at::kFloat).view({2, 3, 2});
  WriteSafetensors(
      folder_ / "moe" / "model.safetensors",
      {WriteTensor("layers.0.mlp.experts.gate_up_proj", gate_up), WriteTensor("layers.0.mlp.experts.down_proj", down),
       WriteTensor("layers.0.input_layernorm.weight", at::ones({3}))},
      {});
  HfExport out(folder_ / "moe");
  EXPECT_EQ(out.ModuleOf("model.layers.0.mlp.experts.1.up_proj.weight"), "layers.0.mlp.experts.1.up_proj");
  out.Replace("model.layers.0.mlp.experts.1.up_proj.weight", {WriteTensor("weight_packed", at::zeros({1}, at::kInt))});
  out.Write(folder_ / "to");
  const StoredTensors stored(folder_ / "to" / "model.safetensors");
  EXPECT_EQ(stored.entries().count("layers.0.mlp.experts.1.up_proj.weight_packed"), 1u);
  EXPECT_EQ(stored.entries().count("layers.0.mlp.experts.1.up_proj.weight"), 0u);
  EXPECT_TRUE(Floats(stored.Bytes("layers.0.mlp.experts.0.up_proj.weight"), {2, 3}).equal(gate_up[0].narrow(0, 2, 2)));
  EXPECT_TRUE(Floats(stored.Bytes("layers.0.mlp.experts.down_proj"), {2, 3, 2}).equal(down));
  EXPECT_EQ(stored.entries().count("layers.0.mlp.experts.gate_up_proj"), 0u);
}

}  // namespace
}  // namespace bitlaw
