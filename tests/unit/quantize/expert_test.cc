#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "quantize/expert_tokens.h"
#include "quantize/kept_statistics.h"
#include "quantize/recipe/recipe_settings.h"
#include "support/quantizers.h"
#include "unit/quantize/mixture.h"

namespace bitlaw {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kTokens = 32;

// Rounds to nearest, and keeps the inputs that it was shown.
class Shown : public Quantizer {
 public:
  std::string ExplainUnsupported(const LinearShape&) const override { return ""; }
  double BitsRequested(const LinearShape&) const override { return 3; }
  double BitsPerWeight(const LinearShape&) const override { return 3; }
  CalibrationNeeds needs() const override { return {.rows = true}; }
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                           const LayerCalibration& calibration) const override {
    rows[layer.name] = calibration.rows;
    return bitlaw::RoundToNearest({.bits = 3}, weight, 16, layer.name);
  }
  mutable std::map<std::string, at::Tensor> rows;
};

QuantizedModel Quantize(const Quantizer& quantizer, const ExpertCalibration& experts, KeptStatistics* kept = nullptr,
                        int64_t batch_tokens = 0) {
  QuantizeRecipe recipe;
  recipe.quantizer = &quantizer;
  recipe.experts = experts;
  recipe.sequential = SequentialUnit::kNone;
  QuantizeSettings settings;
  settings.allow_fallback = true;
  settings.kept = kept;
  settings.batch_tokens = batch_tokens;
  const TokenSequences sequences = SomeSequences();
  return QuantizeModel(*RandomDecoder(Mixture()), recipe, &sequences, settings);
}

std::unique_ptr<Quantizer> Gptq() {
  return MakeQuantizer("gptq", {{"bits", 3}, {"group_size", 16}, {"on_unseen", "rtn"}});
}

std::string ExpertOf(int block, int expert, const char* layer) {
  return "model.layers." + std::to_string(block) + ".mlp.experts." + std::to_string(expert) + "." + layer;
}

const QuantizedLayer& Find(const QuantizedModel& quantized, const std::string& name) {
  return *std::find_if(quantized.layers.begin(), quantized.layers.end(),
                       [&](const QuantizedLayer& layer) { return layer.shape.name == name; });
}

TEST(AllExperts, SeeEveryTokenOfTheirLayerAndThePassStaysRouted) {
  const Shown routed, all;
  const QuantizedModel usual = Quantize(routed, {});
  const QuantizedModel quantized = Quantize(all, {.policy = ExpertPolicy::kAllExperts});
  const auto model = RandomDecoder(Mixture());
  for (int b = 0; b < 2; ++b) {
    const at::Tensor inputs = all.rows.at(ExpertOf(b, 0, "gate_proj"));  // [32, D]
    ASSERT_EQ(inputs.size(0), kTokens);
    int64_t tokens = 0;
    for (int e = 0; e < 3; ++e) {
      // inner: gate_0, up_0, gate_1, ...
      const at::Tensor gate = at::mm(inputs, model->block(b).stage_linears(2)[2 * e]->weight().t());
      const at::Tensor up = at::mm(inputs, model->block(b).stage_linears(2)[2 * e + 1]->weight().t());
      EXPECT_TRUE(at::equal(all.rows.at(ExpertOf(b, e, "gate_proj")), inputs)) << b << e;
      EXPECT_TRUE(at::equal(all.rows.at(ExpertOf(b, e, "up_proj")), inputs)) << b << e;
      EXPECT_TRUE(at::allclose(all.rows.at(ExpertOf(b, e, "down_proj")), at::silu(gate) * up, 1e-4, 1e-6)) << b << e;
      // The record tells the routed tokens of either.
      const int64_t seen = routed.rows.at(ExpertOf(b, e, "down_proj")).size(0);
      for (const char* layer : {"gate_proj", "up_proj", "down_proj"}) {
        EXPECT_EQ(Find(quantized, ExpertOf(b, e, layer)).diagnostic("routed_tokens"), seen) << b << e;
        EXPECT_EQ(Find(usual, ExpertOf(b, e, layer)).diagnostic("routed_tokens"), seen) << b << e;
      }
      tokens += seen;
    }
    EXPECT_EQ(tokens, kTokens);  // Each token is routed to one.
    const std::string q = "model.layers." + std::to_string(b) + ".self_attn.q_proj";
    EXPECT_TRUE(at::equal(all.rows.at(q), routed.rows.at(q)));
    EXPECT_TRUE(std::isnan(Find(quantized, q).diagnostic("routed_tokens")));
  }
}

// A dense block first: no token of it is routed, and its layers are calibrated on all, whatever the policy.
TEST(AllExperts, LeaveDenseBlocksAsTheyAre) {
  DecoderConfig config = Mixture();
  config.dense_ffn_size = 80;
  config.blocks = {{.is_dense = true}, {}};
  const auto gptq = Gptq();
  const TokenSequences sequences = SomeSequences();
  std::map<ExpertPolicy, QuantizedModel> by_policy;
  for (const ExpertPolicy policy : {ExpertPolicy::kRtn, ExpertPolicy::kAllExperts}) {
    QuantizeRecipe recipe;
    recipe.quantizer = gptq.get();
    recipe.experts = {.policy = policy, .minimum_tokens = kTokens + 1};
    by_policy[policy] = QuantizeModel(*RandomDecoder(config), recipe, &sequences, {.allow_fallback = true});
  }
  const QuantizedModel &rtn = by_policy[ExpertPolicy::kRtn], &all = by_policy[ExpertPolicy::kAllExperts];
  ASSERT_EQ(rtn.layers.size(), 7u + 4u + 9u);
  for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
    const std::string layer = "model.layers.0.mlp." + std::string(name);
    EXPECT_EQ(Find(rtn, layer).linear.fallback, QuantizeFallback::kNone) << name;
    EXPECT_TRUE(std::isnan(Find(rtn, layer).diagnostic("routed_tokens"))) << name;
    EXPECT_TRUE(at::equal(Find(rtn, layer).linear.codes, Find(all, layer).linear.codes)) << name;
    const std::string expert = ExpertOf(1, 0, name);
    EXPECT_EQ(Find(rtn, expert).linear.fallback, QuantizeFallback::kRoundToNearest) << name;
    EXPECT_EQ(Find(all, expert).linear.fallback, QuantizeFallback::kNone) << name;
  }
  const ExpertTokens tokens = RoutedTokens(rtn, kTokens + 1).value();
  EXPECT_EQ(tokens.experts, 3);
  EXPECT_EQ(tokens.below_minimum, 3);
}

// What every token visits is calibrated on all of them once, whatever is shown to the others.
TEST(AllExperts, ShowASharedExpertNoTokenTwice) {
  DecoderConfig config = Mixture();
  config.shared_ffn_size = 40;
  const TokenSequences sequences = SomeSequences();
  std::map<ExpertPolicy, Shown> by_policy;
  for (const ExpertPolicy policy : {ExpertPolicy::kFail, ExpertPolicy::kAllExperts}) {
    QuantizeRecipe recipe;
    recipe.quantizer = &by_policy[policy];
    recipe.experts.policy = policy;
    recipe.sequential = SequentialUnit::kNone;
    EXPECT_EQ(RoutedTokens(QuantizeModel(*RandomDecoder(config), recipe, &sequences), 1).value().experts, 6);
  }
  for (const char* layer : {"gate_proj", "up_proj", "down_proj"}) {
    const std::string name = "model.layers.1.mlp.shared_expert." + std::string(layer);
    const at::Tensor& routed = by_policy[ExpertPolicy::kFail].rows.at(name);
    const at::Tensor& all = by_policy[ExpertPolicy::kAllExperts].rows.at(name);
    EXPECT_EQ(routed.size(0), kTokens) << layer;
    EXPECT_TRUE(at::equal(routed, all)) << layer;
  }
}

TEST(AllExperts, GiveTheSameCodesHoweverManyTokensGoAtOnce) {
  const ExpertCalibration all = {.policy = ExpertPolicy::kAllExperts};
  const auto gptq = Gptq();
  EXPECT_EQ(Quantize(*gptq, all).codes_digest, Quantize(*gptq, all, nullptr, 8).codes_digest);
}

TEST(AllExperts, AreNotMixedUpWithKeptStatisticsOfRoutedTokens) {
  const auto gptq = Gptq();
  const ExpertCalibration all = {.policy = ExpertPolicy::kAllExperts};
  KeptStatistics kept(int64_t{1} << 30);
  const std::string routed_alone = Quantize(*gptq, {}).codes_digest, all_alone = Quantize(*gptq, all).codes_digest;
  EXPECT_NE(routed_alone, all_alone);
  for (int again = 0; again < 2; ++again) EXPECT_EQ(Quantize(*gptq, {}, &kept).codes_digest, routed_alone);
  for (int again = 0; again < 2; ++again) {
    const QuantizedModel quantized = Quantize(*gptq, all, &kept);
    EXPECT_EQ(quantized.codes_digest, all_alone);
    const ExpertTokens tokens = RoutedTokens(quantized, 1).value();
    EXPECT_EQ(tokens.experts, 6);
    EXPECT_GT(tokens.greatest, tokens.least) << "those routed, though all were seen";
  }
}

// A block that has experts and knows nothing of ForwardContext::all_rows.
class RoutedOnly : public Block {
 public:
  explicit RoutedOnly(Block& block) : block_(block) {}
  int num_stages() const override { return block_.num_stages(); }
  std::span<Linear* const> stage_linears(int stage) override { return block_.stage_linears(stage); }
  std::vector<Site> sites() override { return block_.sites(); }
  void Step(int stage, BlockState& state, const ForwardContext&, const InputObserver& observe) override {
    block_.Step(stage, state, {}, observe);
  }

 private:
  Block& block_;
};
class RoutedOnlyModel : public Model {
 public:
  const ModelSummary& summary() const override { return model_->summary(); }
  const ComputeSetting& compute() const override { return model_->compute(); }
  const Tokenizer& tokenizer() const override { return model_->tokenizer(); }
  at::Tensor Embed(const at::Tensor& tokens) override { return model_->Embed(tokens); }
  at::Tensor Logits(const at::Tensor& hidden) override { return model_->Logits(hidden); }
  Block& block(int64_t i) override { return *(block_ = std::make_unique<RoutedOnly>(model_->block(i))); }
  void DropBlock(int64_t i) override { model_->DropBlock(i); }

 private:
  const std::unique_ptr<Model> model_ = RandomDecoder(Mixture());
  std::unique_ptr<Block> block_;
};

TEST(AllExperts, AreRefusedOfAModelThatDoesNotShowThem) {
  RoutedOnlyModel model;
  const auto gptq = Gptq();
  QuantizeRecipe recipe;
  recipe.quantizer = gptq.get();
  recipe.experts.policy = ExpertPolicy::kAllExperts;
  const TokenSequences sequences = SomeSequences();
  try {
    QuantizeModel(model, recipe, &sequences);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_STREQ(error.what(), "model.layers.0.mlp.experts.0.gate_proj: the model shows an expert only the tokens "
                               "routed to it, and experts.policy is all_experts. Use policy fail or rtn.");
  }
}

// Experts of the first block by the tokens routed to them.
std::map<int, int64_t> RoutedInFirstBlock(const QuantizedModel& quantized) {
  std::map<int, int64_t> tokens;
  for (int e = 0; e < 3; ++e) {
    tokens[e] = static_cast<int64_t>(Find(quantized, ExpertOf(0, e, "gate_proj")).diagnostic("routed_tokens"));
  }
  return tokens;
}

TEST(MinimumTokens, RoundsToNearestExpertsWithFewerAndNoOthers) {
  const auto gptq = Gptq(), rtn = MakeQuantizer("rtn", {{"bits", 3}, {"group_size", 16}});
  const QuantizedModel usual = Quantize(*gptq, {}), nearest = Quantize(*rtn, {});
  const auto routed = RoutedInFirstBlock(usual);
  int64_t greatest = 0;
  for (const auto& [e, tokens] : routed) greatest = std::max(greatest, tokens);
  const QuantizedModel quantized = Quantize(*gptq, {.policy = ExpertPolicy::kRtn, .minimum_tokens = greatest});
  int below = 0;
  for (const auto& [e, tokens] : routed) {
    for (const char* layer : {"gate_proj", "up_proj", "down_proj"}) {
      const QuantizedLayer& found = Find(quantized, ExpertOf(0, e, layer));
      const bool is_below = tokens < greatest;
      EXPECT_EQ(found.linear.fallback, is_below ? QuantizeFallback::kRoundToNearest : QuantizeFallback::kNone);
      const QuantizedLayer& expected = Find(is_below ? nearest : usual, ExpertOf(0, e, layer));
      EXPECT_TRUE(at::equal(found.linear.codes, expected.linear.codes)) << e << layer;
      EXPECT_EQ(found.diagnostic("routed_tokens"), tokens);
      below += is_below;
    }
  }
  EXPECT_GT(below, 0);
  EXPECT_LT(below, 9);
}

TEST(MinimumTokens, FailsWithTheBlocksCounts) {
  const auto gptq = Gptq();
  const auto routed = RoutedInFirstBlock(Quantize(*gptq, {}));
  const auto least = std::min_element(routed.begin(), routed.end(),
                                      [](const auto& a, const auto& b) { return a.second < b.second; });
  try {
    Quantize(*gptq, {.policy = ExpertPolicy::kFail, .minimum_tokens = 1000});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumerical);
    EXPECT_EQ(std::string(error.what()),
              "block 0: 3 of 3 experts got fewer calibration tokens than experts.minimum_tokens = 1000, the fewest "
              "model.layers.0.mlp.experts." +
                  std::to_string(least->first) + ".in with " + std::to_string(least->second) +
                  ". Use more calibration sequences, or experts.policy rtn or all_experts, which the record will "
                  "name.");
  }
  EXPECT_NO_THROW(Quantize(*gptq, {.policy = ExpertPolicy::kAllExperts, .minimum_tokens = 1000}));
}

QuantizedLayer LayerOfExpert(const char* name, double routed) {
  QuantizedLayer layer;
  layer.shape.name = name;
  layer.shape.is_expert = true;
  layer.linear.diagnostics = {{"routed_tokens", routed}};
  return layer;
}

TEST(RoutedTokens, AreSummedUpByExpert) {
  QuantizedModel quantized;
  EXPECT_FALSE(RoutedTokens(quantized, 1).has_value());
  quantized.layers = {LayerOfExpert("0.experts.0.gate", 9), LayerOfExpert("0.experts.0.down", 9),
                      LayerOfExpert("0.experts.1.gate", 0), LayerOfExpert("0.experts.1.down", 0),
                      LayerOfExpert("0.experts.2.gate", 5), LayerOfExpert("0.experts.2.down", 5)};
  const ExpertTokens tokens = RoutedTokens(quantized, 5).value();
  EXPECT_EQ(tokens.experts, 3);
  EXPECT_EQ(tokens.least, 0);
  EXPECT_EQ(tokens.median, 5);
  EXPECT_EQ(tokens.greatest, 9);
  EXPECT_EQ(tokens.below_minimum, 1);
}

SingleRecipe Read(const char* quantizer, Value experts) {
  const Value entry = Value::Map{{"quantizer", quantizer}, {"group_size", 16}, {"experts", std::move(experts)}};
  return ReadRecipe(entry, "the recipe", QuantizerHost());
}

TEST(ExpertRecipe, IsAPartOfTheRecipe) {
  const SingleRecipe rtn = Read("gptq", Value::Map{{"policy", "rtn"}, {"minimum_tokens", 64}});
  const Value& recipe = rtn.options.recipe;
  EXPECT_EQ(recipe.CanonicalJson(), R"({"experts":{"minimum_tokens":64,"policy":"rtn"}})");
  const MadeRecipe made = MakeRecipe(QuantizerHost(), "gptq", rtn.options.quantizer, recipe);
  EXPECT_EQ(QuantizeRecipeOf(made, recipe).experts.policy, ExpertPolicy::kRtn);
  EXPECT_EQ(QuantizeRecipeOf(made, recipe).experts.minimum_tokens, 64);
  EXPECT_EQ(MinimumTokens(recipe), 64);
  EXPECT_EQ(Read("gptq", Value::Map{}).options.recipe.CanonicalJson(),
            R"({"experts":{"minimum_tokens":1,"policy":"fail"}})");

  // A number that nothing reads makes no other trial.
  const SingleRecipe all = Read("gptq", Value::Map{{"policy", "all_experts"}, {"minimum_tokens", 64}});
  EXPECT_EQ(all.options.recipe.CanonicalJson(), R"({"experts":{"policy":"all_experts"}})");
  EXPECT_EQ(all.options.shown.Find("experts.minimum_tokens"), nullptr);
  const MadeRecipe made_all = MakeRecipe(QuantizerHost(), "gptq", all.options.quantizer, all.options.recipe);
  EXPECT_EQ(QuantizeRecipeOf(made_all, all.options.recipe).experts.policy, ExpertPolicy::kAllExperts);

  try {
    Read("gptq", Value::Map{{"minimum_token", 64}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("'minimum_token' is not an option of 'experts' of the recipe. Did you mean "
                                        "'minimum_tokens'? Options: policy, minimum_tokens."));
  }
}

TEST(ExpertRecipe, SaysWhyItCannotBeDone) {
  const auto said = [](const char* quantizer, Value experts, const DecoderConfig& config) {
    const SingleRecipe recipe = Read(quantizer, std::move(experts));
    const MadeRecipe made = MakeRecipe(QuantizerHost(), quantizer, recipe.options.quantizer, recipe.options.recipe);
    return ExplainUnsupportedParts(made, recipe.options.recipe, RandomDecoder(config)->summary());
  };
  const Value rtn = Value::Map{{"policy", "rtn"}};
  EXPECT_EQ(said("gptq", rtn, Mixture()), "");
  EXPECT_EQ(said("gptq", rtn, SmallConfig()), "this model has no experts, and the recipe has 'experts'");
  EXPECT_EQ(said("rtn", rtn, Mixture()),
            "'experts' says what experts are calibrated on, and nothing in this recipe is calibrated");
}

}  // namespace
}  // namespace bitlaw
