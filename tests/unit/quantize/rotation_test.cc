// Rotations from the recipe to the installed model: plugins/transforms/rotation on random decoders.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/base/error.h"
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

// Heads of 8, feed-forward of 48 = 12 x 4, tied head.
DecoderConfig Biased() {
  DecoderConfig config = SmallConfig();
  config.qkv_bias = config.o_bias = config.mlp_bias = config.qk_norm = true;
  return config;
}
DecoderConfig Mixture() {
  DecoderConfig config = SmallConfig();
  config.num_experts = 4;
  config.experts_per_token = 2;
  return config;
}

const Value::Map kAllParts = {{"residual", true},    {"heads", true},      {"keys", true},
                              {"down_inputs", true}, {"out_inputs", true}, {"signs", "all"}};

TEST(RotatedModel, IsKeptInFilesAndInStreamedBlocks) {
  const ScratchFolder folder;
  DecoderConfig mixed = Mixture();
  mixed.dense_ffn_size = 80;
  mixed.blocks = {{}, {.is_dense = true}};
  for (const DecoderConfig& config : {SmallConfig(), Biased(), Mixture(), mixed}) {
    const auto rotation = MakeTransform("rotation", kAllParts);
    const auto quantizer = MakeQuantizer("rtn", {{"bits", 4}, {"group_size", 16}});
    QuantizeRecipe recipe;
    recipe.transforms = {rotation.get()};
    recipe.quantizer = quantizer.get();
    recipe.activations = ActivationGrid{.bits = 4};
    recipe.kv_cache = {KvGrid{.numbers = {.bits = 4}}, KvGrid{.numbers = {.bits = 4}}};
    const auto model = RandomDecoder(config);
    const QuantizedModel quantized = QuantizeModel(*model, recipe, nullptr);
    const at::Tensor expected = LogitsOf(*model);
    // Keys, output and either one down projection or one of each of four experts, in each of two blocks.
    EXPECT_EQ(quantized.rotations.size(), 6U + 3U * static_cast<size_t>(config.num_expert_blocks()));
    EXPECT_EQ(quantized.model_weights.size(), 3U);

    SaveQuantized(folder.path() / "q", quantized, Value());
    const QuantizedModel read = LoadQuantized(folder.path() / "q").model;
    EXPECT_EQ(read.codes_digest, quantized.codes_digest);
    const auto installed = RandomDecoder(config);
    InstallQuantized(*installed, read, "q");
    EXPECT_TRUE(at::equal(LogitsOf(*installed), expected));

    QuantizedFile file = OpenQuantized(folder.path() / "q");
    const auto streamed =
        WithInstalledBlocks(RandomDecoder(config), std::move(file.model), std::nullopt, "q", std::move(file.read));
    for (int pass = 0; pass < 2; ++pass) {
      EXPECT_TRUE(at::equal(LogitsOf(*streamed), expected));
      for (int64_t b = 0; b < config.num_blocks; ++b) streamed->DropBlock(b);
    }
  }
}

TEST(RotatedModel, OfAnotherModelIsRefused) {
  const auto rotation = MakeTransform("rotation", {});
  const auto quantizer = MakeQuantizer("rtn", {{"bits", 4}, {"group_size", 16}});
  QuantizeRecipe recipe;
  recipe.transforms = {rotation.get()};
  recipe.quantizer = quantizer.get();
  const auto model = RandomDecoder(SmallConfig());
  QuantizedModel quantized = QuantizeModel(*model, recipe, nullptr);
  const auto said = [&](const QuantizedModel& changed) -> std::string {
    try {
      InstallQuantized(*RandomDecoder(SmallConfig()), changed, "q");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(said(quantized), "");
  QuantizedModel elsewhere = quantized;
  elsewhere.rotations[0].place = "model.layers.7.mlp.out";
  EXPECT_EQ(said(elsewhere), "q: its rotations are at places that 'random' has not. Quantize this model anew.");
  quantized.model_weights[0].second = at::ones({41, 32});
  EXPECT_EQ(said(quantized),
            "q: it has 'model.embed_tokens.weight', which 'random' has not, or of another shape. Quantize this model "
            "anew.");
}

TEST(RotatedModel, GoesWithOtherTransformsInAnyOrder) {
  const TokenSequences sequences = SomeSequences(3, 12);
  const auto rotation = MakeTransform("rotation", kAllParts), smooth = MakeTransform("smooth_scale", {});
  const at::Tensor expected = LogitsOf(*RandomDecoder(Biased()));
  for (const std::vector<const Transform*>& order :
       {std::vector<const Transform*>{rotation.get(), smooth.get()}, {smooth.get(), rotation.get()}}) {
    const auto model = RandomDecoder(Biased());
    QuantizeTimes times;
    TransformModel(*model, order, &sequences, 4096, times);
    EXPECT_LT(LargestDifference(LogitsOf(*model), expected), 1e-4 * expected.abs().max().item<double>());
  }
  // Behind a rotation of its input a site has nothing that a scale folds into.
  const auto model = RandomDecoder(Biased());
  rotation->ApplyToModel(*model);
  for (const Site& site : model->block(0).sites()) {
    const bool is_turned = site.shape.name.ends_with(".out");
    EXPECT_EQ(site.producer == nullptr, is_turned) << site.shape.name;
    EXPECT_EQ(site.shape.producer.empty(), is_turned) << site.shape.name;
  }
}

TEST(RotatedModel, ShowsQuantizersTurnedInputs) {
  const auto plain = RandomDecoder(SmallConfig()), turned = RandomDecoder(SmallConfig());
  MakeTransform("rotation", {{"residual", false}, {"heads", false}})->ApplyToModel(*turned);
  const auto inputs = [](Model& model) {
    at::Tensor seen;
    BlockState state{.residual = model.Embed(SomeTokens(1, 7))};
    for (int stage = 0; stage < 4; ++stage) {
      model.block(0).Step(stage, state, {}, [&](std::span<Linear* const>, const at::Tensor& input) { seen = input; });
    }
    return seen;
  };
  const at::Tensor expected = Rotation::Hadamard(48).Apply(inputs(*plain));
  EXPECT_LT(LargestDifference(inputs(*turned), expected), 1e-6 * expected.abs().max().item<double>());
}

TEST(RotatedModel, UntiesTheHeadAndLeavesNormsOfOne) {
  const auto plain = RandomDecoder(SmallConfig()), turned = RandomDecoder(SmallConfig());
  EXPECT_TRUE(plain->changed_weights().empty());
  MakeTransform("rotation", {{"down_inputs", false}, {"signs", "none"}})->ApplyToModel(*turned);
  const auto before = plain->other_weights(), after = turned->changed_weights();
  ASSERT_EQ(after.size(), 3U);
  EXPECT_EQ(after[0].first, "model.embed_tokens.weight");
  EXPECT_EQ(after[1].first, "model.norm.weight");
  EXPECT_EQ(after[2].first, "lm_head.weight");
  const Rotation hadamard = Rotation::Hadamard(32);
  EXPECT_TRUE(at::allclose(after[0].second, hadamard.Apply(before[0].second), 1e-5, 1e-6));
  EXPECT_TRUE(at::equal(after[1].second, at::ones({32})));
  EXPECT_TRUE(at::allclose(after[2].second, hadamard.Apply(before[0].second * before[1].second), 1e-5, 1e-6));
  EXPECT_TRUE(turned->block(0).online_rotations().empty());
  for (const auto& [name, weight] : turned->block(0).other_weights())
    EXPECT_TRUE(at::equal(weight, at::ones({32}))) << name;
}

at::Tensor MatrixOf(const Rotation& rotation) { return rotation.Apply(at::eye(rotation.span())); }

// Inputs of o_proj and of down_proj are of one width here, and are turned by other signs, the same in each block.
TEST(RotatedModel, EachPartHasSignsOfItsOwn) {
  DecoderConfig config = SmallConfig();
  config.ffn_size = 32;
  const auto model = RandomDecoder(config);
  MakeTransform("rotation", {{"residual", false}, {"heads", false}, {"out_inputs", true}, {"signs", "all"}})
      ->ApplyToModel(*model);
  std::map<std::string, at::Tensor> turned;
  for (const auto& [place, rotation] : OnlineRotations(*model)) turned[place] = MatrixOf(rotation);
  ASSERT_EQ(turned.size(), 4U);
  const at::Tensor& out = turned.at("model.layers.0.self_attn.out");
  EXPECT_TRUE(at::equal(out, turned.at("model.layers.1.self_attn.out")));
  EXPECT_FALSE(at::equal(out, turned.at("model.layers.0.mlp.out")));
}

// Q of a QR decomposition by reflections has an upper left entry of one sign; one drawn uniformly has either.
TEST(RotatedModel, OrthogonalMatricesAreDrawnUniformly) {
  int positive = 0;
  for (int seed = 0; seed < 16; ++seed) {
    const auto model = RandomDecoder(SmallConfig());
    MakeTransform("rotation", {{"residual", false}, {"heads", false}, {"keys", true}, {"down_inputs", false},
                               {"matrix", "orthogonal"}, {"seed", seed}})
        ->ApplyToModel(*model);
    positive += MatrixOf(OnlineRotations(*model).front().rotation)[0][0].item<float>() > 0 ? 1 : 0;
  }
  EXPECT_GT(positive, 0);
  EXPECT_LT(positive, 16);
}

// Heads of 8 are turned in weights; what is left of 32 channels is one of each head, in 8 runs of 4 log2 4 = 8.
TEST(RotatedModel, OutputsOfTurnedHeadsAreTurnedAcrossThem) {
  const auto rotation = MakeTransform("rotation", {{"down_inputs", false}, {"out_inputs", true}});
  const std::vector<Factor> factors = rotation->factors(RandomDecoder(SmallConfig())->summary());
  EXPECT_EQ(factors[0].value.AsString(),
            "residual signed hadamard 32, heads hadamard 8, out_inputs hadamard 4 apart 8");
  EXPECT_EQ(factors[1].value.AsInt(), 2 * 8 * 8);
}

TEST(RotatedModel, SaysTheWeightsOfAHeadThatItUnties) {
  DecoderConfig untied = SmallConfig();
  untied.tied_head = false;
  for (const auto& [config, residual, added] : {std::tuple(SmallConfig(), true, 40 * 32), {SmallConfig(), false, 0},
                                                {untied, true, 0}}) {
    const auto rotation = MakeTransform("rotation", {{"residual", residual}});
    EXPECT_EQ(rotation->added_weights(RandomDecoder(config)->summary()), added);
  }
}

TEST(RotatedModel, SeedsGiveOtherSigns) {
  const auto embedding = [](const Value::Map& options) {
    const auto model = RandomDecoder(SmallConfig());
    MakeTransform("rotation", options)->ApplyToModel(*model);
    return model->other_weights()[0].second;
  };
  EXPECT_TRUE(at::equal(embedding({{"seed", 1}}), embedding({{"seed", 1}})));
  EXPECT_FALSE(at::equal(embedding({{"seed", 1}}), embedding({{"seed", 2}})));
  EXPECT_FALSE(at::equal(embedding({{"matrix", "orthogonal"}, {"seed", 1}}), embedding({{"seed", 1}})));
}

TEST(RotatedModel, SaysWhatItCannotDo) {
  const auto why = [](const DecoderConfig& config, const Value::Map& options) {
    return MakeTransform("rotation", options)
        ->ExplainUnsupportedModel(SummarizeDecoder(config, ExpectedTensors(config), "random", "random"));
  };
  EXPECT_EQ(why(SmallConfig(), {}), "");
  DecoderConfig odd = SmallConfig();
  odd.ffn_size = 46;  // 2 x 23: no multiple of 4.
  EXPECT_EQ(why(odd, {}),
            "down_inputs: no Hadamard matrix of order 46 is known here (k 2^m, k by Paley's constructions up to 1024). "
            "Set matrix: any for a random orthogonal one, or down_inputs: false");
  EXPECT_EQ(why(odd, {{"matrix", "any"}}), "");
  EXPECT_EQ(why(odd, {{"down_inputs", false}}), "");
  DecoderConfig after = SmallConfig();
  after.norm_place = NormPlace::kAfter;
  EXPECT_EQ(
      why(after, {}),
      "residual: norms after its attention and feed-forward layers scale channels of what is added to the stream, "
      "and no weight can take such a scale in another basis. Set residual: false");
  EXPECT_EQ(why(after, {{"residual", false}}), "");
  // A backend that says nothing.
  EXPECT_THAT(MakeTransform("rotation", {})->ExplainUnsupportedModel(ModelSummary{}),
              HasSubstr("heads: the model's backend does not say how its weights hang together. Set heads: false"));
  EXPECT_THROW(MakeTransform("rotation", {{"residual", false}, {"heads", false}, {"down_inputs", false}}), Error);
}

TEST(RotatedModel, IsCounted) {
  const auto model = RandomDecoder(Mixture());
  const auto rotation = MakeTransform("rotation", {{"keys", true}, {"heads", false}});
  rotation->ApplyToModel(*model);
  const std::vector<OnlineRotation> rotations = OnlineRotations(*model);
  std::vector<std::string> counts;
  for (const RotationCount& one : CountRotations(rotations)) {
    counts.push_back(one.place + ", " + one.rotation + ", " + std::to_string(one.width) + " wide, " +
                     std::to_string(one.places) + " places, " + std::to_string(one.operations));
  }
  // 8 log2 8 = 24; 48 (log2 4 + 12) = 672.
  EXPECT_THAT(counts, ElementsAre("model.layers.*.self_attn.keys, hadamard 8, 8 wide, 2 places, 24",
                                  "model.layers.*.mlp.experts.*.out, hadamard 12 x 4, 48 wide, 8 places, 672"));
  const std::vector<Factor> factors = rotation->factors(model->summary());
  ASSERT_EQ(factors.size(), 2U);
  EXPECT_EQ(factors[0].value.AsString(), "residual signed hadamard 32, keys hadamard 8, down_inputs hadamard 12 x 4");
  // Two blocks: 4 + 2 heads of queries and keys; two experts of four a token.
  EXPECT_EQ(factors[1].column, "online_operations");
  EXPECT_EQ(factors[1].value.AsInt(), 2 * (6 * 24 + 2 * 672));
  // The first block dense, and as wide as an expert: of a token's runs that one is always there.
  DecoderConfig mixed = Mixture();
  mixed.dense_ffn_size = mixed.ffn_size;
  mixed.blocks = {{.is_dense = true}, {}};
  EXPECT_EQ(rotation->factors(RandomDecoder(mixed)->summary())[1].value.AsInt(), 2 * 6 * 24 + (1 + 2) * 672);
}

// One channel of the stream a hundred times the others, as in trained models: four bits a token of inputs lose the
// rest. Mean squares of what logits change by.
TEST(RotatedModel, HelpsInputsWithOutliers) {
  const auto error = [](bool turns) {
    const auto plain = RandomDecoder(SmallConfig()), model = RandomDecoder(SmallConfig());
    for (Model* one : {plain.get(), model.get()}) {
      at::Tensor embedding = one->other_weights()[0].second.clone();
      embedding.select(1, 3).mul_(100);
      one->SetOtherWeight("model.embed_tokens.weight", embedding);
    }
    if (turns) MakeTransform("rotation", {})->ApplyToModel(*model);
    for (int64_t b = 0; b < 2; ++b) {
      for (int stage = 0; stage < 4; ++stage) {
        for (Linear* linear : model->block(b).stage_linears(stage)) linear->RoundInputs({.bits = 4});
      }
    }
    return (LogitsOf(*model) - LogitsOf(*plain)).square().mean().item<double>();
  };
  EXPECT_LT(error(true), 0.5 * error(false));
}

}  // namespace
}  // namespace bitlaw
