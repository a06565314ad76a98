#include "bitlaw/sdk/decoder/decoder_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "bitlaw/base/error.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

template <typename Body>
std::string ErrorText(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(DecoderConfig, CountsParametersByHand) {
  const ModelSummary summary =
      SummarizeDecoder(SmallConfig(), ExpectedTensors(SmallConfig()), "small", "checkpoints/small");
  // A block: q 32*32, k and v 16*32 each, o 32*32, gate, up and down 32*48 each = 7680; norms 64.
  EXPECT_EQ(summary.parameters_quantizable, 2 * 7680);
  EXPECT_EQ(summary.parameters_embedding, 40 * 32);
  EXPECT_EQ(summary.parameters_total, 40 * 32 + 2 * (7680 + 64) + 32);
  EXPECT_EQ(summary.parameters_active, summary.parameters_total);
  EXPECT_EQ(summary.parameters_non_embedding(), 2 * (7680 + 64) + 32);
  DecoderConfig untied = SmallConfig();
  untied.tied_head = false;
  const ModelSummary with_head = SummarizeDecoder(untied, ExpectedTensors(untied), "small", "checkpoints/small");
  EXPECT_EQ(with_head.parameters_embedding, 2 * 40 * 32);
  EXPECT_EQ(with_head.parameters_non_embedding(), summary.parameters_non_embedding());
}

TEST(DecoderConfig, ListsLinearsInTheOrderOfSequentialQuantization) {
  const ModelSummary summary = SummarizeDecoder(SmallConfig(), ExpectedTensors(SmallConfig()), "small", "small");
  ASSERT_EQ(summary.linears.size(), 14u);
  std::vector<std::string> names;
  for (size_t i = 7; i < 14; ++i) {
    names.push_back(summary.linears[i].name);
    EXPECT_EQ(summary.linears[i].block, 1);
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj",
                       "model.layers.1.self_attn.v_proj", "model.layers.1.self_attn.o_proj",
                       "model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj", "model.layers.1.mlp.down_proj"}));
  EXPECT_EQ(summary.linears[13].in_features, 48);
  EXPECT_EQ(summary.linears[13].out_features, 32);
}

TEST(DecoderConfig, CountsTheExpertsThatATokenUsesAsActive) {
  DecoderConfig config = SmallConfig();
  config.num_experts = 4;
  config.experts_per_token = 3;
  const ModelSummary summary = SummarizeDecoder(config, ExpectedTensors(config), "experts", "experts");
  // A block: attention 3072, four experts of 3 * 32 * 48 = 4608; a router of 4 * 32 that is not quantized.
  EXPECT_EQ(summary.parameters_quantizable, 2 * (3072 + 4 * 4608));
  EXPECT_EQ(summary.parameters_non_embedding(), 2 * (3072 + 4 * 4608 + 128 + 64) + 32);
  EXPECT_EQ(summary.parameters_total - summary.parameters_active, 2 * 4608);
  ASSERT_EQ(summary.linears.size(), 32u);
  EXPECT_EQ(summary.linears[6].name, "model.layers.0.mlp.experts.1.gate_proj");
  EXPECT_EQ(summary.linears[15].name, "model.layers.0.mlp.experts.3.down_proj");
  EXPECT_TRUE(summary.linears[15].is_expert);
  EXPECT_FALSE(summary.linears[3].is_expert);
  config.experts_per_token = 5;
  EXPECT_EQ(ErrorText([&] { CheckDecoderConfig(config, "config.json"); }),
            "config.json: experts_per_token = 5. It must lie in [1, 4].");
}

TEST(DecoderConfig, DenseBlocksAmongExpertsHaveASizeOfTheirOwn) {
  DecoderConfig config = SmallConfig();
  config.num_blocks = 3;
  config.num_experts = 4;
  config.experts_per_token = 3;
  config.dense_ffn_size = 80;
  config.blocks = {{.is_dense = true}, {}, {.is_dense = true}};
  const ModelSummary summary = SummarizeDecoder(config, ExpectedTensors(config), "mixed", "mixed");
  // Attention 3072 a block; feed-forward 3 * 32 * 80 = 7680, or four experts of 3 * 32 * 48 = 4608, one of them idle.
  EXPECT_EQ(summary.parameters_quantizable, 3 * 3072 + 2 * 7680 + 4 * 4608);
  EXPECT_EQ(summary.parameters_non_embedding(), 3 * (3072 + 64) + 2 * 7680 + 4 * 4608 + 128 + 32);
  EXPECT_EQ(summary.parameters_total - summary.parameters_active, 4608);
  ASSERT_EQ(summary.linears.size(), 7u + 16u + 7u);
  EXPECT_EQ(summary.linears[4].name, "model.layers.0.mlp.gate_proj");
  EXPECT_EQ(summary.linears[4].out_features, 80);
  EXPECT_FALSE(summary.linears[4].is_expert);
  EXPECT_EQ(summary.linears[11].name, "model.layers.1.mlp.experts.0.gate_proj");
  EXPECT_EQ(summary.linears[11].out_features, 48);
  EXPECT_TRUE(summary.linears[11].is_expert);
  EXPECT_EQ(summary.linears[29].name, "model.layers.2.mlp.down_proj");
  ASSERT_EQ(summary.sites.size(), 4u + 10u + 4u);
  EXPECT_EQ(summary.sites[3].name, "model.layers.0.mlp.out");
  EXPECT_EQ(summary.sites[3].producer, "model.layers.0.mlp.up_proj");
  EXPECT_EQ(summary.sites[6].name, "model.layers.1.mlp.experts.0.in");
  EXPECT_EQ(summary.sites[16].name, "model.layers.2.mlp.in");
  EXPECT_EQ(summary.sites[16].producer, "model.layers.2.post_attention_layernorm");
  config.dense_ffn_size = 0;
  EXPECT_EQ(ErrorText([&] { CheckDecoderConfig(config, "config.json"); }),
            "config.json: dense_ffn_size = 0. It must lie in [1, 16777216].");
}

TEST(DecoderConfig, ASharedExpertIsALayerThatEveryTokenVisits) {
  DecoderConfig config = SmallConfig();
  config.num_experts = 2;
  config.experts_per_token = 1;
  config.shared_ffn_size = 40;
  const ModelSummary summary = SummarizeDecoder(config, ExpectedTensors(config), "shared", "shared");
  // Attention 3072 a block, two experts of 3 * 32 * 48 = 4608, one idle, a shared one of 3 * 32 * 40 = 3840; a router of
  // 2 * 32 and a gate of 32 that are not quantized.
  EXPECT_EQ(summary.parameters_quantizable, 2 * (3072 + 2 * 4608 + 3840));
  EXPECT_EQ(summary.parameters_non_embedding(), 2 * (3072 + 2 * 4608 + 3840 + 64 + 32 + 64) + 32);
  EXPECT_EQ(summary.parameters_total - summary.parameters_active, 2 * 4608);
  std::vector<std::string> sites;
  for (const SiteShape& site : summary.sites) {
    if (site.block != 1 || site.role < SiteRole::kFeedForwardIn) continue;
    sites.push_back(site.name.substr(std::string("model.layers.1.mlp.").size()) + (site.is_expert ? " routed" : "") +
                    (site.rotates_online ? " turns" : "") + (site.producer.empty() ? "" : " folds"));
  }
  EXPECT_THAT(sites, ::testing::ElementsAre("experts.0.in routed", "experts.1.in routed", "shared_expert.in",
                                          "experts.0.out routed turns folds", "experts.1.out routed turns folds",
                                          "shared_expert.out turns folds"));
}

TEST(DecoderConfig, ListsMissingMisshapenAndUnusedTensorsTogether) {
  std::vector<StoredTensor> stored = ExpectedTensors(SmallConfig());
  stored.erase(stored.begin() + 1);  // model.layers.0.input_layernorm.weight
  stored.back().shape = {31};        // model.norm.weight
  stored.push_back({"model.layers.2.mlp.up_proj.weight", {48, 32}, "F32"});
  EXPECT_EQ(ErrorText([&] { SummarizeDecoder(SmallConfig(), stored, "small", "checkpoints/small"); }),
            "checkpoints/small: the tensors are not those of a llama model with this configuration. Missing: "
            "model.layers.0.input_layernorm.weight. Of another shape: model.norm.weight is [31] where the "
            "configuration says [32]. Unused: model.layers.2.mlp.up_proj.weight. The checkpoint is incomplete or its "
            "configuration is another model's.");
}

TEST(DecoderConfig, ToleratesRotaryBuffersAndATiedHeadByName) {
  std::vector<StoredTensor> stored = ExpectedTensors(SmallConfig());
  stored.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", {4}, "F32"});
  stored.push_back({"lm_head.weight", {40, 32}, "F32"});
  EXPECT_NO_THROW(SummarizeDecoder(SmallConfig(), stored, "small", "small"));
  stored.back().shape = {40, 31};
  EXPECT_THROW(SummarizeDecoder(SmallConfig(), stored, "small", "small"), Error);
}

TEST(DecoderConfig, NamesTheStoredDtypeOfMostWeights) {
  std::vector<StoredTensor> stored = ExpectedTensors(SmallConfig());
  for (StoredTensor& tensor : stored) tensor.dtype = tensor.shape.size() == 2 ? "Q4_1" : "F32";
  EXPECT_EQ(SummarizeDecoder(SmallConfig(), stored, "small", "small").stored_dtype, "Q4_1");
}

TEST(DecoderConfig, ReportsEveryFaultOfAConfiguration) {
  DecoderConfig config = SmallConfig();
  config.num_kv_heads = 3;
  config.head_dim = 7;
  config.rope.theta = -1;
  EXPECT_EQ(ErrorText([&] { CheckDecoderConfig(config, "config.json"); }),
            "config.json: num_kv_heads = 3 does not divide num_heads = 4.\n"
            "config.json: head_dim = 7. Rotary positions need an even one.\n"
            "config.json: rope_theta = -1.000000. It must be finite and positive.");
  config = SmallConfig();
  config.num_blocks = 1 << 20;
  EXPECT_EQ(ErrorText([&] { CheckDecoderConfig(config, "config.json"); }),
            "config.json: num_blocks = 1048576. It must lie in [1, 4096].");
}

}  // namespace
}  // namespace bitlaw
