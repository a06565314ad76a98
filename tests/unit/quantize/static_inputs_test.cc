// Inputs whose scales come from the calibration set, and what a recipe says of inputs.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/error.h"
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

MadeRecipe Made(const Value& recipe) {
  const Component& component = QuantizerHost().Find(ComponentKind::kQuantizer, "rtn");
  const Options options = component.schema.Resolve(Value(Value::Map{{"group_size", 16}}), "rtn");
  return MakeRecipe(QuantizerHost(), "rtn", options, recipe);
}

Value Inputs(Value::Map more) {
  Value activations = Value::Map{{"bits", 8}, {"per", "token"}, {"symmetric", true}};
  for (auto& [name, value] : more) activations.Set(name, std::move(value));
  return Value::Map{{"activations", std::move(activations)}};
}

QuantizedModel Quantized(Model& model, const Value& recipe, int64_t batch_tokens = 0) {
  const TokenSequences sequences = SomeSequences(3, 12);
  const MadeRecipe made = Made(recipe);
  return QuantizeModel(model, QuantizeRecipeOf(made, recipe), made.needs_calibration() ? &sequences : nullptr,
                       {.batch_tokens = batch_tokens});
}

// What q, k and v of the first block read: nothing before them is rounded.
at::Tensor FirstInputs() {
  const auto model = RandomDecoder(SmallConfig());
  at::Tensor seen;
  BlockState state{.residual = model->Embed(SomeTokens(3, 12)), .activation = {}, .extra = {}};
  model->block(0).Step(0, state, {}, [&](std::span<Linear* const>, const at::Tensor& input) { seen = input.clone(); });
  return seen;
}

TEST(StaticInputs, CoverWhatALayerReadOfTheCalibrationSet) {
  const at::Tensor seen = FirstInputs();
  const float low = seen.min().item<float>(), high = seen.max().item<float>();
  const auto model = RandomDecoder(SmallConfig()), other = RandomDecoder(SmallConfig());
  const Value recipe = Inputs({{"per", "tensor"}});
  EXPECT_TRUE(Made(recipe).needs_calibration());
  EXPECT_FALSE(Made(Inputs({})).needs_calibration());
  const QuantizedModel quantized = Quantized(*model, recipe);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(quantized.layers[i].linear.activation->static_scale, std::max(-low, high) / 127) << i;
    EXPECT_FALSE(quantized.layers[i].linear.activation->per_token);
  }
  EXPECT_NE(quantized.layers[3].linear.activation->static_scale, quantized.layers[0].linear.activation->static_scale);
  // However the set goes through a block.
  EXPECT_EQ(Quantized(*other, recipe, /*batch_tokens=*/12).codes_digest, quantized.codes_digest);
}

TEST(StaticInputs, CoverAnAsymmetricRange) {
  const at::Tensor seen = FirstInputs();
  const float low = seen.min().item<float>(), high = seen.max().item<float>();
  const auto model = RandomDecoder(SmallConfig());
  const QuantizedModel quantized = Quantized(*model, Inputs({{"per", "tensor"}, {"symmetric", false}}));
  const ActivationGrid& grid = *quantized.layers[0].linear.activation;
  EXPECT_EQ(grid.static_scale, (high - low) / 255);
  EXPECT_EQ(grid.static_zero, std::lround(-low / ((high - low) / 255)));
}

// Files hold every grid of inputs, and the digest tells them apart.
TEST(StaticInputs, AreInFilesAndInTheDigest) {
  const ScratchFolder folder;
  std::vector<std::string> digests;
  for (const Value& recipe :
       {Inputs({}), Inputs({{"per", "tensor"}}), Inputs({{"per", "tensor"}, {"symmetric", false}}),
        Inputs({{"per", "group"}, {"group_size", 16}}), Inputs({{"format", "fp8_e4m3"}}),
        Inputs({{"format", "fp8_e4m3"}, {"per", "tensor"}}), Inputs({{"format", "nvfp4"}, {"bits", 4}})}) {
    const auto model = RandomDecoder(SmallConfig()), again = RandomDecoder(SmallConfig());
    const QuantizedModel quantized = Quantized(*model, recipe);
    SaveQuantized(folder.path() / "q", quantized, Value());
    const QuantizedModel read = LoadQuantized(folder.path() / "q").model;
    for (size_t i = 0; i < quantized.layers.size(); ++i) {
      EXPECT_EQ(*read.layers[i].linear.activation, *quantized.layers[i].linear.activation) << recipe.Text();
    }
    EXPECT_EQ(DigestOfCodes(read), quantized.codes_digest);
    EXPECT_EQ(std::count(digests.begin(), digests.end(), read.codes_digest), 0) << recipe.Text();
    digests.push_back(read.codes_digest);
    InstallQuantized(*again, read, "q");
    const auto logits = [](Model& of) { return of.Logits(of.Forward(SomeTokens(2, 11, 5), {})); };
    EXPECT_TRUE(logits(*again).equal(logits(*model))) << recipe.Text();
  }
}

std::string Refusal(const Value& recipe) {
  try {
    Made(recipe);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(InputsOfARecipe, RefuseWhatDoesNotGoTogether) {
  EXPECT_EQ(Refusal(Inputs({{"format", "mxfp4"}})),
            "activations: format mxfp4 has 4 bits, and bits is 8. Leave 'bits' out.");
  EXPECT_EQ(Refusal(Inputs({{"format", "fp8_e4m3"}, {"symmetric", false}})),
            "activations: format fp8_e4m3 has no zero points. Leave 'symmetric' out, or set it to true.");
  EXPECT_EQ(Refusal(Inputs({{"format", "mxfp8"}, {"per", "tensor"}})),
            "activations: format mxfp8 has blocks of 32 channels with a scale each, and per is 'tensor'. Leave 'per' "
            "out.");
  EXPECT_EQ(Refusal(Inputs({{"per", "group"}})),
            "activations: per is 'group', and there is no group_size. Add 'group_size'.");
}

// Channels of the small model: 32, and 48 of down_proj.
TEST(InputsOfARecipe, NameTheLayerThatCannotHaveThem) {
  const auto model = RandomDecoder(SmallConfig());
  const Value recipe = Inputs({{"format", "mxfp8"}});
  EXPECT_EQ(ExplainUnsupportedParts(Made(recipe), recipe, model->summary()),
            "inputs of 'model.layers.0.mlp.down_proj' have 48 channels, and activations are rounded in blocks of 32, "
            "which does not divide them");
  try {
    Quantized(*model, recipe);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "model.layers.0.mlp.down_proj: its inputs have 48 channels, and activations are rounded in blocks of 32, "
                 "which does not divide them.\nmodel.layers.1.mlp.down_proj: its inputs have 48 channels, and "
                 "activations are rounded in blocks of 32, which does not divide them.");
  }
}

std::string ReadAs(Value::Map activations) {
  const Value entry = Value::Map{{"quantizer", "rtn"}, {"activations", std::move(activations)}};
  const Value recipe = ReadRecipe(entry, "the recipe", QuantizerHost()).options.recipe;
  return recipe.is_null() ? "null" : recipe.Find("activations")->CanonicalJson();
}

// Part of a trial's identity: options that do not count are left out.
TEST(InputsOfARecipe, AreOnlyWhatCounts) {
  EXPECT_EQ(ReadAs({{"bits", 8}}), R"({"bits":8,"per":"token","symmetric":true})");
  EXPECT_EQ(ReadAs({{"bits", 8}, {"group_size", 32}}), R"({"bits":8,"per":"token","symmetric":true})");
  EXPECT_EQ(ReadAs({{"bits", 4}, {"per", "group"}, {"group_size", 32}}),
            R"({"bits":4,"group_size":32,"per":"group","symmetric":true})");
  EXPECT_EQ(ReadAs({{"format", "mxfp4"}}), R"({"bits":4,"format":"mxfp4","per":"token","symmetric":true})");
  EXPECT_EQ(ReadAs({{"format", "mxfp4"}, {"scale_rule", "floor"}}),
            R"({"bits":4,"format":"mxfp4","per":"token","symmetric":true})");
  EXPECT_EQ(ReadAs({{"format", "mxfp4"}, {"scale_rule", "ceil"}}),
            R"({"bits":4,"format":"mxfp4","per":"token","scale_rule":"ceil","symmetric":true})");
  EXPECT_EQ(ReadAs({{"bits", 8}, {"scale_rule", "ceil"}}), R"({"bits":8,"per":"token","symmetric":true})");
}

}  // namespace
}  // namespace bitlaw
