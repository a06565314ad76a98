// Keys and values whose scales come from the calibration set, static inputs of a model whose weights stay, and what a
// recipe says of its cache.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bitlaw/base/error.h"
#include "math/matrix_product.h"
#include "quantize/quantized_file.h"
#include "quantize/recipe/recipe_settings.h"
#include "spec/quantize/recipe.h"
#include "support/fixture_study.h"
#include "support/quantizers.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

TokenSequences SomeSequences(int64_t count, int64_t length) {
  TokenSequences sequences{count, length, {}};
  const at::Tensor tokens = SomeTokens(count, length).to(at::kInt).contiguous();
  sequences.ids.assign(tokens.data_ptr<int32_t>(), tokens.data_ptr<int32_t>() + tokens.numel());
  return sequences;
}

SingleRecipe Read(const std::string& quantizer, Value::Map parts) {
  Value entry = Value::Map{{"quantizer", quantizer}};
  if (quantizer != kKeepWeights) entry.Set("group_size", 16);
  for (auto& [name, value] : parts) entry.Set(name, std::move(value));
  return ReadRecipe(entry, "the recipe", QuantizerHost());
}

SingleRecipe Cache(Value::Map options, const std::string& quantizer = "keep") {
  return Read(quantizer, {{"kv_cache", std::move(options)}});
}

MadeRecipe Made(const SingleRecipe& recipe) {
  return MakeRecipe(QuantizerHost(), recipe.quantizer, recipe.options.quantizer, recipe.options.recipe);
}

QuantizedModel Quantized(Model& model, const SingleRecipe& recipe, const QuantizeSettings& settings = {}) {
  const TokenSequences sequences = SomeSequences(3, 12);
  const MadeRecipe made = Made(recipe);
  return QuantizeModel(model, QuantizeRecipeOf(made, recipe.options.recipe),
                       made.needs_calibration() ? &sequences : nullptr, settings);
}

at::Tensor LogitsOf(Model& model) { return model.Logits(model.Forward(SomeTokens(2, 11, 5), {})); }

// What a projection of the first block gives for the calibration set, [tokens, K, Dh]: nothing before it is rounded.
at::Tensor FirstHeads(size_t projection) {
  const auto model = RandomDecoder(SmallConfig());
  Block& block = model->block(0);
  const RowsByThemselves alike;  // As the walk over the calibration set multiplies.
  BlockState state{.residual = model->Embed(SomeTokens(3, 12)), .activation = {}, .extra = {}};
  block.Step(0, state, {}, {});
  return block.stage_linears(0)[projection]->Apply(state.activation).reshape({36, 2, 8});
}

TEST(StaticCache, CoversKeysAndValuesOfTheCalibrationSet) {
  const at::Tensor keys = FirstHeads(1), values = FirstHeads(2);
  const auto model = RandomDecoder(SmallConfig());
  const SingleRecipe recipe = Cache({{"key_bits", 4}, {"key_per", "channel"}, {"value_bits", 4}, {"value_per", "head"},
                                     {"keys_before_rotation", true}});
  EXPECT_TRUE(Made(recipe).needs_calibration());
  EXPECT_FALSE(Made(Cache({{"key_bits", 4}})).needs_calibration());
  const KvCacheGrid grid = Quantized(*model, recipe).kv_cache;
  ASSERT_EQ(grid.keys->blocks.size(), 2u);
  EXPECT_TRUE(grid.keys->blocks[0].lows.equal(keys.amin(0)));                                   // [K, Dh]
  EXPECT_TRUE(grid.keys->blocks[0].scales.equal(keys.amax(0).sub(keys.amin(0)).div(15)));
  EXPECT_TRUE(grid.values->blocks[0].lows.equal(values.amin(0).amin(-1, true)));                // [K, 1]
  EXPECT_TRUE(
      grid.values->blocks[0].scales.equal(values.amax(0).amax(-1, true).sub(values.amin(0).amin(-1, true)).div(15)));
  EXPECT_FALSE(grid.keys->blocks[1].lows.equal(grid.keys->blocks[0].lows));
}

// The rotation turns pairs of channels: another range, of the same length of each pair.
TEST(StaticCache, CoversKeysAfterTheRotationUnlessToldOtherwise) {
  const at::Tensor before = FirstHeads(1);
  const auto model = RandomDecoder(SmallConfig());
  const KvCacheGrid grid =
      Quantized(*model, Cache({{"key_bits", 8}, {"key_per", "channel"}, {"symmetric", true}})).kv_cache;
  const at::Tensor reach = grid.keys->blocks[0].scales.mul(127);  // max |k| of a channel, [K, Dh]
  EXPECT_FALSE(at::allclose(reach, before.abs().amax(0)));
  const at::Tensor left = before.narrow(2, 0, 4), right = before.narrow(2, 4, 4);
  const at::Tensor longest = left.square().add(right.square()).sqrt().amax(0);  // [K, Dh / 2]
  EXPECT_TRUE((reach.narrow(1, 0, 4) <= longest * (1 + 1e-5)).all().item<bool>());
  EXPECT_TRUE((reach.narrow(1, 4, 4) <= longest * (1 + 1e-5)).all().item<bool>());
}

// Scales are those of the unquantized model, whatever the weights are rounded to and however the set is batched.
TEST(StaticCache, DoesNotDependOnWeightsAndBatches) {
  const Value::Map options = {{"key_bits", 4}, {"key_per", "channel"}, {"value_bits", 4}};
  const auto kept = RandomDecoder(SmallConfig()), rounded = RandomDecoder(SmallConfig()),
             again = RandomDecoder(SmallConfig());
  const KvCacheGrid of_kept = Quantized(*kept, Cache(options)).kv_cache;
  const QuantizedModel of_rounded = Quantized(*rounded, Cache(options, "rtn"));
  for (size_t b = 0; b < 2; ++b) {
    EXPECT_TRUE(of_kept.keys->blocks[b].scales.equal(of_rounded.kv_cache.keys->blocks[b].scales));
  }
  EXPECT_EQ(Quantized(*again, Cache(options, "rtn"), {.batch_tokens = 12}).codes_digest, of_rounded.codes_digest);
}

// Files hold every grid of keys and values, and the digest tells them apart.
TEST(StaticCache, IsInFilesAndInTheDigest) {
  const ScratchFolder folder;
  std::vector<std::string> digests;
  for (const Value::Map& options : std::vector<Value::Map>{
           {{"key_bits", 4}},
           {{"key_bits", 4}, {"keys_before_rotation", true}},
           {{"key_bits", 4}, {"key_per", "channel"}},
           {{"key_bits", 4}, {"key_per", "channel"}, {"symmetric", true}},
           {{"key_bits", 4}, {"key_per", "head"}, {"value_bits", 2}},
           {{"key_bits", 4}, {"value_bits", 2}, {"value_per", "tensor"}},
           {{"key_format", "fp8_e4m3"}, {"value_format", "fp8_e4m3"}},
           {{"key_format", "fp8_e4m3"}, {"key_per", "tensor"}, {"value_format", "fp8_e4m3"}, {"value_per", "tensor"}}}) {
    const auto model = RandomDecoder(SmallConfig()), again = RandomDecoder(SmallConfig());
    const QuantizedModel quantized = Quantized(*model, Cache(options, "rtn"));
    SaveQuantized(folder.path() / "q", quantized, Value());
    const QuantizedModel read = LoadQuantized(folder.path() / "q").model;
    const std::string text = Value(options).Text();
    EXPECT_EQ(DigestOfCodes(read), quantized.codes_digest) << text;
    EXPECT_EQ(std::count(digests.begin(), digests.end(), read.codes_digest), 0) << text;
    digests.push_back(read.codes_digest);
    InstallQuantized(*again, read, "q");
    EXPECT_TRUE(LogitsOf(*again).equal(LogitsOf(*model))) << text;
  }
}

// Weights stay, and each layer's inputs have the range of what it reads where those before it are rounded.
TEST(StaticInputs, OfAModelWhoseWeightsStay) {
  const SingleRecipe recipe =
      Read("keep", {{"activations", Value::Map{{"bits", 4}, {"per", "tensor"}}},
                    {"kv_cache", Value::Map{{"value_bits", 4}}}});
  const auto model = RandomDecoder(SmallConfig()), other = RandomDecoder(SmallConfig()),
             plain = RandomDecoder(SmallConfig());
  const QuantizedModel quantized = Quantized(*model, recipe);
  ASSERT_EQ(quantized.inputs.size(), model->summary().linears.size());
  EXPECT_EQ(quantized.inputs[0].first, "model.layers.0.self_attn.q_proj");
  at::Tensor seen;
  BlockState state{.residual = plain->Embed(SomeTokens(3, 12)), .activation = {}, .extra = {}};
  plain->block(0).Step(0, state, {}, [&](std::span<Linear* const>, const at::Tensor& input) { seen = input.clone(); });
  EXPECT_EQ(quantized.inputs[0].second.static_scale, seen.abs().max().item<float>() / 7);
  EXPECT_NE(quantized.inputs[3].second.static_scale, quantized.inputs[0].second.static_scale);
  EXPECT_GT(LargestDifference(LogitsOf(*model), LogitsOf(*plain)), 1e-3);
  // Blocks that were dropped are rounded again when they are read again.
  QuantizedModel streamed = Quantized(*other, recipe, {.keep_blocks = false});
  EXPECT_EQ(streamed.codes_digest, quantized.codes_digest);
  const MadeRecipe made = Made(recipe);
  const auto installed = WithInstalledBlocks(RandomDecoder(SmallConfig()), std::move(streamed),
                                             QuantizeRecipeOf(made, recipe.options.recipe).activations, "q");
  EXPECT_TRUE(LogitsOf(*installed).equal(LogitsOf(*model)));
}

std::string Refusal(Value::Map options) {
  try {
    Made(Cache(std::move(options)));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(CacheOfARecipe, RefusesWhatDoesNotGoTogether) {
  EXPECT_EQ(Refusal({{"key_format", "fp8_e4m3"}, {"key_bits", 4}}),
            "kv_cache: key_format fp8_e4m3 has 8 bits, and key_bits is 4. Leave 'key_bits' out.");
  EXPECT_EQ(Refusal({{"value_format", "mxfp8"}, {"value_per", "head"}}),
            "kv_cache: value_format mxfp8 has blocks of 32 channels with a scale each, and value_per is 'head'. Leave "
            "'value_per' out.");
}

// Heads of the small model have 8 channels.
TEST(CacheOfARecipe, NamesTheHeadsThatCannotHaveIt) {
  const auto model = RandomDecoder(SmallConfig());
  const SingleRecipe recipe = Cache({{"value_format", "mxfp4"}});
  EXPECT_EQ(ExplainUnsupportedParts(Made(recipe), recipe.options.recipe, model->summary()),
            "a head has 8 channels, and values are rounded in blocks of 32, which does not divide them");
}

std::string ReadAs(Value::Map options) {
  const Value recipe = Cache(std::move(options)).options.recipe;
  return recipe.is_null() ? "null" : recipe.Find("kv_cache")->CanonicalJson();
}

// Part of a trial's identity: options that do not count are left out, and a cache as it always was is what it was.
TEST(CacheOfARecipe, IsOnlyWhatCounts) {
  EXPECT_EQ(ReadAs({{"key_bits", 4}}), R"({"key_bits":4,"symmetric":false,"value_bits":null})");
  EXPECT_EQ(ReadAs({{"key_bits", 4}, {"value_per", "head"}, {"scale_rule", "ceil"}}),
            R"({"key_bits":4,"symmetric":false,"value_bits":null})");
  EXPECT_EQ(ReadAs({{"key_bits", 2}, {"key_per", "channel"}, {"value_bits", 2}}),
            R"({"key_bits":2,"key_per":"channel","symmetric":false,"value_bits":2})");
  EXPECT_EQ(ReadAs({{"key_format", "fp8_e4m3"}, {"value_format", "fp8_e4m3"}, {"symmetric", true}}),
            R"({"key_bits":8,"key_format":"fp8_e4m3","symmetric":false,"value_bits":8,"value_format":"fp8_e4m3"})");
  EXPECT_EQ(ReadAs({{"value_format", "mxfp4"}, {"scale_rule", "ceil"}, {"keys_before_rotation", true}}),
            R"({"key_bits":null,"scale_rule":"ceil","symmetric":false,"value_bits":4,"value_format":"mxfp4"})");
}

// B_k and B_v, of formats too.
TEST(CacheOfARecipe, GivesItsWidthsToLaws) {
  const auto model = RandomDecoder(SmallConfig());
  const SingleRecipe recipe = Cache({{"key_format", "fp8_e4m3"}, {"value_bits", 2}});
  std::string text;
  for (const Factor& factor : FactorsOf(Made(recipe), recipe.options.recipe, model->summary())) {
    text += factor.column + "=" + factor.value.Text() + " ";
  }
  EXPECT_EQ(text, "B_a=16 B_k=8 B_v=2 ");
}

}  // namespace
}  // namespace bitlaw
