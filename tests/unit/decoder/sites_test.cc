#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/decoder/producers.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Lines(const std::vector<SiteShape>& sites) {
  std::vector<std::string> lines;
  const auto shorter = [](const std::string& name) {
    const std::string prefix = "model.layers.0.";
    return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  };
  for (const SiteShape& site : sites) {
    if (site.block > 0) continue;
    std::string line = shorter(site.name) + ":";
    for (const LinearShape& reader : site.readers) line += " " + shorter(reader.name);
    lines.push_back(line + " <- " + shorter(site.producer));
  }
  return lines;
}

DecoderConfig ExpertsConfig() {
  DecoderConfig config = SmallConfig();
  config.architecture = "qwen3_moe";
  config.num_experts = 2;
  config.experts_per_token = 1;
  return config;
}

TEST(Sites, NameEachInputItsReadersAndWhatMakesIt) {
  EXPECT_THAT(Lines(RandomDecoder(SmallConfig())->summary().sites),
              ElementsAre("self_attn.in: self_attn.q_proj self_attn.k_proj self_attn.v_proj <- input_layernorm",
                          "self_attn.out: self_attn.o_proj <- self_attn.v_proj",
                          "mlp.in: mlp.gate_proj mlp.up_proj <- post_attention_layernorm",
                          "mlp.out: mlp.down_proj <- mlp.up_proj"));
}

TEST(Sites, OfExpertsHaveNoProducerBeforeTheRouter) {
  EXPECT_THAT(Lines(RandomDecoder(ExpertsConfig())->summary().sites),
              ElementsAre("self_attn.in: self_attn.q_proj self_attn.k_proj self_attn.v_proj <- input_layernorm",
                          "self_attn.out: self_attn.o_proj <- self_attn.v_proj",
                          "mlp.experts.0.in: mlp.experts.0.gate_proj mlp.experts.0.up_proj <- ",
                          "mlp.experts.1.in: mlp.experts.1.gate_proj mlp.experts.1.up_proj <- ",
                          "mlp.experts.0.out: mlp.experts.0.down_proj <- mlp.experts.0.up_proj",
                          "mlp.experts.1.out: mlp.experts.1.down_proj <- mlp.experts.1.up_proj"));
}

TEST(Sites, ABlockBindsThemToItsOwnLayers) {
  for (const DecoderConfig& config : {SmallConfig(), ExpertsConfig()}) {
    const auto model = RandomDecoder(config);
    Block& block = model->block(1);
    std::vector<const Linear*> read, held;
    for (const Site& site : block.sites()) {
      EXPECT_EQ(site.shape.block, 1);
      EXPECT_EQ(site.producer == nullptr, site.shape.producer.empty()) << site.shape.name;
      for (size_t i = 0; i < site.readers.size(); ++i) {
        EXPECT_EQ(site.readers[i]->shape().name, site.shape.readers[i].name);
        read.push_back(site.readers[i]);
      }
    }
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      for (const Linear* linear : block.stage_linears(stage)) held.push_back(linear);
    }
    EXPECT_EQ(read, held);
  }
}

// A block that says nothing of sites.
class PlainBlock : public Block {
 public:
  PlainBlock() : linears_{&a_, &b_} {}
  int num_stages() const override { return 1; }
  std::span<Linear* const> stage_linears(int) override { return linears_; }
  void Step(int, BlockState&, const ForwardContext&, const InputObserver&) override {}

 private:
  Linear a_{{.name = "a", .in_features = 2, .out_features = 1}, at::ones({1, 2}), {}};
  Linear b_{{.name = "b", .in_features = 2, .out_features = 1}, at::ones({1, 2}), {}};
  std::array<Linear*, 2> linears_;
};

TEST(Sites, AreSingleLayersWhereABlockNamesNone) {
  PlainBlock block;
  const std::vector<Site> sites = block.sites();
  ASSERT_EQ(sites.size(), 2u);
  EXPECT_EQ(sites[1].shape.name, "b");
  EXPECT_EQ(sites[1].producer, nullptr);
  EXPECT_TRUE(block.other_weights().empty());
  EXPECT_THROW(sites[0].Fold(at::ones({2})), InternalError);
  EXPECT_THROW(block.SetOtherWeight("norm", at::ones({1})), InternalError);
  ModelSummary summary;
  summary.linears = {{"a", 0, 2, 1, false}, {"b", 0, 2, 1, true}};
  ASSERT_EQ(SitesOf(summary).size(), 2u);
  EXPECT_EQ(SitesOf(summary)[1].name, "b");
  EXPECT_TRUE(SitesOf(summary)[1].is_expert);
}

TEST(NormProducer, FoldsIntoANormThatMultipliesByOnePlusItsWeight) {
  at::Tensor weight = at::tensor({0.0f, 1.0f, -0.5f});
  NormProducer(weight, 1).Divide(at::tensor({2.0f, 4.0f, 0.5f}));
  EXPECT_TRUE(at::equal(weight, at::tensor({-0.5f, -0.5f, 0.0f})));  // (1, 2, 0.5) / (2, 4, 0.5) - 1
  at::Tensor plain = at::tensor({3.0f, 1.0f});
  NormProducer(plain).Divide(at::tensor({2.0f, 4.0f}));
  EXPECT_TRUE(at::equal(plain, at::tensor({1.5f, 0.25f})));
}

TEST(LinearProducer, DividesRowsAndBias) {
  Linear linear({.name = "up", .in_features = 2, .out_features = 2}, at::tensor({2.0f, 4.0f, 3.0f, 9.0f}).view({2, 2}),
                at::tensor({8.0f, 6.0f}));
  LinearProducer(linear).Divide(at::tensor({2.0f, 3.0f}));
  EXPECT_TRUE(at::equal(linear.weight(), at::tensor({1.0f, 2.0f, 1.0f, 3.0f}).view({2, 2})));
  EXPECT_TRUE(at::equal(linear.bias(), at::tensor({4.0f, 2.0f})));
}

TEST(ValueChannels, GiveTheQueryHeadsOfAValueHeadTheSame) {
  EXPECT_TRUE(at::equal(ValueChannels(4, 2, 2), at::tensor({0, 1, 0, 1, 2, 3, 2, 3}, at::kLong)));
}

TEST(Site, FoldRefusesAScaleThatIsNotPositive) {
  const auto model = RandomDecoder(SmallConfig());
  const std::vector<Site> sites = model->block(0).sites();
  at::Tensor scale = at::ones({32});
  scale[3] = 0;
  try {
    sites[0].Fold(scale);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "model.layers.0.self_attn.in: a scale of its input is not finite and positive. Its inputs "
                               "or weights overflow; look for a damaged checkpoint.");
  }
  EXPECT_THROW(sites[1].Fold(at::ones({32})), InternalError);  // Two value heads of 8: 16 channels.
}

// Every scale of every producer, powers of two: each output is what it was, bit by bit up to the order of sums.
TEST(Site, FoldingKeepsTheModelsFunction) {
  DecoderConfig biased = SmallConfig();
  biased.qkv_bias = biased.o_bias = biased.mlp_bias = true;
  biased.qk_norm = true;
  for (const DecoderConfig& config : {SmallConfig(), biased, ExpertsConfig()}) {
    const auto model = RandomDecoder(config);
    const at::Tensor tokens = SomeTokens(2, 9);
    const at::Tensor expected = model->Logits(model->Forward(tokens, {}));
    for (int64_t b = 0; b < model->summary().num_blocks; ++b) {
      for (const Site& site : model->block(b).sites()) {
        if (site.producer == nullptr) continue;
        const int64_t count = site.producer->channels().max().item<int64_t>() + 1;
        site.Fold(at::pow(2.0, at::randint(-3, 4, {count}, at::detail::createCPUGenerator(9), at::kFloat)));
      }
    }
    EXPECT_LT(LargestDifference(model->Logits(model->Forward(tokens, {})), expected), 1e-5);
    EXPECT_EQ(model->block(0).other_weights().size(), config.mlp_bias ? 9u
                                                      : config.num_experts > 0
                                                          ? 3u
                                                          : 2u);  // Two norms; seven biases; a router.
  }
}

TEST(Block, OtherWeightsCanBePutBack) {
  DecoderConfig config = SmallConfig();
  config.qkv_bias = true;
  const auto model = RandomDecoder(config), other = RandomDecoder(config);
  Block& block = model->block(0);
  block.sites()[0].Fold(at::full({32}, 4.0f));
  for (const auto& [name, weight] : other->block(0).other_weights()) block.SetOtherWeight(name, weight);
  const auto found = block.other_weights(), expected = other->block(0).other_weights();
  ASSERT_EQ(found.size(), 5u);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(at::equal(found[i].second, expected[i].second)) << found[i].first;
  }
  EXPECT_THROW(block.SetOtherWeight("model.layers.0.input_layernorm.weight", at::ones({3})), InternalError);
}

TEST(Model, SaysThatItDoesNotRoundItsCache) {
  class Unrounded : public Model {
   public:
    explicit Unrounded(Model& model) : model_(model) {}
    const ModelSummary& summary() const override { return model_.summary(); }
    const ComputeSetting& compute() const override { return model_.compute(); }
    const Tokenizer& tokenizer() const override { return model_.tokenizer(); }
    Block& block(int64_t i) override { return model_.block(i); }
    void DropBlock(int64_t) override {}
    at::Tensor Embed(const at::Tensor& tokens) override { return model_.Embed(tokens); }
    at::Tensor Logits(const at::Tensor& hidden) override { return model_.Logits(hidden); }

   private:
    Model& model_;
  };
  const auto model = RandomDecoder(SmallConfig());
  try {
    Unrounded(*model).RoundKvCache({});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "random: models of architecture 'llama' do not round their keys and values here. Leave "
                               "kv_cache out.");
  }
}

}  // namespace
}  // namespace bitlaw
