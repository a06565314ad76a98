#include "bitlaw/sdk/decoder/decoder.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "unit/decoder/random_decoder.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

constexpr double kRounding = 2e-5;  // float32, logits of order one

at::Tensor LogitsOf(Model& model, const at::Tensor& tokens, const ForwardContext& context = {}) {
  return model.Logits(model.Forward(tokens, context));  // [B, T, V]
}

// Logits of `runs` of a pass, whose ids stand in `tokens` [1, T].
at::Tensor PassLogits(Model& model, const at::Tensor& tokens, KvCache& cache, const std::vector<TokenRun>& runs) {
  return LogitsOf(model, tokens, {&cache, runs});
}

TEST(Decoder, CachedDecodingEqualsOnePass) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor tokens = SomeTokens(2, 20);
  const at::Tensor whole = LogitsOf(*model, tokens);
  KvCache cache(2, 40);
  const int64_t first = *cache.Add(KvCache::kNoParent, 20), second = *cache.Add(KvCache::kNoParent, 20);
  std::vector<at::Tensor> parts;
  const auto step = [&](int64_t at, int64_t count) {
    const at::Tensor both = PassLogits(*model, tokens.narrow(1, at, count).reshape({1, 2 * count}), cache,
                                       {{first, count}, {second, count}});
    parts.push_back(both.view({2, count, -1}));
  };
  step(0, 9);
  for (int64_t t = 9; t < 20; ++t) step(t, 1);
  EXPECT_EQ(cache.length(first), 20);
  EXPECT_LT(LargestDifference(at::cat(parts, 1), whole), kRounding);
  EXPECT_GT(whole.std().item<double>(), 0.1) << "the comparison needs logits that differ";
}

// A header of an earlier pass, two questions after it, answers after those, and a text of its own, all in one pass.
void ExpectAForestToEqualWholeTexts(const DecoderConfig& config, Dtype dtype, double tolerance) {
  const auto model = RandomDecoder(config, dtype);
  const at::Tensor header = SomeTokens(1, 6), questions = SomeTokens(2, 5, 4), answers = SomeTokens(5, 4, 5),
                   other = SomeTokens(1, 9, 6);
  KvCache cache(2, 100);
  const int64_t root = *cache.Add(KvCache::kNoParent, 6);
  PassLogits(*model, header, cache, {{root, 6}});
  const int64_t a = *cache.Add(root, 5), b = *cache.Add(root, 5), alone = *cache.Add(KvCache::kNoParent, 9);
  std::vector<TokenRun> runs;
  std::vector<at::Tensor> ids, expected;
  const auto take = [&](int64_t segment, const at::Tensor& added, const std::vector<at::Tensor>& before) {
    runs.push_back({segment, added.size(1)});
    ids.push_back(added);
    std::vector<at::Tensor> text = before;
    text.push_back(added);
    const at::Tensor whole = LogitsOf(*model, at::cat(text, 1));
    expected.push_back(whole.narrow(1, whole.size(1) - added.size(1), added.size(1)));
  };
  const auto row = [](const at::Tensor& x, int64_t r, int64_t count) { return x.narrow(0, r, 1).narrow(1, 0, count); };
  take(a, row(questions, 0, 5), {header});
  for (int64_t k : {0, 1, 2}) take(*cache.Add(a, 4 - k), row(answers, k, 4 - k), {header, row(questions, 0, 5)});
  take(alone, other, {});
  take(b, row(questions, 1, 5), {header});
  for (int64_t k : {3, 4}) take(*cache.Add(b, 1), row(answers, k, 1), {header, row(questions, 1, 5)});
  const at::Tensor given = PassLogits(*model, at::cat(ids, 1), cache, runs);
  EXPECT_LT(LargestDifference(given, at::cat(expected, 1)), tolerance);
}

TEST(Decoder, AForestOfTextsEqualsWholeTexts) { ExpectAForestToEqualWholeTexts(SmallConfig(), Dtype::kFloat32, kRounding); }

TEST(Decoder, AForestOfTextsEqualsWholeTextsInBfloat16) {
  // Logits of up to 4, which bfloat16 has in steps of 1 / 64.
  ExpectAForestToEqualWholeTexts(SmallConfig(), Dtype::kBFloat16, 0.125);
}

TEST(Decoder, RefusesAPassThatIsNotItsRuns) {
  const auto model = RandomDecoder(SmallConfig());
  KvCache cache(2, 10);
  const int64_t segment = *cache.Add(KvCache::kNoParent, 10);
  EXPECT_THROW(PassLogits(*model, SomeTokens(1, 4), cache, {{segment, 5}}), InternalError);
  EXPECT_THROW(PassLogits(*model, SomeTokens(2, 4), cache, {{segment, 8}}), InternalError);
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
  const at::Tensor tokens = SomeTokens(1, 1200);  // Several chunks of a pass, too.
  const at::Tensor whole = LogitsOf(*model, tokens);
  KvCache cache(2, 1200), at_once(2, 1200);
  const int64_t segment = *cache.Add(KvCache::kNoParent, 1200);
  std::vector<at::Tensor> parts;
  for (int64_t t = 0; t < 1200; t += 50) parts.push_back(PassLogits(*model, tokens.narrow(1, t, 50), cache, {{segment, 50}}));
  EXPECT_LT(LargestDifference(at::cat(parts, 1), whole), kRounding);
  const int64_t same = *at_once.Add(KvCache::kNoParent, 1200);
  EXPECT_LT(LargestDifference(PassLogits(*model, tokens, at_once, {{same, 1200}}), whole), kRounding);
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
  EXPECT_THAT(seen, ::testing::ElementsAre("q_proj k_proj v_proj 20", "o_proj 20", "gate_proj up_proj 20",
                                         "down_proj 20"));
}

TEST(Decoder, SettingOneOfATiedPairLeavesTheOtherAsItWas) {
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor embedding = model->other_weights()[0].second.clone(), hidden = at::ones({1, 3, 32});
  const at::Tensor logits = model->Logits(hidden);
  model->SetOtherWeight("model.embed_tokens.weight", embedding * 2);
  EXPECT_TRUE(at::equal(model->Embed(at::zeros({1, 1}, at::kLong))[0][0], embedding[0] * 2));
  EXPECT_TRUE(at::equal(model->Logits(hidden), logits));
  const auto changed = model->changed_weights();
  ASSERT_EQ(changed.size(), 2U);
  EXPECT_EQ(changed[1].first, "lm_head.weight");
  EXPECT_TRUE(at::equal(changed[1].second, embedding));
}

DecoderConfig ExpertConfig() {
  DecoderConfig config = SmallConfig();
  config.architecture = "qwen3_moe";
  config.num_experts = 4;
  config.experts_per_token = 2;
  config.normalize_expert_weights = true;
  return config;
}

TEST(ExpertDecoder, AForestOfTextsEqualsWholeTexts) { ExpectAForestToEqualWholeTexts(ExpertConfig(), Dtype::kFloat32, kRounding); }

TEST(ExpertDecoder, AForestOfTextsEqualsWholeTextsWithADenseBlock) {
  DecoderConfig config = ExpertConfig();
  config.dense_ffn_size = 80;
  config.blocks = {{}, {.is_dense = true}};
  ExpectAForestToEqualWholeTexts(config, Dtype::kFloat32, kRounding);
}

TEST(ExpertDecoder, EveryTokenVisitsASharedExpertOnce) {
  DecoderConfig config = ExpertConfig();
  config.shared_ffn_size = 40;
  ExpectAForestToEqualWholeTexts(config, Dtype::kFloat32, kRounding);
  const auto model = RandomDecoder(config);
  BlockState state{.residual = model->Embed(SomeTokens(2, 10)), .activation = {}, .extra = {}};
  std::map<std::string, int64_t> visits;
  const InputObserver observe = [&](std::span<Linear* const> readers, const at::Tensor& input) {
    for (const Linear* reader : readers) {
      const std::string& name = reader->shape().name;
      if (name.find(".shared_expert.") == std::string::npos) continue;
      EXPECT_EQ(reader->shape().in_features, input.size(-1));
      visits[name.substr(name.rfind('.') + 1)] += input.numel() / input.size(-1);
    }
  };
  Block& block = model->block(0);
  for (int stage = 0; stage <= block.num_stages(); ++stage) block.Step(stage, state, {}, observe);
  EXPECT_EQ(visits, (std::map<std::string, int64_t>{{"gate_proj", 20}, {"up_proj", 20}, {"down_proj", 20}}));
}

TEST(ExpertDecoder, EveryTokenVisitsItsNumberOfExperts) {
  const auto model = RandomDecoder(ExpertConfig());
  BlockState state{.residual = model->Embed(SomeTokens(2, 10)), .activation = {}, .extra = {}};
  const ForwardContext context;
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
  EXPECT_EQ(visits, (std::map<std::string, int64_t>{{"q_proj", 20}, {"k_proj", 20}, {"v_proj", 20}, {"o_proj", 20},
                                                    {"gate_proj", 40}, {"up_proj", 40}, {"down_proj", 40}}));
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

// Weights of which the embedding lies in a mapped file.
class MappedEmbedding : public RandomWeights {
 public:
  MappedEmbedding(const DecoderConfig& config, std::shared_ptr<const MappedFile> file)
      : RandomWeights(config, 7), file_(std::move(file)) {}
  at::Tensor Load(const std::string& name, at::ScalarType dtype) const override {
    if (name != "model.embed_tokens.weight") return RandomWeights::Load(name, dtype);
    ++embeddings_;
    return MappedTensor(file_, 0, {40, 32}, at::kFloat, dtype);
  }
  int embeddings() const { return embeddings_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  mutable int embeddings_ = 0;
};

class DecoderOfAFile : public FileTest {};

// The rows of a mapped embedding are given back with the blocks; one that was converted would cost too much to make
// again.
TEST_F(DecoderOfAFile, DropsWhatItReadOfTheEmbedding) {
  const auto file = MappedFile::Open(Write("embedding", std::string(40 * 32 * 4, '\0')));
  for (const auto& [dtype, loads] : {std::pair(Dtype::kFloat32, 2), {Dtype::kBFloat16, 1}}) {
    auto source = std::make_unique<MappedEmbedding>(SmallConfig(), file);
    const MappedEmbedding& weights = *source;
    ModelSummary summary = SummarizeDecoder(SmallConfig(), ExpectedTensors(SmallConfig()), "random", "random");
    const auto model =
        OpenDecoder(SmallConfig(), summary, std::move(source), std::make_unique<NoTokenizer>(40), {.dtype = dtype});
    const at::Tensor first = model->Embed(SomeTokens(1, 6));
    model->Embed(SomeTokens(1, 6));
    EXPECT_EQ(weights.embeddings(), 1);
    model->DropBlock(0);
    EXPECT_TRUE(at::equal(model->Embed(SomeTokens(1, 6)), first));
    EXPECT_EQ(weights.embeddings(), loads);
  }
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

TEST(Decoder, RefusesDevicesThatAreNotThereAndOpensWithATokenizerOfMoreEntries) {
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
  EXPECT_EQ(text("cpu", 41), "opened");
  if (!at::hasCUDA()) {
    EXPECT_EQ(text("cuda", 40), "device 'cuda' is not here: this libtorch finds no CUDA device. Use device: cpu.");
  }
}

TEST(RotaryFrequencies, FallByThetaAcrossTheHead) {
  DecoderConfig config = SmallConfig();  // head size 8: theta^0, theta^-1/4, theta^-2/4, theta^-3/4
  config.rope.theta = 10000.0;
  EXPECT_TRUE(at::allclose(RotaryFrequencies(config.rope, config.head_dim), at::tensor(std::vector<float>{1, 0.1f, 0.01f, 0.001f}), 1e-6));
}

TEST(RotaryFrequencies, Llama3ScalingKeepsFastAndSlowsSlowRotations) {
  DecoderConfig config = SmallConfig();
  config.rope.scaling = Llama3RopeScaling{.factor = 8, .low_freq_factor = 1, .high_freq_factor = 4,
                                          .original_max_positions = 1000};
  const at::Tensor scaled = RotaryFrequencies(config.rope, config.head_dim);
  // Turns of 6.3 and 63 positions are below 1000 / 4 and stay; 6283 is above 1000 and is slowed by 8.
  EXPECT_FLOAT_EQ(scaled[0].item<float>(), 1.0f);
  EXPECT_FLOAT_EQ(scaled[1].item<float>(), 0.1f);
  EXPECT_FLOAT_EQ(scaled[3].item<float>(), 0.000125f);
  // A turn of 628.3 lies between: share (1000 / 628.3 - 1) / 3 = 0.19718 of the frequency, the rest slowed.
  EXPECT_NEAR(scaled[2].item<double>(), 0.01 * (0.19718 + (1 - 0.19718) / 8), 1e-7);
}

TEST(RotaryFrequencies, AreDividedByStoredDivisors) {
  DecoderConfig config = SmallConfig();
  config.rope.divisors = {1, 2, 4, 8};
  EXPECT_TRUE(at::allclose(RotaryFrequencies(config.rope, config.head_dim), at::tensor(std::vector<float>{1, 0.05f, 0.0025f, 0.000125f})));
}

}  // namespace
}  // namespace bitlaw
