#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "plan/layer_survey.h"
#include "quantize/kept_statistics.h"
#include "quantize/quantized_file.h"
#include "quantize/recipe/recipe_settings.h"
#include "quantize/recipe/transform_model.h"
#include "support/fixture_study.h"
#include "support/quantizers.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TokenSequences SomeSequences(int64_t count, int64_t length) {
  TokenSequences sequences{count, length, {}};
  const at::Tensor tokens = SomeTokens(count, length).to(at::kInt).contiguous();
  sequences.ids.assign(tokens.data_ptr<int32_t>(), tokens.data_ptr<int32_t>() + tokens.numel());
  return sequences;
}

at::Tensor LogitsOf(Model& model) { return model.Logits(model.Forward(SomeTokens(2, 11, 5), {})); }

MadeRecipe Made(const std::string& quantizer, const Value::Map& options, const Value& recipe) {
  const Component& component = QuantizerHost().Find(ComponentKind::kQuantizer, quantizer);
  return MakeRecipe(QuantizerHost(), quantizer, component.schema.Resolve(Value(options), quantizer), recipe);
}

Value GridRecipe(const char* name) {
  const Value options = Value::Map{{"scale_dtype", "float32"}, {"mse", false}, {"mse_norm", 2.4}};
  return Value::Map{{"grid", Value::Map{{"name", name}, {"options", options}, {"version", "1.0.0"}}}};
}

Value SmoothRecipe(double alpha) {
  Value::List transforms;
  transforms.push_back(
      Value::Map{{"name", "smooth_scale"}, {"options", Value::Map{{"alpha", alpha}}}, {"version", "1.0.0"}});
  return Value::Map{{"transforms", transforms}};
}

// Gives all readers of a site one scale: that of the largest weight among them.
class Agreeing : public Quantizer {
 public:
  std::string ExplainUnsupported(const LinearShape&) const override { return ""; }
  double BitsRequested(const LinearShape&) const override { return 4; }
  double BitsPerWeight(const LinearShape&) const override { return 4; }
  CalibrationNeeds needs() const override { return {.abs_max = true}; }
  QuantizedLinear Quantize(const LinearShape&, const at::Tensor&, const LayerCalibration&) const override {
    throw InternalError("a site was quantized layer by layer");
  }
  bool QuantizeSite(const SiteShape& site, std::span<const at::Tensor> weights, const LayerCalibration& calibration,
                    std::vector<QuantizedLinear>& results) const override {
    sites.push_back(site.name.substr(site.name.find('.', 6) + 1) + " " + std::to_string(calibration.tokens));
    float largest = 0;
    for (const at::Tensor& weight : weights) largest = std::max(largest, weight.abs().max().item<float>());
    for (size_t i = 0; i < weights.size(); ++i) {
      const GridRule rule = {.bits = 4, .symmetric = true, .scale_dtype = ScaleDtype::kFloat32};
      results[i] = bitlaw::RoundToNearest(rule, weights[i], -1, site.readers[i].name);
      results[i].scales.fill_(largest / 7);
      results[i].codes = weights[i].div(largest / 7).round_().add_(8).clamp_(0, 15).to(at::kByte);
    }
    return true;
  }
  mutable std::vector<std::string> sites;
};

TEST(QuantizeModel, GivesAQuantizerAllReadersOfAnInputAtOnce) {
  const TokenSequences sequences = SomeSequences(2, 8);
  const auto model = RandomDecoder(SmallConfig());
  const Agreeing quantizer;
  const QuantizedModel quantized = QuantizeModel(*model, quantizer, &sequences);
  EXPECT_THAT(quantizer.sites,
              ElementsAre("0.self_attn.in 16", "0.self_attn.out 16", "0.mlp.in 16", "0.mlp.out 16", "1.self_attn.in 16",
                          "1.self_attn.out 16", "1.mlp.in 16", "1.mlp.out 16"));
  ASSERT_EQ(quantized.layers.size(), 14u);
  const auto scale = [&](size_t layer) { return quantized.layers[layer].linear.scales[0][0].item<float>(); };
  EXPECT_EQ(scale(0), scale(1));  // q, k and v
  EXPECT_EQ(scale(0), scale(2));
  EXPECT_NE(scale(0), scale(3));  // o
}

// Takes two sites at a time.
class ByTwos : public Agreeing {
 public:
  size_t QuantizeAlike(std::span<const SiteInput> sites, std::vector<std::vector<QuantizedLinear>>& results) const override {
    together.push_back(std::to_string(sites.size()) + " from " + sites.front().shape->name.substr(13));
    if (sites.size() < 2) ADD_FAILURE() << "asked about one site";
    for (size_t s = 0; s < 2; ++s) QuantizeSite(*sites[s].shape, sites[s].weights, *sites[s].calibration, results[s]);
    return taken;
  }
  mutable std::vector<std::string> together;
  size_t taken = 2;
};

TEST(QuantizeModel, GivesAQuantizerAlikeExpertsTogether) {
  DecoderConfig config = SmallConfig();
  config.num_blocks = 1;
  config.num_experts = 5;
  config.experts_per_token = 2;
  const TokenSequences sequences = SomeSequences(2, 8);
  const ByTwos quantizer;
  const QuantizedModel quantized = QuantizeModel(*RandomDecoder(config), quantizer, &sequences);
  // Five experts by twos; the last one by itself. Attention's sites are no two alike.
  EXPECT_THAT(quantizer.together, ElementsAre("5 from 0.mlp.experts.0.in", "3 from 0.mlp.experts.2.in",
                                              "5 from 0.mlp.experts.0.out", "3 from 0.mlp.experts.2.out"));
  const QuantizedModel alone = QuantizeModel(*RandomDecoder(config), Agreeing(), &sequences);
  EXPECT_EQ(quantized.codes_digest, alone.codes_digest);
  EXPECT_EQ(quantized.layers.size(), 4U + 15U);

  const ByTwos unasked;
  QuantizeRecipe recipe;
  recipe.quantizer = &unasked;
  const QuantizedModel plain = QuantizeModel(*RandomDecoder(config), recipe, &sequences, {.overlaps = false});
  EXPECT_EQ(plain.codes_digest, alone.codes_digest);
  EXPECT_THAT(unasked.together, ElementsAre());
}

TEST(QuantizeModel, RefusesAQuantizerThatTakesMoreSitesThanThereAre) {
  DecoderConfig config = SmallConfig();
  config.num_experts = 3;
  config.experts_per_token = 2;
  const TokenSequences sequences = SomeSequences(1, 8);
  ByTwos quantizer;
  quantizer.taken = 4;
  try {
    QuantizeModel(*RandomDecoder(config), quantizer, &sequences);
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("model.layers.0.mlp.experts.0.in: the quantizer says that it took 4 sites of 3"));
  }
}

TEST(QuantizeModel, RefusesAQuantizerThatLeavesReadersOut) {
  class Short : public Agreeing {
    bool QuantizeSite(const SiteShape&, std::span<const at::Tensor>, const LayerCalibration&,
                      std::vector<QuantizedLinear>& results) const override {
      results.clear();
      return true;
    }
  };
  const TokenSequences sequences = SomeSequences(1, 8);
  const auto model = RandomDecoder(SmallConfig());
  try {
    QuantizeModel(*model, Short(), &sequences);
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.layers.0.self_attn.in: the quantizer gave 0 layers for 3 readers"));
  }
}

// scale 2, levels (-1, 0, 0.5, 1): 0.9 -> 0.45 * 2, nearest 0.5 -> 1.
TEST(LevelGrid, LayersHoldCodesOfLevels) {
  QuantizedLinear q;
  q.bits = 2;
  q.symmetric = true;
  q.group_size = 4;
  q.codes = at::tensor({0, 1, 2, 3}).to(at::kByte).view({1, 4});
  q.scales = at::full({1, 1}, 2.0F);
  q.zeros = at::zeros({1, 1}, at::kByte);
  q.group_index = at::zeros({4}, at::kInt);
  q.scale_dtype = "float32";
  q.levels = at::tensor({-1.0F, 0.0F, 0.5F, 1.0F});
  LinearShape shape;
  shape.name = "l";
  shape.in_features = 4;
  shape.out_features = 1;
  q.Validate(shape);
  EXPECT_TRUE(at::equal(q.Dequantize(), at::tensor({-2.0F, 0.0F, 1.0F, 2.0F}).view({1, 4})));
  const auto fault = [&](const at::Tensor& levels) -> std::string {
    QuantizedLinear broken = q;
    broken.levels = levels;
    try {
      broken.Validate(shape);
    } catch (const InternalError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(fault(at::tensor({0.0F, 1.0F, 2.0F})),
              HasSubstr("l: quantized layer: codes reach 3. There are 3 levels."));
  EXPECT_THAT(fault(at::tensor({0.0F, 2.0F, 1.0F, 3.0F})), HasSubstr("levels are not finite and ascending."));
  EXPECT_THAT(fault(at::arange(5).to(at::kFloat)),
              HasSubstr("levels is [5]. With bits = 2 it must be a list of 2 to 4."));
}

TEST(LevelGrid, GptqErrsLessThanRoundToNearestOnEveryLayer) {
  const TokenSequences sequences = SomeSequences(24, 16);
  const auto model = RandomDecoder(SmallConfig());
  const Value recipe = GridRecipe("nf4");
  const MadeRecipe made = Made("gptq", {{"group_size", 16}}, recipe);
  const QuantizedModel quantized = QuantizeModel(*model, QuantizeRecipeOf(made, recipe), &sequences);
  EXPECT_EQ(quantized.bits_requested, 4);
  EXPECT_EQ(quantized.bits_effective, 6);  // 4 + 32 / 16
  for (const QuantizedLayer& layer : quantized.layers) {
    EXPECT_EQ(layer.linear.levels.numel(), 16);
    EXPECT_LT(layer.diagnostic("hessian_error"), layer.diagnostic("hessian_error_rtn")) << layer.shape.name;
  }
}

TEST(LevelGrid, FilesHoldTheLevels) {
  const ScratchFolder folder;
  const Value recipe = GridRecipe("nf4");
  const auto model = RandomDecoder(SmallConfig()), again = RandomDecoder(SmallConfig());
  const MadeRecipe made = Made("rtn", {{"group_size", 16}}, recipe);
  const QuantizedModel quantized = QuantizeModel(*model, QuantizeRecipeOf(made, recipe), nullptr);
  SaveQuantized(folder.path() / "q", quantized, Value());
  InstallQuantized(*again, LoadQuantized(folder.path() / "q").model, "q");
  EXPECT_TRUE(at::equal(LogitsOf(*again), LogitsOf(*model)));
  QuantizedModel other = quantized;
  other.layers[0].linear.levels = quantized.layers[0].linear.levels * 2;
  EXPECT_NE(DigestOfCodes(other), quantized.codes_digest);
}

TEST(MakeRecipe, RefusesAGridForAQuantizerThatTakesNone) {
  try {
    const OptionSchema& schema = FixtureHost().Find(ComponentKind::kQuantizer, "fixture").schema;
    MakeRecipe(FixtureHost(), "fixture", schema.Resolve({}, "f"), GridRecipe("fixture_levels"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "quantizer 'fixture', grid 'fixture_levels': it rounds to a grid of its own and takes "
                               "no other. Leave 'grid' out.");
  }
}

TEST(QuantizeModel, KeepsTheWeightsAndRoundsActivations) {
  const auto plain = RandomDecoder(SmallConfig()), fine = RandomDecoder(SmallConfig()),
             rough = RandomDecoder(SmallConfig());
  const at::Tensor expected = LogitsOf(*plain);
  const auto rounded = [&](Model& model, int bits) {
    QuantizeRecipe recipe;
    recipe.activations = ActivationGrid{.bits = bits};
    const QuantizedModel quantized = QuantizeModel(model, recipe, nullptr);
    EXPECT_TRUE(quantized.layers.empty());
    EXPECT_EQ(quantized.bits_requested, 16);
    return LargestDifference(LogitsOf(model), expected);
  };
  EXPECT_LT(rounded(*fine, 16), 1e-2);
  EXPECT_GT(rounded(*rough, 3), 0.1);
}

// By hand: an identity layer shows the rounded inputs. q_max = 3, scale 2.
TEST(QuantizeModel, ActivationsOfARecipeReachEveryQuantizedLayer) {
  const Value recipe = Value::Map{
      {"activations", Value::Map{{"bits", 3}, {"per", "token"}, {"symmetric", true}}}};
  const auto model = RandomDecoder(SmallConfig());
  const MadeRecipe made = Made("rtn", {{"group_size", 16}}, recipe);
  const QuantizedModel quantized = QuantizeModel(*model, QuantizeRecipeOf(made, recipe), nullptr);
  for (const QuantizedLayer& layer : quantized.layers) {
    ASSERT_TRUE(layer.linear.activation.has_value()) << layer.shape.name;
    EXPECT_EQ(layer.linear.activation->bits, 3);
  }
  const auto weights_only = RandomDecoder(SmallConfig());
  const QuantizedModel other = QuantizeModel(*weights_only, *made.quantizer, nullptr);
  EXPECT_NE(other.codes_digest, quantized.codes_digest);
  EXPECT_TRUE(at::equal(other.layers[0].linear.codes, quantized.layers[0].linear.codes));
  Linear& reader = *model->block(0).stage_linears(0)[0];
  at::Tensor input = at::zeros({1, 32});
  input[0][0] = -6, input[0][1] = 2.9, input[0][2] = 3.1;
  at::Tensor on_grid = at::zeros({1, 32});
  on_grid[0][0] = -6, on_grid[0][1] = 2, on_grid[0][2] = 4;
  const at::Tensor expected = at::mm(on_grid, quantized.layers[0].linear.Dequantize().t());
  EXPECT_TRUE(at::allclose(reader.Apply(input), expected, 1e-5, 1e-6));
}

TEST(QuantizeModel, TransformsSeeTheUnquantizedModelAndAreKeptInFiles) {
  const ScratchFolder folder;
  const TokenSequences sequences = SomeSequences(3, 12);
  Value recipe = SmoothRecipe(0.5);
  recipe.Set("kv_cache", Value::Map{{"key_bits", 8}, {"value_bits", 4}, {"symmetric", false}});
  DecoderConfig config = SmallConfig();
  config.qkv_bias = true;
  const auto model = RandomDecoder(config), twice = RandomDecoder(config), again = RandomDecoder(config),
             unquantized = RandomDecoder(config);
  const MadeRecipe made = Made("rtn", {{"bits", 3}, {"group_size", 16}}, recipe);
  EXPECT_TRUE(made.needs_calibration());
  const QuantizedModel quantized = QuantizeModel(*model, QuantizeRecipeOf(made, recipe), &sequences);
  EXPECT_EQ(quantized.other_weights.size(), 10u);  // Two norms and three biases a block.
  EXPECT_EQ(QuantizeModel(*twice, QuantizeRecipeOf(made, recipe), &sequences).codes_digest, quantized.codes_digest);

  // The transform alone, then the quantizer: the same codes.
  QuantizeTimes times;
  const std::vector<const Transform*> transforms = {made.transforms[0].get()};
  TransformModel(*unquantized, transforms, &sequences, 4096, times);
  const QuantizedModel second = QuantizeModel(*unquantized, *made.quantizer, nullptr);
  for (size_t i = 0; i < second.layers.size(); ++i) {
    EXPECT_TRUE(at::equal(second.layers[i].linear.codes, quantized.layers[i].linear.codes)) << i;
  }
  EXPECT_GT(LargestDifference(LogitsOf(*unquantized), LogitsOf(*model)), 0);  // It has no rounded cache.

  SaveQuantized(folder.path() / "q", quantized, Value());
  InstallQuantized(*again, LoadQuantized(folder.path() / "q").model, "q");
  EXPECT_TRUE(at::equal(LogitsOf(*again), LogitsOf(*model)));
}

SingleRecipe ReadLayers(const char* quantizer, Value rules) {
  const Value entry = Value::Map{{"quantizer", quantizer}, {"bits", 3}, {"group_size", 16}, {"overrides", std::move(rules)}};
  return ReadRecipe(entry, "the recipe", QuantizerHost());
}

TEST(Recipe, GivesLayersOptionsOfTheirOwn) {
  const TokenSequences sequences = SomeSequences(3, 12);
  const SingleRecipe recipe = ReadLayers("gptq", Value::List{Value::Map{{"match", "*.1.*.v_proj"}, {"bits", 8}},
                                                             Value::Map{{"match", "*.?.self_attn.*"}, {"bits", 4}},
                                                             Value::Map{{"match", "*.v_proj"}, {"bits", 2}}});
  const MadeRecipe made = MakeRecipe(QuantizerHost(), "gptq", recipe.options.quantizer, recipe.options.recipe);
  const auto model = RandomDecoder(SmallConfig());
  const QuantizedModel quantized = QuantizeModel(*model, QuantizeRecipeOf(made, recipe.options.recipe), &sequences);
  double weights = 0, bits = 0;
  for (const QuantizedLayer& layer : quantized.layers) {
    const std::string& name = layer.shape.name;
    const bool is_value_of_second = name == "model.layers.1.self_attn.v_proj";
    const int expected = is_value_of_second ? 8 : name.find("self_attn") != std::string::npos ? 4 : 3;
    EXPECT_EQ(layer.linear.bits, expected) << name;
    EXPECT_EQ(layer.bits_requested, expected) << name;
    const auto size = static_cast<double>(layer.shape.in_features * layer.shape.out_features);
    weights += size;
    bits += size * expected;
  }
  EXPECT_DOUBLE_EQ(quantized.bits_requested, bits / weights);
  EXPECT_EQ(recipe.options.shown.Find("overrides")->AsString(),
            "*.1.*.v_proj bits=8; *.?.self_attn.* bits=4; *.v_proj bits=2");

  // A layer gets what its own quantizer alone gives from the same inputs: the first of the model.
  const auto alone = RandomDecoder(SmallConfig());
  const QuantizedModel all_of_four = QuantizeModel(*alone, *MakeQuantizer("gptq", {{"bits", 4}, {"group_size", 16}}), &sequences);
  EXPECT_TRUE(at::equal(quantized.layers[0].linear.codes, all_of_four.layers[0].linear.codes));
}

TEST(Recipe, LeavesLayersThatARuleSkips) {
  const TokenSequences sequences = SomeSequences(3, 12);
  const SingleRecipe recipe =
      ReadLayers("gptq", Value::List{Value::Map{{"match", "*.1.*.o_proj"}, {"bits", 8}},
                                     Value::Map{{"match", "*.o_proj"}, {"skip", true}},
                                     Value::Map{{"match", "*.0.*.k_proj"}, {"skip", true}}});
  EXPECT_EQ(recipe.options.shown.Find("overrides")->AsString(),
            "*.1.*.o_proj bits=8; *.o_proj skip; *.0.*.k_proj skip");
  const MadeRecipe made = MakeRecipe(QuantizerHost(), "gptq", recipe.options.quantizer, recipe.options.recipe);
  const auto model = RandomDecoder(SmallConfig()), unquantized = RandomDecoder(SmallConfig());
  const QuantizedModel quantized = QuantizeModel(*model, QuantizeRecipeOf(made, recipe.options.recipe), &sequences);
  std::vector<std::string> skipped;
  for (const LinearShape& layer : quantized.skipped) skipped.push_back(layer.name);
  EXPECT_THAT(skipped, ElementsAre("model.layers.0.self_attn.k_proj", "model.layers.0.self_attn.o_proj"));
  ASSERT_EQ(quantized.layers.size(), 12U);
  for (const QuantizedLayer& layer : quantized.layers) {
    EXPECT_EQ(layer.linear.bits, layer.shape.name == "model.layers.1.self_attn.o_proj" ? 8 : 3) << layer.shape.name;
  }
  // Block 0: q and o [32, 32], k and v [16, 32], gate, up and down [48, 32]: 7680 weights, 1024 + 512 of them in 16
  // bits and the others in 3. Block 1 the same with 1024 in 8 bits.
  EXPECT_DOUBLE_EQ(quantized.bits_requested, (1536 * 16 + 6144 * 3 + 1024 * 8 + 6656 * 3) / 15360.0);
  // Groups of 16 with a scale of 16 bits and a zero point of as many as a code.
  EXPECT_DOUBLE_EQ(quantized.bits_effective, (1536 * 16 + 12800 * (3 + 19 / 16.0) + 1024 * (8 + 24 / 16.0)) / 15360.0);
  const auto o_proj = [](Model& of) { return of.block(0).stage_linears(1)[0]; };
  EXPECT_FALSE(o_proj(*model)->is_quantized());
  EXPECT_TRUE(at::equal(o_proj(*model)->weight(), o_proj(*unquantized)->weight()));

  const ScratchFolder folder;
  SaveQuantized(folder.path() / "q", quantized, Value());
  InstallQuantized(*unquantized, LoadQuantized(folder.path() / "q").model, "q");
  EXPECT_TRUE(at::equal(LogitsOf(*unquantized), LogitsOf(*model)));
  const auto streamed =
      WithInstalledBlocks(RandomDecoder(SmallConfig()), LoadQuantized(folder.path() / "q").model, {}, "q");
  EXPECT_TRUE(at::equal(LogitsOf(*streamed), LogitsOf(*model)));
}

// As a router: unless a rule fits them. 3 layers of each of 2 blocks.
TEST(Recipe, LeavesSharedExpertsAsTheyAre) {
  const TokenSequences sequences = SomeSequences(3, 12);
  DecoderConfig config = SmallConfig();
  config.num_experts = 3, config.experts_per_token = 1, config.shared_ffn_size = 48;
  const auto skipped = [&](const Value& parts) {
    const MadeRecipe made = Made("rtn", {{"bits", 4}, {"group_size", 16}}, parts);
    const auto model = RandomDecoder(config);
    const LayerVerdict verdict = LayerSurvey(model->summary()).Ask(made, parts, model->summary());
    const QuantizedModel quantized = QuantizeModel(*model, QuantizeRecipeOf(made, parts), &sequences);
    EXPECT_DOUBLE_EQ(verdict.bits_requested, quantized.bits_requested);
    for (const LinearShape& layer : quantized.skipped) EXPECT_THAT(layer.name, HasSubstr(".mlp.shared_expert."));
    return std::pair(quantized.skipped.size(), quantized.bits_requested);
  };
  // Each block: attention 3072 weights, four experts of 3 * 32 * 48 = 4608, one of them shared.
  EXPECT_EQ(skipped(Value()), std::pair(size_t{6}, (4608 * 16 + (3072 + 3 * 4608) * 4) / 21504.0));
  const Value rule = Value::Map{{"match", "*.shared_expert.*"}, {"options", Value::Map{}}};
  EXPECT_EQ(skipped(Value::Map{{"overrides", Value::List{rule}}}), std::pair(size_t{0}, 4.0));
}

// The one layer that reads a head's values takes no scale if it is skipped; q_proj, beside k and v, does.
TEST(Recipe, TransformsLeaveInputsOfSkippedLayersAlone) {
  const TokenSequences sequences = SomeSequences(3, 12);
  Value parts = SmoothRecipe(0.5);
  Value::List rules;
  for (const char* match : {"*.q_proj", "*.o_proj"}) {
    rules.push_back(Value::Map{{"match", match}, {"options", Value::Map{}}, {"skip", true}});
  }
  parts.Set("overrides", std::move(rules));
  const MadeRecipe made = Made("rtn", {{"bits", 4}, {"group_size", 16}}, parts);
  const auto model = RandomDecoder(SmallConfig()), plain = RandomDecoder(SmallConfig());
  QuantizeModel(*model, QuantizeRecipeOf(made, parts), &sequences);
  for (int64_t b = 0; b < 2; ++b) {
    const auto is_as_it_was = [&](int stage) {
      return at::equal(model->block(b).stage_linears(stage)[0]->weight(),
                       plain->block(b).stage_linears(stage)[0]->weight());
    };
    EXPECT_FALSE(is_as_it_was(0)) << b;
    EXPECT_TRUE(is_as_it_was(1)) << b;
  }
}

TEST(Recipe, KeepsStatisticsOfSkippedLayersForNoCellThatQuantizesThem) {
  const TokenSequences sequences = SomeSequences(3, 12);
  const auto gptq = MakeQuantizer("gptq", {{"bits", 3}, {"group_size", 16}});
  KeptStatistics kept(int64_t{1} << 30);
  const auto codes = [&](bool skips, KeptStatistics* with) {
    QuantizeRecipe recipe;
    recipe.quantizer = gptq.get();
    recipe.sequential = SequentialUnit::kNone;
    if (skips) recipe.skips = [](std::string_view layer) { return layer.ends_with("down_proj"); };
    return QuantizeModel(*RandomDecoder(SmallConfig()), recipe, &sequences, {.kept = with}).codes_digest;
  };
  for (const bool skips : {true, false, true}) EXPECT_EQ(codes(skips, &kept), codes(skips, nullptr)) << skips;
}

TEST(Recipe, TakesTheBlocksOfAGridAsTheDefaultOfGroupSize) {
  const auto read = [](Value weights) {
    return ReadRecipe(Value::Map{{"quantizer", "rtn"}, {"weights", std::move(weights)}}, "the recipe", QuantizerHost());
  };
  for (const auto& [grid, size] : {std::pair("mxfp4", 32), {"mxfp8", 32}, {"nvfp4", 16}, {"nf4", 128}}) {
    EXPECT_EQ(read(Value::Map{{"grid", grid}}).options.quantizer.Int("group_size"), size) << grid;
  }
  EXPECT_EQ(read(Value::Map{{"bits", 4}}).options.quantizer.Int("group_size"), 128);
  const SingleRecipe given = read(Value::Map{{"grid", "mxfp4"}, {"group_size", 64}});
  const MadeRecipe made = MakeRecipe(QuantizerHost(), "rtn", given.options.quantizer, given.options.recipe);
  EXPECT_EQ(made.quantizer->ExplainUnsupported({"q", 0, 128, 128}),
            "grid 'mxfp4' has blocks of 32 weights, and group_size is 64. Set group_size: 32.");
}

TEST(Recipe, KeepsWhatTransformsDidToASkippedLayer) {
  const TokenSequences sequences = SomeSequences(3, 12);
  Value parts = SmoothRecipe(0.5);
  parts.Set("overrides", Value::List{Value::Map{{"match", "*.q_proj"}, {"options", Value::Map{}}, {"skip", true}}});
  const MadeRecipe made = Made("rtn", {{"bits", 4}, {"group_size", 16}}, parts);
  const auto model = RandomDecoder(SmallConfig());
  const QuantizedModel quantized = QuantizeModel(*model, QuantizeRecipeOf(made, parts), &sequences);
  const ScratchFolder folder;
  SaveQuantized(folder.path() / "q", quantized, Value());
  const auto again = RandomDecoder(SmallConfig());
  EXPECT_FALSE(at::equal(again->block(0).stage_linears(0)[0]->weight(), model->block(0).stage_linears(0)[0]->weight()));
  InstallQuantized(*again, LoadQuantized(folder.path() / "q").model, "q");
  EXPECT_TRUE(at::equal(LogitsOf(*again), LogitsOf(*model)));
}

// [40, 32] in groups of 16: 8 + (16 + 8) / 16 bits a weight.
TEST(Recipe, RoundsEmbeddingAndHead) {
  for (const bool is_tied : {true, false}) {
    DecoderConfig config = SmallConfig();
    config.tied_head = is_tied;
    Value entry = Value::Map{{"quantizer", "rtn"},
                             {"bits", 4},
                             {"group_size", "row"},
                             {"embeddings", Value::Map{{"bits", 8}, {"group_size", 16}}}};
    if (!is_tied) entry.Set("head", Value::Map{{"bits", 2}, {"group_size", "row"}, {"symmetric", true}});
    const SingleRecipe recipe = ReadRecipe(entry, "the recipe", QuantizerHost());
    const Value& parts = recipe.options.recipe;
    const MadeRecipe made = MakeRecipe(QuantizerHost(), "rtn", recipe.options.quantizer, parts);
    const auto model = RandomDecoder(config), unquantized = RandomDecoder(config);
    EXPECT_EQ(ExplainUnsupportedParts(made, parts, model->summary()), "");
    const QuantizedModel quantized = QuantizeModel(*model, QuantizeRecipeOf(made, parts), nullptr);
    ASSERT_EQ(quantized.layers.size(), is_tied ? 15U : 16U);
    EXPECT_EQ(quantized.layers[0].shape.name, "model.embed_tokens");
    EXPECT_EQ(quantized.layers[0].linear.bits, 8);
    const QuantizedLinear expected = bitlaw::RoundToNearest(GridRule{.bits = 8}, unquantized->table(0), 16, "");
    EXPECT_TRUE(at::equal(quantized.layers[0].linear.codes, expected.codes));
    EXPECT_TRUE(at::equal(model->table(0), expected.Dequantize()));
    const at::Tensor tokens = at::arange(40).unsqueeze(0);
    EXPECT_TRUE(at::equal(model->Embed(tokens)[0], expected.Dequantize()));
    EXPECT_EQ(quantized.bits_requested, 4) << "that of the layers";
    // Layers: 15360 weights in rows of 32 or, of down_proj, 48.
    const double layers = 15360 * 4 + (15360 - 2 * 1536) * 20 / 32.0 + 2 * 1536 * 20 / 48.0;
    const double bits = layers + 1280 * 9.5 + (is_tied ? 0 : 1280 * (2 + 16 / 32.0));
    EXPECT_DOUBLE_EQ(quantized.bits_effective, bits / (is_tied ? 16640 : 17920));
    std::map<std::string, int64_t> factors;
    for (const Factor& factor : FactorsOf(made, parts, model->summary())) factors[factor.column] = factor.value.AsInt();
    EXPECT_EQ(factors.at("B_embedding"), 8);
    EXPECT_EQ(factors.at("B_head"), is_tied ? 8 : 2);

    const ScratchFolder folder;
    SaveQuantized(folder.path() / "q", quantized, Value());
    EXPECT_FALSE(at::equal(LogitsOf(*unquantized), LogitsOf(*model)));
    InstallQuantized(*unquantized, LoadQuantized(folder.path() / "q").model, "q");
    EXPECT_TRUE(at::equal(LogitsOf(*unquantized), LogitsOf(*model)));
    const auto streamed = WithInstalledBlocks(RandomDecoder(config), LoadQuantized(folder.path() / "q").model, {}, "q");
    EXPECT_TRUE(at::equal(LogitsOf(*streamed), LogitsOf(*model)));
  }
}

TEST(Recipe, CalibratesOnTheRoundedEmbeddingUnlessNothingIsQuantizedBefore) {
  const TokenSequences sequences = SomeSequences(3, 12);
  const auto codes = [&](bool rounds, SequentialUnit sequential) {
    const auto gptq = MakeQuantizer("gptq", {{"bits", 3}, {"group_size", 16}});
    QuantizeRecipe recipe;
    recipe.quantizer = gptq.get();
    recipe.sequential = sequential;
    if (rounds) recipe.embeddings = TableGrid{.rule = {.bits = 2}, .group_size = 16};
    const auto model = RandomDecoder(SmallConfig());
    return QuantizeModel(*model, recipe, &sequences).layers.back().linear.codes;
  };
  EXPECT_FALSE(at::equal(codes(true, SequentialUnit::kStage), codes(false, SequentialUnit::kStage)));
  EXPECT_FALSE(at::equal(codes(true, SequentialUnit::kBlock), codes(false, SequentialUnit::kBlock)));
  EXPECT_TRUE(at::equal(codes(true, SequentialUnit::kNone), codes(false, SequentialUnit::kNone)));
}

TEST(Recipe, RefusesSkipsAndTablesThatMeanNothing) {
  const auto said = [](Value::Map parts, bool is_tied = true) -> std::string {
    Value entry = Value::Map{{"quantizer", "rtn"}, {"bits", 3}, {"group_size", 16}};
    for (auto& [key, value] : parts) entry.Set(key, std::move(value));
    if (entry.Find("quantizer")->AsString() == "keep") {
      std::erase_if(entry.AsMap(), [](const auto& one) { return one.first == "bits" || one.first == "group_size"; });
    }
    try {
      const SingleRecipe recipe = ReadRecipe(entry, "the recipe", QuantizerHost());
      const MadeRecipe made =
          MakeRecipe(QuantizerHost(), recipe.quantizer, recipe.options.quantizer, recipe.options.recipe);
      DecoderConfig config = SmallConfig();
      config.tied_head = is_tied;
      return ExplainUnsupportedParts(made, recipe.options.recipe, RandomDecoder(config)->summary());
    } catch (const Error& error) {
      return error.what();
    }
  };
  const auto rules = [](Value::Map rule) { return Value::Map{{"overrides", Value::List{Value(std::move(rule))}}}; };
  EXPECT_EQ(said(rules({{"match", "*"}, {"skip", true}})),
            "'overrides' skips every layer of this model. Leave some to be quantized, or take quantizer 'keep'");
  EXPECT_EQ(said(rules({{"match", "*.q_proj"}, {"skip", true}, {"bits", 8}})),
            "the rule '*.q_proj' of 'overrides' skips its layers, and gives them 'bits'. Leave one of the two out.");
  EXPECT_EQ(said(rules({{"match", "*.q_proj"}, {"skip", false}, {"bits", 8}})), "");
  // Inputs of skipped layers stay as they are: 32 channels in groups, and not the 48 of down_proj.
  Value::Map grouped = {{"activations", Value::Map{{"bits", 8}, {"per", "group"}, {"group_size", 32}}}};
  EXPECT_THAT(said(grouped), HasSubstr("48"));
  for (auto& [key, value] : rules({{"match", "*.down_proj"}, {"skip", true}})) grouped.emplace_back(key, value);
  EXPECT_EQ(said(grouped), "");
  EXPECT_EQ(
      said({{"head", Value::Map{{"bits", 8}, {"group_size", 16}}}}),
      "its output head is its input embedding, one matrix, and the recipe has 'head'. 'embeddings' rounds it for both");
  EXPECT_EQ(said({{"head", Value::Map{{"bits", 8}, {"group_size", 16}}}}, /*is_tied=*/false), "");
  EXPECT_THAT(said({{"embeddings", Value::Map{{"bits", 8}, {"group_size", 24}}}}), HasSubstr("24"));
  const Value::Map rotated = {{"embeddings", Value::Map{{"bits", 8}, {"group_size", 16}}},
                              {"transforms", Value::List{"rotation"}}};
  EXPECT_EQ(said(rotated),
            "its output head is its input embedding, one matrix, of which a transform of the recipe may make two, and the "
            "recipe has 'embeddings'. Leave one of them out");
  EXPECT_EQ(said(rotated, /*is_tied=*/false), "");
  EXPECT_THAT(said({{"embeddings", Value::Map{{"group_size", 16}}}}),
              HasSubstr("'embeddings' of the recipe says no width. Add 'bits'."));
  EXPECT_EQ(
      said({{"quantizer", "keep"}, {"activations", Value::Map{{"bits", 8}}}, {"embeddings", Value::Map{{"bits", 8}}}}),
      "embeddings: its codes are kept with those of the layers' weights, and 'keep' makes none. Take a quantizer, rtn "
      "with bits: 8 for one that changes little.");
}

// Counts passes of calibration text through a model's blocks.
class CountsEmbeddings : public Model {
 public:
  explicit CountsEmbeddings(std::unique_ptr<Model> model) : model_(std::move(model)) {}
  const ModelSummary& summary() const override { return model_->summary(); }
  const ComputeSetting& compute() const override { return model_->compute(); }
  const Tokenizer& tokenizer() const override { return model_->tokenizer(); }
  at::Tensor Embed(const at::Tensor& tokens) override {
    ++embeddings;
    return model_->Embed(tokens);
  }
  at::Tensor Logits(const at::Tensor& hidden) override { return model_->Logits(hidden); }
  Block& block(int64_t i) override { return model_->block(i); }
  void DropBlock(int64_t i) override { model_->DropBlock(i); }
  int embeddings = 0;

 private:
  const std::unique_ptr<Model> model_;
};

TEST(KeptStatistics, GiveLaterRecipesTheirOwnCodesWithoutAForwardPass) {
  const TokenSequences sequences = SomeSequences(3, 12);
  const std::vector<Value::Map> cells = {{{"bits", 4}, {"group_size", 16}},
                                         {{"bits", 3}, {"group_size", 16}},
                                         {{"bits", 3}, {"group_size", -1}, {"preset", "ist"}},
                                         {{"bits", 4}, {"group_size", 16}, {"damp", 0.1}},
                                         {{"bits", 4}, {"group_size", 16}, {"order_scope", "groups"}},
                                         {{"bits", 4}, {"group_size", 16}}};
  const auto quantize = [&](const Value::Map& options, KeptStatistics* kept, int* embeddings, const char* key = "a") {
    const auto quantizer = MakeQuantizer("gptq", options);
    CountsEmbeddings model(RandomDecoder(SmallConfig()));
    QuantizeRecipe recipe;
    recipe.quantizer = quantizer.get();
    recipe.sequential = SequentialUnit::kNone;
    QuantizeSettings settings;
    settings.kept = kept;
    settings.kept_key = key;
    QuantizedModel quantized = QuantizeModel(model, recipe, &sequences, settings);
    *embeddings = model.embeddings;
    return quantized;
  };
  KeptStatistics kept(int64_t{1} << 30), no_room(1000);
  int embeddings = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    const QuantizedModel alone = quantize(cells[i], nullptr, &embeddings);
    EXPECT_EQ(embeddings, 1);
    const QuantizedModel together = quantize(cells[i], &kept, &embeddings);
    EXPECT_EQ(embeddings, i == 0 ? 1 : 0) << i;
    EXPECT_EQ(together.codes_digest, alone.codes_digest) << i;
    for (size_t l = 0; l < alone.layers.size(); ++l) {
      EXPECT_EQ(together.layers[l].diagnostic("hessian_error"), alone.layers[l].diagnostic("hessian_error")) << i;
    }
    EXPECT_EQ(quantize(cells[i], &no_room, &embeddings).codes_digest, alone.codes_digest) << i;
    EXPECT_EQ(embeddings, 1) << "more than the room that there is";
  }
  // Of another text, and of sums in float64, there are none yet.
  quantize(cells[0], &kept, &embeddings, "b");
  EXPECT_EQ(embeddings, 1);
  quantize({{"bits", 4}, {"group_size", 16}, {"hessian_dtype", "float64"}}, &kept, &embeddings, "b");
  EXPECT_EQ(embeddings, 1);
}

TEST(Recipe, RefusesRulesOfLayersThatMeanNothing) {
  const auto said = [](const char* quantizer, Value rules) -> std::string {
    try {
      const SingleRecipe recipe = ReadLayers(quantizer, std::move(rules));
      const MadeRecipe made = MakeRecipe(QuantizerHost(), quantizer, recipe.options.quantizer, recipe.options.recipe);
      return ExplainUnsupportedParts(made, recipe.options.recipe, RandomDecoder(SmallConfig())->summary());
    } catch (const Error& error) {
      return error.what();
    }
  };
  EXPECT_EQ(said("rtn", Value::List{Value::Map{{"match", "*.down"}, {"bits", 8}}}),
            "no layer of this model fits '*.down' of 'overrides'; one is called 'model.layers.0.self_attn.q_proj'");
  EXPECT_THAT(said("rtn", Value::List{Value::Map{{"match", "*"}, {"bits", 9}}}), HasSubstr("bits = 9 is out of range"));
  EXPECT_THAT(said("rtn", Value::List{Value::Map{{"match", "*"}, {"bit", 8}}}), HasSubstr("Did you mean 'bits'?"));
  EXPECT_THAT(said("rtn", Value::List{Value::Map{{"bits", 8}}}), HasSubstr("'overrides[0].match' is missing"));
  EXPECT_THAT(said("gptq", Value::List{Value::Map{{"match", "*"}, {"preset", "ist"}}}),
              HasSubstr("'preset' is not an option"));
}

TEST(QuantizeModel, RefusesATransformThatCanChangeNothing) {
  class Never : public Transform {
    std::string ExplainUnsupported(const SiteShape&) const override { return "no site is square"; }
    CalibrationNeeds needs() const override { return {}; }
    void Apply(const Site&, const LayerCalibration&) const override {}
  } never;
  const auto model = RandomDecoder(SmallConfig());
  QuantizeRecipe recipe;
  recipe.transforms = {&never};
  try {
    QuantizeModel(*model, recipe, nullptr);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "random: a transform can change nothing: no site is square");
  }
}

TEST(QuantizeModel, RefusesActivationsTwice) {
  class OwnActivations : public Agreeing {
    bool QuantizeSite(const SiteShape& site, std::span<const at::Tensor> weights, const LayerCalibration& calibration,
                      std::vector<QuantizedLinear>& results) const override {
      Agreeing::QuantizeSite(site, weights, calibration, results);
      for (QuantizedLinear& result : results) result.activation = ActivationGrid();
      return true;
    }
  } quantizer;
  const TokenSequences sequences = SomeSequences(1, 8);
  const auto model = RandomDecoder(SmallConfig());
  QuantizeRecipe recipe;
  recipe.quantizer = &quantizer;
  recipe.activations = ActivationGrid();
  EXPECT_THROW(QuantizeModel(*model, recipe, &sequences), Error);
}

}  // namespace
}  // namespace bitlaw
