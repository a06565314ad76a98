// One scale of the tensors that read one input: NVFP4's tensor_scale, FP8's scale: site.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/error.h"
#include "quantize/recipe/recipe_settings.h"
#include "support/quantizers.h"
#include "unit/quantize/mixture.h"

namespace bitlaw {
namespace {

// The divisor of each layer, and what it is by itself: 448 * 6 / max |W|, by way of the inverse.
struct Divisors {
  std::map<std::string, float> found, own;
};

Divisors Quantized(const DecoderConfig& config, const Value::Map& entry, const char* quantizer) {
  Value::Map all = {{"quantizer", quantizer}};
  all.insert(all.end(), entry.begin(), entry.end());
  const SingleRecipe recipe = ReadRecipe(Value(all), "the recipe", QuantizerHost());
  const MadeRecipe made = MakeRecipe(QuantizerHost(), quantizer, recipe.options.quantizer, recipe.options.recipe);
  const TokenSequences sequences = SomeSequences();
  QuantizeSettings settings;
  settings.allow_fallback = true;
  const auto model = RandomDecoder(config), original = RandomDecoder(config);
  const QuantizedModel quantized =
      QuantizeModel(*model, QuantizeRecipeOf(made, recipe.options.recipe), &sequences, settings);
  Divisors divisors;
  for (const QuantizedLayer& layer : quantized.layers) divisors.found[layer.shape.name] = layer.linear.scale_divisor;
  for (int64_t b = 0; b < original->summary().num_blocks; ++b) {
    for (int stage = 0; stage < original->block(b).num_stages(); ++stage) {
      for (const Linear* linear : original->block(b).stage_linears(stage)) {
        divisors.own[linear->shape().name] = 448.0F * 6 * (1.0F / linear->weight().abs().max().item<float>());
      }
    }
  }
  return divisors;
}

Value::Map Nvfp4(Value::Map more = {}) {
  Value::Map entry = {{"weights", Value::Map{{"grid", "nvfp4"}, {"group_size", 16}}}};
  entry.insert(entry.end(), more.begin(), more.end());
  return entry;
}

// Whether the layers have the divisor of that one among them which has the largest weight.
void ExpectOne(const Divisors& divisors, const std::string& place, const std::vector<std::string>& layers) {
  float least = std::numeric_limits<float>::infinity();
  for (const std::string& layer : layers) least = std::min(least, divisors.own.at(place + layer));
  for (const std::string& layer : layers) EXPECT_EQ(divisors.found.at(place + layer), least) << place << layer;
}

TEST(SiteScale, IsThatOfTheLargestWeightOfAllThatReadOneInput) {
  const Value::Map shrunk = Nvfp4({{"range_search", "outputs"}}), scattered = Nvfp4({{"group_params", "ref"}});
  const Value::Map searched = {{"weights", Value::Map{{"grid", "nvfp4"}, {"group_size", 16}, {"mse", true}}}};
  const std::pair<const char*, Value::Map> recipes[] = {
      {"rtn", Nvfp4()}, {"rtn", shrunk}, {"rtn", searched}, {"gptq", Nvfp4()}, {"gptq", searched}, {"gptq", scattered}};
  for (const auto& [quantizer, entry] : recipes) {
    const Divisors divisors = Quantized(SmallConfig(), entry, quantizer);
    for (const std::string block : {"model.layers.0.", "model.layers.1."}) {
      ExpectOne(divisors, block + "self_attn.", {"q_proj", "k_proj", "v_proj"});
      ExpectOne(divisors, block + "self_attn.", {"o_proj"});
      ExpectOne(divisors, block + "mlp.", {"gate_proj", "up_proj"});
      ExpectOne(divisors, block + "mlp.", {"down_proj"});
    }
  }
}

TEST(SiteScale, IsEachLayersOwnWhereTheGridSaysSo) {
  const Value::Map own = {{"weights", Value::Map{{"grid", "nvfp4"}, {"group_size", 16}, {"tensor_scale", "layer"}}}};
  for (const char* quantizer : {"rtn", "gptq"}) {
    const Divisors divisors = Quantized(SmallConfig(), own, quantizer);
    EXPECT_EQ(divisors.found, divisors.own);
  }
}

// Of an expert that saw no token, under on_unseen as under experts.policy, as well.
TEST(SiteScale, IsOneAnExpert) {
  const Value::Map few = Nvfp4({{"experts", Value::Map{{"policy", "rtn"}, {"minimum_tokens", 1000}}}});
  const std::pair<const char*, Value::Map> recipes[] = {
      {"rtn", Nvfp4()}, {"gptq", Nvfp4({{"on_unseen", "rtn"}})}, {"gptq", few}};
  for (const auto& [quantizer, entry] : recipes) {
    const Divisors divisors = Quantized(Mixture(), entry, quantizer);
    for (int e = 0; e < 3; ++e) {
      const std::string expert = "model.layers.0.mlp.experts." + std::to_string(e) + ".";
      ExpectOne(divisors, expert, {"gate_proj", "up_proj"});
      ExpectOne(divisors, expert, {"down_proj"});
    }
  }
}

TEST(SiteScale, IsOfThoseReadersThatHaveTheGridInCommon) {
  const auto of_rule = [](Value::Map rule) {
    const Value rules = Value::List{Value(std::move(rule))};
    return Quantized(SmallConfig(), Nvfp4({{"overrides", rules}}), "gptq");
  };
  const std::string place = "model.layers.1.self_attn.";
  const Divisors skipped = of_rule({{"match", "*.k_proj"}, {"skip", true}});
  ExpectOne(skipped, place, {"q_proj", "v_proj"});
  EXPECT_FALSE(skipped.found.contains(place + "k_proj"));
  const Divisors damped = of_rule({{"match", "*.k_proj"}, {"damp", 0.1}});
  ExpectOne(damped, place, {"q_proj", "v_proj"});
  ExpectOne(damped, place, {"k_proj"});
}

// 448 * 6 / 12 = 224; max |w| / 448 of both is 12 / 448.
TEST(SiteScale, IsFoundFromAllTensors) {
  SiteShape site;
  site.readers = {{.name = "gate", .in_features = 16, .out_features = 1}, {.name = "up", .in_features = 16, .out_features = 1}};
  const std::vector<at::Tensor> weights = {at::full({1, 16}, 3.0F), at::full({1, 16}, -12.0F)};
  for (const char* name : {"rtn", "gptq"}) {
    auto quantizer = MakeQuantizer(name, {{"group_size", 16}});
    quantizer->TakeGrid(MakeGrid("nvfp4", {}));
    std::vector<QuantizedLinear> rounded(2);
    quantizer->RoundToNearest(site, weights, rounded);
    EXPECT_EQ(rounded[0].scale_divisor, 224);
    EXPECT_EQ(rounded[1].scale_divisor, 224);
    // 112 / 224 = 1 / 2 with code 6: 3; 448 / 224 = 2 with -6: -12.
    EXPECT_EQ(rounded[0].StoredScales().item<float>(), 112);
    EXPECT_EQ(rounded[1].StoredScales().item<float>(), 448);
    for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(rounded[i].Dequantize().equal(weights[i]));

    auto of_eight = MakeQuantizer(name, {{"group_size", "row"}});
    of_eight->TakeGrid(MakeGrid("fp8", {{"scale", "site"}}));
    of_eight->RoundToNearest(site, weights, rounded);
    EXPECT_EQ(rounded[0].scales.item<float>(), 12.0F / 448);
    EXPECT_EQ(rounded[1].scales.item<float>(), 12.0F / 448);
  }
  EXPECT_EQ(MakeGrid("fp8", {{"scale", "tensor"}})->ForSite(weights), nullptr);
  EXPECT_EQ(MakeGrid("fp8", {{"scale", "site"}})->ExplainGroupSize(32),
            "grid 'fp8' has one scale a site (scale: site), and group_size is 32. Set group_size: row.");
}

TEST(SiteScale, IsNotFoundFromWeightsThatAreNotFinite) {
  SiteShape site;
  site.readers = {{.name = "gate", .in_features = 16, .out_features = 1}, {.name = "up", .in_features = 16, .out_features = 1}};
  const std::vector<at::Tensor> weights = {at::ones({1, 16}), at::full({1, 16}, INFINITY)};
  auto rtn = MakeQuantizer("rtn", {{"group_size", "row"}});
  rtn->TakeGrid(MakeGrid("fp8", {{"scale", "site"}}));
  std::vector<QuantizedLinear> results(2);
  try {
    rtn->QuantizeSite(site, weights, {}, results);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("up: 16 of 16 weights are not finite."));
  }
}

}  // namespace
}  // namespace bitlaw
