#include "bitlaw/sdk/decoder.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "bitlaw/base/error.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

constexpr double kRounding = 2e-5;  // float32, logits of order one

at::Tensor LogitsOf(Model& model, const at::Tensor& tokens, const ForwardContext& context = {}) {
  return model.Logits(model.Forward(tokens, context));  // [B, T, V]
}

TEST(Decoder, CachedDecodingEqualsOnePass) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor tokens = SomeTokens(2, 20);
  const at::Tensor whole = LogitsOf(*model, tokens);
  KvCache cache(2);
  const ForwardContext context{.cache = &cache};
  std::vector<at::Tensor> parts = {LogitsOf(*model, tokens.narrow(1, 0, 9), context)};
  for (int64_t t = 9; t < 20; ++t) parts.push_back(LogitsOf(*model, tokens.narrow(1, t, 1), context));
  EXPECT_EQ(cache.length(), 20);
  EXPECT_LT(LargestDifference(at::cat(parts, 1), whole), kRounding);
  EXPECT_GT(whole.std().item<double>(), 0.1) << "the comparison needs logits that differ";
}

TEST(Decoder, ContinuationsOfASelectedPrefixEqualWholeSequences) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor prefix = SomeTokens(1, 6), endings = SomeTokens(3, 4, 5);
  KvCache cache(2);
  model->Forward(prefix, {.cache = &cache});
  KvCache repeated = cache.Select(at::zeros({3}, at::kLong));
  const at::Tensor shared = LogitsOf(*model, endings, {.cache = &repeated});
  const at::Tensor whole = LogitsOf(*model, at::cat({prefix.expand({3, 6}), endings}, 1)).narrow(1, 6, 4);
  EXPECT_LT(LargestDifference(shared, whole), kRounding);
}

TEST(Decoder, LeftPaddingChangesNothing) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor tokens = SomeTokens(1, 7);
  const at::Tensor alone = LogitsOf(*model, tokens);
  const at::Tensor padded = at::cat({at::full({1, 5}, 11, at::kLong), tokens}, 1);
  const at::Tensor batch = at::cat({padded, SomeTokens(1, 12, 9)}, 0);
  const ForwardContext context{.first_valid = at::tensor(std::vector<int64_t>{5, 0})};
  const at::Tensor logits = LogitsOf(*model, batch, context);
  EXPECT_LT(LargestDifference(logits.narrow(0, 0, 1).narrow(1, 5, 7), alone), kRounding);
  EXPECT_LT(LargestDifference(logits.narrow(0, 1, 1), LogitsOf(*model, SomeTokens(1, 12, 9))), kRounding);
  EXPECT_TRUE(logits.isfinite().all().item<bool>()) << "padding rows stay finite";
}

TEST(Decoder, LeftPaddedRowsDecodeWithACache) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor tokens = SomeTokens(1, 9);
  const at::Tensor alone = LogitsOf(*model, tokens);
  KvCache cache(2);
  const ForwardContext context{.cache = &cache, .first_valid = at::tensor(std::vector<int64_t>{3})};
  LogitsOf(*model, at::cat({at::zeros({1, 3}, at::kLong), tokens.narrow(1, 0, 5)}, 1), context);
  const at::Tensor rest = LogitsOf(*model, tokens.narrow(1, 5, 4), context);
  EXPECT_LT(LargestDifference(rest, alone.narrow(1, 5, 4)), kRounding);
}

TEST(Decoder, ARowOfABatchEqualsTheRowAlone) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor tokens = SomeTokens(5, 16);
  const at::Tensor batch = LogitsOf(*model, tokens);
  for (int64_t b = 0; b < 5; ++b) {
    EXPECT_LT(LargestDifference(batch.narrow(0, b, 1), LogitsOf(*model, tokens.narrow(0, b, 1))), kRounding);
  }
}

TEST(Decoder, NoTokenSeesTheFuture) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor tokens = SomeTokens(1, 300);  // several query chunks
  at::Tensor changed = tokens.clone();
  changed.narrow(1, 200, 100).copy_(SomeTokens(1, 100, 8));
  const at::Tensor before = LogitsOf(*model, tokens), after = LogitsOf(*model, changed);
  EXPECT_LT(LargestDifference(before.narrow(1, 0, 200), after.narrow(1, 0, 200)), kRounding);
  EXPECT_GT(LargestDifference(before.narrow(1, 200, 100), after.narrow(1, 200, 100)), 0.1);
}

TEST(Decoder, QueryChunksEqualSingleQueries) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor tokens = SomeTokens(1, 300);
  const at::Tensor whole = LogitsOf(*model, tokens);
  KvCache cache(2);
  const ForwardContext context{.cache = &cache};
  std::vector<at::Tensor> parts;
  for (int64_t t = 0; t < 300; t += 50) parts.push_back(LogitsOf(*model, tokens.narrow(1, t, 50), context));
  EXPECT_LT(LargestDifference(at::cat(parts, 1), whole), kRounding);
}

TEST(Decoder, StagesInTurnEqualForward) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor hidden = model->Embed(SomeTokens(2, 10));
  const at::Tensor untouched = hidden.clone();
  BlockState state{.residual = hidden, .activation = {}, .extra = {}};
  Block& block = model->block(0);
  std::vector<std::string> seen;
  const InputObserver observe = [&](std::span<Linear* const> readers, const at::Tensor& input) {
    std::string names;
    for (const Linear* reader : readers) {
      names += reader->shape().name.substr(reader->shape().name.rfind('.') + 1) + " ";
      EXPECT_EQ(reader->shape().in_features, input.size(-1));
    }
    seen.push_back(names + std::to_string(input.numel() / input.size(-1)));
  };
  for (int stage = 0; stage <= block.num_stages(); ++stage) block.Step(stage, state, {}, observe);
  EXPECT_TRUE(state.residual.equal(block.Forward(hidden, {})));
  EXPECT_TRUE(hidden.equal(untouched)) << "a walk must leave its input as it was";
  EXPECT_THAT(seen, testing::ElementsAre("q_proj k_proj v_proj 20", "o_proj 20", "gate_proj up_proj 20",
                                         "down_proj 20"));
}

TEST(Decoder, ObserversSeeNoPadding) {
  const auto model = RandomDecoder(SmallConfig());
  BlockState state{.residual = model->Embed(SomeTokens(2, 10)), .activation = {}, .extra = {}};
  const ForwardContext context{.first_valid = at::tensor(std::vector<int64_t>{0, 4})};
  std::vector<std::vector<int64_t>> sizes;
  const InputObserver observe = [&](std::span<Linear* const>, const at::Tensor& input) {
    sizes.push_back(input.sizes().vec());
  };
  for (int stage = 0; stage <= 4; ++stage) model->block(0).Step(stage, state, context, observe);
  EXPECT_EQ(sizes, (std::vector<std::vector<int64_t>>{{16, 32}, {16, 32}, {16, 32}, {16, 48}}));
}

DecoderConfig ExpertConfig() {
  DecoderConfig config = SmallConfig();
  config.architecture = "qwen3_moe";
  config.num_experts = 4;
  config.experts_per_token = 2;
  config.normalize_expert_weights = true;
  return config;
}

TEST(ExpertDecoder, CachedDecodingEqualsOnePass) {
  const auto model = RandomDecoder(ExpertConfig());
  const at::Tensor tokens = SomeTokens(2, 12);
  const at::Tensor whole = LogitsOf(*model, tokens);
  KvCache cache(2);
  const ForwardContext context{.cache = &cache};
  std::vector<at::Tensor> parts = {LogitsOf(*model, tokens.narrow(1, 0, 9), context)};
  for (int64_t t = 9; t < 12; ++t) parts.push_back(LogitsOf(*model, tokens.narrow(1, t, 1), context));
  EXPECT_LT(LargestDifference(at::cat(parts, 1), whole), kRounding);
}

TEST(ExpertDecoder, EveryCountedTokenVisitsItsNumberOfExperts) {
  const auto model = RandomDecoder(ExpertConfig());
  BlockState state{.residual = model->Embed(SomeTokens(2, 10)), .activation = {}, .extra = {}};
  const ForwardContext context{.first_valid = at::tensor(std::vector<int64_t>{0, 4})};  // 16 tokens count.
  std::map<std::string, int64_t> visits;
  const InputObserver observe = [&](std::span<Linear* const> readers, const at::Tensor& input) {
    for (const Linear* reader : readers) {
      EXPECT_EQ(reader->shape().in_features, input.size(-1));
      EXPECT_EQ(reader->shape().is_expert, reader->shape().name.find(".experts.") != std::string::npos);
      visits[reader->shape().name.substr(reader->shape().name.rfind('.') + 1)] += input.numel() / input.size(-1);
    }
  };
  Block& block = model->block(0);
  const at::Tensor hidden = state.residual;
  for (int stage = 0; stage <= block.num_stages(); ++stage) block.Step(stage, state, context, observe);
  EXPECT_TRUE(state.residual.equal(block.Forward(hidden, context)));
  EXPECT_EQ(visits, (std::map<std::string, int64_t>{{"q_proj", 16}, {"k_proj", 16}, {"v_proj", 16}, {"o_proj", 16},
                                                    {"gate_proj", 32}, {"up_proj", 32}, {"down_proj", 32}}));
}

TEST(Decoder, ABlockStepsWithTheWeightsItHasNow) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor tokens = SomeTokens(1, 6);
  const at::Tensor before = LogitsOf(*model, tokens);
  Linear* down = model->block(1).stage_linears(3)[0];
  QuantizedLinear zero;
  zero.bits = 2;
  zero.group_size = 48;
  zero.codes = at::zeros({32, 48}, at::kByte);
  zero.scales = at::ones({32, 1});
  zero.zeros = at::zeros({32, 1}, at::kByte);
  zero.group_index = at::zeros({48}, at::kInt);
  zero.scale_dtype = "float32";
  down->Install(zero);
  EXPECT_GT(LargestDifference(LogitsOf(*model, tokens), before), 0.01);
  model->DropBlock(1);
  EXPECT_TRUE(LogitsOf(*model, tokens).equal(before)) << "a dropped block is read from the checkpoint again";
}

TEST(Decoder, ReadsABlockWhenItIsFirstUsed) {
  const RandomWeights* weights = nullptr;
  const auto model = RandomDecoder(SmallConfig(), Dtype::kFloat32, &weights);
  EXPECT_EQ(weights->loads(), 0);
  model->block(1);
  EXPECT_EQ(weights->loads(), 9);
  model->block(1);
  EXPECT_EQ(weights->loads(), 9);
}

TEST(Decoder, BFloat16StaysCloseToFloat32) {
  const auto exact = RandomDecoder(SmallConfig());
  const auto rounded = RandomDecoder(SmallConfig(), Dtype::kBFloat16);
  const at::Tensor tokens = SomeTokens(2, 30);
  const at::Tensor a = LogitsOf(*exact, tokens), b = LogitsOf(*rounded, tokens);
  EXPECT_EQ(b.scalar_type(), at::kBFloat16);
  // bfloat16 has 8 significant bits: a few thousandths an operation, a few percent of the spread at the end.
  const double rms = (a - b.to(at::kFloat)).square().mean().sqrt().item<double>();
  EXPECT_LT(rms, 0.05 * a.std().item<double>());
  EXPECT_GT(rms, 0.0);
}

TEST(Decoder, AppliesQkNormAndBiasesWhereTheConfigurationSaysSo) {
  const at::Tensor tokens = SomeTokens(1, 8);
  const at::Tensor plain = LogitsOf(*RandomDecoder(SmallConfig()), tokens);
  for (bool DecoderConfig::*flag : {&DecoderConfig::qk_norm, &DecoderConfig::qkv_bias, &DecoderConfig::o_bias,
                                    &DecoderConfig::mlp_bias}) {
    DecoderConfig config = SmallConfig();
    config.*flag = true;
    const auto model = RandomDecoder(config);
    const at::Tensor logits = LogitsOf(*model, tokens);
    EXPECT_TRUE(logits.isfinite().all().item<bool>());
    EXPECT_GT(LargestDifference(logits, plain), 0.01);
  }
}

TEST(Decoder, RefusesDevicesAndTokenizersThatDoNotFit) {
  const DecoderConfig config = SmallConfig();
  const auto text = [&](const std::string& device, int64_t tokenizer_size) -> std::string {
    ModelSummary summary = SummarizeDecoder(config, ExpectedTensors(config), "random", "random");
    try {
      OpenDecoder(config, summary, std::make_unique<RandomWeights>(config, 1),
                  std::make_unique<NoTokenizer>(tokenizer_size), {.dtype = Dtype::kFloat32, .device = device});
    } catch (const Error& error) {
      return error.what();
    }
    return "opened";
  };
  EXPECT_EQ(text("cpu", 40), "opened");
  EXPECT_EQ(text("gpu", 40), "device 'gpu' is unknown. Use cpu, cuda or cuda:<index>.");
  EXPECT_EQ(text("cpu", 41),
            "random: the tokenizer has 41 entries, the model's vocabulary 40. The tokenizer is another model's.");
  if (!at::hasCUDA()) {
    EXPECT_EQ(text("cuda", 40), "device 'cuda' is not here: this libtorch finds no CUDA device. Use device: cpu.");
  }
}

TEST(RotaryFrequencies, FallByThetaAcrossTheHead) {
  DecoderConfig config = SmallConfig();  // head size 8: theta^0, theta^-1/4, theta^-2/4, theta^-3/4
  config.rope_theta = 10000.0;
  EXPECT_TRUE(at::allclose(RotaryFrequencies(config), at::tensor(std::vector<float>{1, 0.1f, 0.01f, 0.001f}), 1e-6));
}

TEST(RotaryFrequencies, Llama3ScalingKeepsFastAndSlowsSlowRotations) {
  DecoderConfig config = SmallConfig();
  config.rope_scaling = Llama3RopeScaling{.factor = 8, .low_freq_factor = 1, .high_freq_factor = 4,
                                          .original_max_positions = 1000};
  const at::Tensor scaled = RotaryFrequencies(config);
  // Turns of 6.3 and 63 positions are below 1000 / 4 and stay; 6283 is above 1000 and is slowed by 8.
  EXPECT_FLOAT_EQ(scaled[0].item<float>(), 1.0f);
  EXPECT_FLOAT_EQ(scaled[1].item<float>(), 0.1f);
  EXPECT_FLOAT_EQ(scaled[3].item<float>(), 0.000125f);
  // A turn of 628.3 lies between: share (1000 / 628.3 - 1) / 3 = 0.19718 of the frequency, the rest slowed.
  EXPECT_NEAR(scaled[2].item<double>(), 0.01 * (0.19718 + (1 - 0.19718) / 8), 1e-7);
}

TEST(RotaryFrequencies, AreDividedByStoredDivisors) {
  DecoderConfig config = SmallConfig();
  config.rope_divisors = {1, 2, 4, 8};
  EXPECT_TRUE(at::allclose(RotaryFrequencies(config), at::tensor(std::vector<float>{1, 0.05f, 0.0025f, 0.000125f})));
}

}  // namespace
}  // namespace bitlaw
