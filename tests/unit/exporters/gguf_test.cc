// GGUF exports: blocks by hand, metadata, what is refused; read back, the logits that were evaluated, bit for bit.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "bitlaw/sdk/checkpoint/gguf_file.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "quantize/quantize_model.h"
#include "support/exporters.h"
#include "support/fixture_study.h"
#include "support/models.h"
#include "support/quantizers.h"
#include "support/tiny_checkpoint.h"
#include "unit/exporters/gguf_fixture.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr char kEmbedding[] = "model.embed_tokens", kQuery[] = "model.layers.0.self_attn.q_proj";

// Codes of row 0 are 5 j mod 16: 0, 5, 10, ... and 80 mod 16 = 0 for j = 16. Scale 1 / 64 is 0x2400 in float16.
TEST_F(GgufExport, WritesBlocksOfFourBitsWithTheHalvesOfABlockInTheHalvesOfBytes) {
  Add(kDown, PlacedLayer(32, 64, 32, 4, true));
  const GgufFile file = Export();
  EXPECT_EQ(TypeOf(file, "blk.0.ffn_down.weight"), "Q4_0");
  EXPECT_EQ(BytesOf(file, "blk.0.ffn_down.weight", 5), std::string("\x00\x24\x00\x55\xaa", 5));
  EXPECT_EQ(file.Int("general.file_type"), 2);
}

// Two bits count from the middle code 2, and the type from 8: codes 0, 1, 2, 3 are 6, 7, 8, 9.
TEST_F(GgufExport, WritesFewerBitsInTheTypeOfFour) {
  Add(kDown, PlacedLayer(32, 64, 64, 2, true));
  const GgufFile file = Export();
  EXPECT_EQ(BytesOf(file, "blk.0.ffn_down.weight", 6), std::string("\x00\x24\x66\x77\x88\x99", 6));
}

// Row 1 has zero points 1 and 4 and scales 2 / 64 and 2.25 / 64: offsets -1 / 32 (0xa800) and -9 / 64 (0xb080).
TEST_F(GgufExport, WritesZeroPointsAsOffsets) {
  Add(kDown, PlacedLayer(32, 64, 32, 4, false));
  const GgufFile file = Export();
  EXPECT_EQ(TypeOf(file, "blk.0.ffn_down.weight"), "Q4_1");
  const std::string row = BytesOf(file, "blk.0.ffn_down.weight", 80).substr(40);
  EXPECT_EQ(row.substr(0, 4), std::string("\x00\x28\x00\xa8", 4));
  EXPECT_EQ(row.substr(20, 4), std::string("\x80\x28\x80\xb0", 4));
}

// Codes 0, 1, 2, ... less 16 and 16 more: fifth bits of the upper half of the block.
TEST_F(GgufExport, WritesTheFifthBitsInAWord) {
  QuantizedLinear layer = PlacedLayer(32, 64, 32, 5, true);
  layer.codes = at::arange(32, at::kByte).repeat({32, 2});
  Add(kDown, layer);
  const GgufFile file = Export();
  EXPECT_EQ(TypeOf(file, "blk.0.ffn_down.weight"), "Q5_0");
  EXPECT_EQ(BytesOf(file, "blk.0.ffn_down.weight", 8), std::string("\x00\x24\x00\x00\xff\xff\x00\x11", 8));
}

// Rows 0 .. 7 of a head, its halves interleaved: 0, 4, 1, 5, ... Scales tell them: (1 + (o mod 4)) / 64 with codes of row o.
TEST_F(GgufExport, InterleavesTheHalvesOfQueryHeads) {
  QuantizedLinear layer = PlacedLayer(32, 32, 32, 8, true);
  layer.codes = at::arange(32, at::kByte).unsqueeze(1).repeat({1, 32}).contiguous();
  Add(kQuery, layer);
  const std::string bytes = BytesOf(Export(), "blk.0.attn_q.weight", 32 * 34);
  std::vector<int> rows;
  for (size_t o = 0; o < 10; ++o) rows.push_back(static_cast<int8_t>(bytes[34 * o + 2]) + 128);
  EXPECT_EQ(rows, (std::vector<int>{0, 4, 1, 5, 2, 6, 3, 7, 8, 12}));
}

TEST_F(GgufExport, SaysTheModelAndItsTokenizer) {
  Add(kDown, PlacedLayer(32, 64, 32, 4, true));
  const GgufFile file = Export({{"dtype", "float16"}});
  EXPECT_EQ(file.String("general.architecture"), "llama");
  EXPECT_EQ(file.Int("llama.block_count"), 1);
  EXPECT_EQ(file.Int("llama.attention.head_count_kv"), 2);
  EXPECT_EQ(file.Int("llama.rope.dimension_count"), 8);
  EXPECT_EQ(file.Real("llama.rope.freq_base"), 10000.0);
  EXPECT_EQ(file.String("tokenizer.ggml.pre"), "gpt-2");
  EXPECT_EQ(file.Strings("tokenizer.ggml.tokens")->size(), 257u);
  EXPECT_EQ(file.Int("tokenizer.ggml.eos_token_id"), 256);
  EXPECT_EQ(TypeOf(file, "token_embd.weight"), "F16");
  EXPECT_EQ(TypeOf(file, "output_norm.weight"), "F32");
  EXPECT_EQ(TypeOf(file, "output.weight"), "");  // Tied.
}

// 257 rows of 32 columns; those of the block stay as they are.
TEST_F(GgufExport, WritesARoundedEmbeddingInBlocks) {
  Add(kEmbedding, PlacedLayer(257, 32, 32, 8, true), -1);
  const GgufFile file = Export();
  EXPECT_EQ(TypeOf(file, "token_embd.weight"), "Q8_0");
  EXPECT_EQ(TypeOf(file, "output.weight"), "");  // Tied.
  EXPECT_EQ(TypeOf(file, "blk.0.ffn_down.weight"), "F32");
  // Codes 0, 5, 10 less 128.
  EXPECT_EQ(BytesOf(file, "token_embd.weight", 5), std::string("\x00\x24\x80\x85\x8a", 5));
}

// Their scales are float16 numbers, and nothing can be asked of them.
TEST_F(GgufExport, AsksForSymmetricEmbeddings) {
  QuantizedLinear layer = PlacedLayer(257, 32, 32, 4, false);
  layer.scales.fill_(1025.0F / 1024);  // Times 3 has twelve digits.
  Add(kEmbedding, layer, -1);
  EXPECT_THAT(Refusal(), testing::EndsWith("so that the file would be another model. Quantize with symmetric: true."));
}

// A head that was the embedding gets a tensor of its own.
TEST_F(GgufExport, WritesWeightsThatTransformsChanged) {
  Add(kDown, PlacedLayer(32, 64, 32, 4, true));
  const std::string norm_name = "model.layers.0.input_layernorm.weight", head_name = "lm_head.weight";
  const at::Tensor norm = at::full({32}, 0.25F), head = at::full({257, 32}, 0.5F);
  others_.push_back({norm_name, norm});
  others_.push_back({head_name, head});
  const GgufFile file = Export();
  EXPECT_EQ(BytesOf(file, "blk.0.attn_norm.weight", 4), std::string("\x00\x00\x80\x3e", 4));
  EXPECT_EQ(BytesOf(file, "output.weight", 4), std::string("\x00\x00\x00\x3f", 4));
}

TEST_F(GgufExport, RefusesWhatNoBlockSays) {
  EXPECT_THAT(Refusal(PlacedLayer(32, 64, 16, 4, true)),
              HasSubstr(std::string(kDown) + ": columns of a block of 32 are of several groups (group_size = 16), and a block "
                                             "has one scale. Quantize with a group_size that is a multiple of 32."));
  EXPECT_THAT(Refusal(PlacedLayer(32, 64, 32, 6, false)), HasSubstr("its codes have 6 bits and a zero point, which types of "
                                                                    "GGUF have up to 5. Quantize with symmetric: true (Q8_0)."));
  QuantizedLinear layer = PlacedLayer(32, 64, 32, 4, true);
  layer.scale_dtype = "float32";
  EXPECT_THAT(Refusal(layer), HasSubstr("Quantize with scale_dtype: float16."));
  layer = PlacedLayer(32, 64, 32, 4, false);
  layer.scales.fill_(1025.0F / 1024);  // Times 3 has twelve digits.
  EXPECT_THAT(Refusal(layer), HasSubstr("a scale times its zero point is no float16 number, as Q4_1 stores it, so that the file "
                                        "would be another model. Quantize with scale_dtype: float16_short"));
  layer.zeros = layer.zeros.to(at::kFloat);
  EXPECT_THAT(Refusal(layer), HasSubstr("its zero points are real numbers"));
  layer = PlacedLayer(32, 64, 32, 2, true);
  layer.levels = at::tensor({-1.0F, -0.25F, 0.5F, 1.0F});
  layer.zeros.zero_();
  EXPECT_THAT(Refusal(layer), HasSubstr("no type of GGUF has its grid's levels"));
  layer = PlacedLayer(32, 64, 32, 4, true);
  layer.activation = ActivationGrid{.bits = 8};
  EXPECT_THAT(Refusal(layer), HasSubstr("its inputs are rounded, which the format cannot say"));
  EXPECT_EQ(Refusal({{"weights_only", true}}), "");
  layer = PlacedLayer(32, 48, 48, 4, true);
  EXPECT_THAT(Refusal(layer), HasSubstr("its rows have 48 columns, and blocks of GGUF have 32."));
}

TEST_F(GgufExport, RefusesCheckpointsThatItDoesNotDescribe) {
  EXPECT_THAT(RefusalOfConfig("LlamaForCausalLM", "PhiForCausalLM"),
              HasSubstr("config.json: architecture 'PhiForCausalLM' is not written. Supported: LlamaForCausalLM,"));
  EXPECT_THAT(RefusalOfConfig("\"rope_theta\":10000.0,", ""), HasSubstr("'rope_theta' is missing, and what is left out is not "
                                                                        "guessed."));
  EXPECT_THAT(RefusalOfConfig("\"hidden_act\":\"silu\"", "\"hidden_act\":\"gelu\""), HasSubstr("hidden_act is 'gelu'"));
  EXPECT_THAT(RefusalOfConfig("LlamaForCausalLM", "MistralForCausalLM"),
              HasSubstr("it has a sliding window, which llama.cpp does not compute for 'llama': without the key 'sliding_window' "
                        "it is 4096, and null says that there is none."));
  EXPECT_EQ(RefusalOfConfig("LlamaForCausalLM\"]", "MistralForCausalLM\"],\"sliding_window\":null"), "no error");
  EXPECT_THAT(RefusalOfConfig("\"rope_theta\"", "\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2},\"rope_theta\""),
              HasSubstr("rotary scaling 'yarn' of 'llama' is not written."));
  Add("model.layers.7.mlp.down_proj", PlacedLayer(32, 64, 32, 4, true));
  EXPECT_THAT(ErrorText([&] { Export(); }), HasSubstr("holds no tensor of its own for 'model.layers.7.mlp.down_proj.weight'"));
}

struct Case {
  const char* name;
  Value::Map options;
  const char* type;
  const char* grid = nullptr;
};

class GgufReadBack : public testing::Test {
 protected:
  void SetUp() override {
    WriteTinyCheckpoint(folder_ / "from", {.blocks = 2, .kv_heads = 2, .mlp = 64});
  }

  static at::Tensor Logits(Model& model) {
    const at::NoGradGuard no_grad;
    const at::Tensor tokens = at::arange(40, at::kLong).mul(7).remainder(256).view({2, 20});
    return model.Logits(model.Forward(tokens, {}));
  }

  // Quantizes what `backend` opens, exports it and gives the file; `logits` are those that were evaluated.
  fs::path Export(const char* backend, const fs::path& from, const Case& one, at::Tensor& logits) const {
    const auto model = MakeModelBackend(backend)->Open(from, {Dtype::kFloat32, "cpu"});
    const auto quantizer = MakeQuantizer("rtn", one.options);
    if (one.grid != nullptr) quantizer->TakeGrid(MakeGrid(one.grid, {}));
    const QuantizedModel quantized = QuantizeModel(*model, *quantizer, nullptr, {});
    std::vector<ExportLayer> layers;
    for (const QuantizedLayer& layer : quantized.layers) layers.push_back({layer.shape, layer.linear});
    fs::remove_all(folder_ / "to");
    fs::create_directories(folder_ / "to");
    MakeExporter("gguf")->Export(from, {model->summary(), layers}, folder_ / "to");
    logits = Logits(*model);
    return folder_ / "to" / (model->summary().name + ".gguf");
  }

  const ScratchFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

TEST_F(GgufReadBack, GivesTheLogitsThatWereEvaluatedBitForBit) {
  const auto integers = [](int bits, bool symmetric, Value group = 32) {
    return Value::Map{{"bits", bits}, {"group_size", std::move(group)}, {"symmetric", symmetric},
                      {"scale_dtype", symmetric ? "float16" : "float16_short"}};
  };
  const Case cases[] = {{"2 bits", integers(2, true), "Q4_0"},
                        {"4 bits", integers(4, true), "Q4_0"},
                        {"4 bits of rows", integers(4, true, "row"), "Q4_0"},
                        {"3 bits with zero points", integers(3, false), "Q4_1"},
                        {"4 bits with zero points", integers(4, false), "Q4_1"},
                        {"5 bits", integers(5, true), "Q5_0"},
                        {"5 bits with zero points", integers(5, false), "Q5_1"},
                        {"6 bits", integers(6, true), "Q8_0"},
                        {"8 bits", integers(8, true), "Q8_0"},
                        {"MXFP4", {{"group_size", 32}}, "MXFP4", "mxfp4"}};
  const auto gguf = MakeModelBackend("gguf");
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    at::Tensor logits;
    const fs::path file = Export("hf", folder_ / "from", one, logits);
    const auto read = gguf->Open(file, {Dtype::kFloat32, "cpu"});
    EXPECT_TRUE(Logits(*read).equal(logits));
    EXPECT_EQ(read->summary().baseline_note, std::string("weights were stored as ") + one.type + " and are dequantized");
    EXPECT_EQ(read->tokenizer().digest(), MakeModelBackend("hf")->OpenTokenizer(folder_ / "from")->digest());
    // Of a GGUF file the same, its metadata and other tensors as they are.
    const fs::path source = folder_ / "source.gguf";
    fs::copy_file(file, source, fs::copy_options::overwrite_existing);
    const fs::path again = Export("gguf", source, one, logits);
    EXPECT_TRUE(Logits(*gguf->Open(again, {Dtype::kFloat32, "cpu"})).equal(logits));
    EXPECT_EQ(GgufFile(again).Keys("").size(), GgufFile(source).Keys("").size());
  }
}

}  // namespace
}  // namespace bitlaw
