// GGUF exports of mixtures of experts: their tensors, their metadata, what is refused.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/exporters/gguf_fixture.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;

constexpr char kLabMoe[] = BITLAW_SOURCE_DIR "/examples/knowledge-lab/models/lab-moe-518k";

// Two blocks of 8 experts: gate and up [160, 64], down [64, 160], 2 experts a token.
class GgufExperts : public GgufExport {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    std::filesystem::copy(kLabMoe, folder_ / "from");
    summary_.name = "tiny";
    for (int i = 0; i < 8; ++i) summary_.linears.push_back({Gate(i), 0, 64, 160});
  }
  static std::string Gate(int expert) { return "model.layers.0.mlp.experts." + std::to_string(expert) + ".gate_proj"; }

  // Scales of expert i are i + 1 times those of the first.
  void AddGates(int count) {
    for (int i = 0; i < count; ++i) {
      QuantizedLinear layer = PlacedLayer(160, 64, 32, 4, true);
      layer.scales.mul_(i + 1);
      Add(Gate(i), std::move(layer));
    }
  }
};

// Scales 1 / 64, 2 / 64, 3 / 64, 4 / 64 are 0x2400, 0x2800, 0x2a00, 0x2c00 in float16. A row is 36 bytes, a matrix 160 rows.
TEST_F(GgufExperts, StandInOneTensorInTheOrderOfTheirNumbers) {
  AddGates(8);
  const GgufFile file = Export();
  std::vector<std::string> scales;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name != "blk.0.ffn_gate_exps.weight") continue;
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{8, 160, 64}));
    EXPECT_EQ(std::string(tensor.type->name), "Q4_0");
    for (size_t i = 0; i < 4; ++i) scales.push_back(BytesOf(file, tensor.name, 8 * 160 * 36).substr(i * 160 * 36, 5));
  }
  EXPECT_EQ(scales, (std::vector<std::string>{{"\x00\x24\x00\x55\xaa", 5},
                                              {"\x00\x28\x00\x55\xaa", 5},
                                              {"\x00\x2a\x00\x55\xaa", 5},
                                              {"\x00\x2c\x00\x55\xaa", 5}}));
}

TEST_F(GgufExperts, AreDescribedAndTheRouterIsInFloat32) {
  const GgufFile file = Export();
  EXPECT_EQ(file.String("general.architecture"), "qwen3moe");
  EXPECT_EQ(file.Int("qwen3moe.expert_count"), 8);
  EXPECT_EQ(file.Int("qwen3moe.expert_used_count"), 2);
  EXPECT_EQ(file.Int("qwen3moe.expert_feed_forward_length"), 160);
  EXPECT_EQ(TypeOf(file, "blk.1.ffn_gate_inp.weight"), "F32");
  EXPECT_EQ(TypeOf(file, "blk.1.ffn_down_exps.weight"), "BF16");
  EXPECT_EQ(TypeOf(file, "blk.1.ffn_gate.weight"), "");
}

TEST_F(GgufExperts, MayBeCountedUnderTheNameThatTransformersGivesThemNow) {
  EXPECT_EQ(RefusalOfConfig("\"num_experts\"", "\"num_local_experts\""), "no error");
}

TEST_F(GgufExperts, OfOneTensorMustBeQuantizedAlike) {
  AddGates(7);
  EXPECT_EQ(Refusal(),
            "model.layers.0.mlp.experts.7.gate_proj: it is not quantized, and model.layers.0.mlp.experts.0.gate_proj is Q4_0, but "
            "all experts of a block are in one tensor, which has one type. Quantize them alike.");
  Add(Gate(7), PlacedLayer(160, 64, 32, 8, true));
  EXPECT_THAT(Refusal(), HasSubstr("model.layers.0.mlp.experts.7.gate_proj: it is Q8_0, and model.layers.0.mlp.experts.0.gate_proj "
                                   "is Q4_0, but"));
}

TEST_F(GgufExperts, AreRefusedWhereLlamaCppComputesSomethingElse) {
  EXPECT_THAT(RefusalOfConfig("\"norm_topk_prob\": true", "\"norm_topk_prob\": false"),
              HasSubstr("norm_topk_prob is not true. llama.cpp divides the weights of a token's experts by their sum."));
  EXPECT_THAT(RefusalOfConfig("\"mlp_only_layers\": []", "\"mlp_only_layers\": [1]"),
              HasSubstr("some blocks have no experts (decoder_sparse_step, mlp_only_layers)"));
  EXPECT_THAT(RefusalOfConfig("\"num_experts\": 8", "\"num_experts\": 9"),
              HasSubstr("'blk.0.ffn_down_exps.weight' is to hold 9 experts of one shape and dtype, and the checkpoint has 8"));
}

}  // namespace
}  // namespace bitlaw
