#include "quantize/quantize_model.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/integer_grid.h"
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

// Rounds to nearest at 3 bits and keeps what it was given.
class Spy : public Quantizer {
 public:
  explicit Spy(CalibrationNeeds needs) : needs_(needs) {}
  std::string ExplainUnsupported(const LinearShape& layer) const override {
    return layer.name.ends_with(refuse) && !refuse.empty() ? "refused" : "";
  }
  double BitsRequested(const LinearShape&) const override { return 3; }
  double BitsPerWeight(const LinearShape& layer) const override { return layer.in_features == 48 ? 4 : 3; }
  CalibrationNeeds needs() const override { return needs_; }
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                           const LayerCalibration& calibration) const override {
    seen.emplace_back(layer.name, calibration);
    GridRule rule;
    rule.bits = 3;
    QuantizedLinear result = bitlaw::RoundToNearest(rule, weight, 16, layer.name);
    result.fallback = fallback;
    return result;
  }

  QuantizeFallback fallback = QuantizeFallback::kNone;
  std::string refuse;
  mutable std::vector<std::pair<std::string, LayerCalibration>> seen;

 private:
  CalibrationNeeds needs_;
};

CalibrationNeeds Everything() {
  return {.second_moment = true, .abs_mean = true, .abs_max = true, .rows = true};
}

// The inputs of every layer by name, from a model in which the layers before it are quantized as `quantized` says:
// one batch, one full forward pass a layer.
std::map<std::string, at::Tensor> InputsOneByOne(const QuantizedModel& quantized, const TokenSequences& sequences,
                                                 SequentialUnit unit) {
  std::map<std::string, at::Tensor> inputs;
  std::map<std::string, const QuantizedLinear*> codes;
  for (const QuantizedLayer& layer : quantized.layers) codes[layer.shape.name] = &layer.linear;
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor tokens =
      at::from_blob(const_cast<int32_t*>(sequences.ids.data()), {sequences.count, sequences.length_tokens}, at::kInt)
          .to(at::kLong);
  at::Tensor hidden = model->Embed(tokens);
  for (int64_t b = 0; b < model->summary().num_blocks; ++b) {
    Block& block = model->block(b);
    const auto run = [&](int stages) {
      BlockState state{.residual = hidden};
      for (int stage = 0; stage < stages; ++stage) {
        block.Step(stage, state, {}, [&](std::span<Linear* const> readers, const at::Tensor& input) {
          for (const Linear* reader : readers) inputs[reader->shape().name] = input.reshape({-1, input.size(-1)}).clone();
        });
      }
    };
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      if (unit == SequentialUnit::kStage || stage == 0) run(unit == SequentialUnit::kStage ? stage + 1 : block.num_stages());
      if (unit != SequentialUnit::kStage) continue;
      for (Linear* linear : block.stage_linears(stage)) linear->Install(*codes.at(linear->shape().name));
    }
    const at::Tensor unquantized = block.Forward(hidden, {});
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      for (Linear* linear : block.stage_linears(stage)) linear->Install(*codes.at(linear->shape().name));
    }
    hidden = unit == SequentialUnit::kNone ? unquantized : block.Forward(hidden, {});
  }
  return inputs;
}

class QuantizeModelInputs : public ::testing::TestWithParam<SequentialUnit> {};

TEST_P(QuantizeModelInputs, ComeFromTheQuantizedLayersBefore) {
  const TokenSequences sequences = SomeSequences(5, 12);
  const auto model = RandomDecoder(SmallConfig());
  Spy spy(Everything());
  QuantizeSettings settings;
  settings.batch_tokens = 24;  // batches of 2, 2 and 1
  QuantizeRecipe recipe;
  recipe.quantizer = &spy;
  recipe.sequential = GetParam();
  const QuantizedModel quantized = QuantizeModel(*model, recipe, &sequences, settings);
  const auto expected = InputsOneByOne(quantized, sequences, GetParam());
  ASSERT_EQ(spy.seen.size(), model->summary().linears.size());
  for (const auto& [name, calibration] : spy.seen) {
    const at::Tensor& inputs = expected.at(name);  // [60, C_in]
    EXPECT_EQ(calibration.sequences, 5) << name;
    EXPECT_EQ(calibration.tokens, 60) << name;
    EXPECT_TRUE(at::allclose(calibration.rows, inputs, 1e-4, 1e-5)) << name;
    const at::Tensor moment = at::mm(inputs.t(), inputs) * (2.0 / 5);
    EXPECT_TRUE(at::allclose(calibration.second_moment, moment, 1e-4, 1e-4)) << name;
    EXPECT_TRUE(at::equal(calibration.second_moment, calibration.second_moment.t())) << name;
    EXPECT_TRUE(at::allclose(calibration.abs_mean, inputs.abs().mean(0), 1e-4, 1e-5)) << name;
    EXPECT_TRUE(at::allclose(calibration.abs_max, inputs.abs().amax(0), 1e-4, 1e-5)) << name;
  }
}

TEST_P(QuantizeModelInputs, AreComparedWithTheUnquantizedModels) {
  const TokenSequences sequences = SomeSequences(5, 12);
  const auto model = RandomDecoder(SmallConfig());
  Spy spy({.second_moment = true, .rows = true, .cross_moment = true});
  QuantizeSettings settings;
  settings.batch_tokens = 24;
  QuantizeRecipe recipe;
  recipe.quantizer = &spy;
  recipe.sequential = GetParam();
  if (GetParam() == SequentialUnit::kNone) {
    try {
      QuantizeModel(*model, recipe, &sequences, settings);
      FAIL() << "they are the same there";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   "random: the quantizer compares each layer's inputs with those of the unquantized model, and with "
                   "sequential: none they are the same. Set sequential: stage or block, or leave the comparison out "
                   "(gptaq_alpha: 0)");
    }
    return;
  }
  const QuantizedModel quantized = QuantizeModel(*model, recipe, &sequences, settings);
  const auto unquantized = InputsOneByOne(quantized, sequences, SequentialUnit::kNone);
  ASSERT_EQ(spy.seen.size(), model->summary().linears.size());
  for (const auto& [name, calibration] : spy.seen) {
    const at::Tensor& x = calibration.rows;
    const at::Tensor moment = at::mm((unquantized.at(name) - x).t(), x) * (2.0 / 5);
    EXPECT_TRUE(at::allclose(calibration.cross_moment, moment, 1e-3, 1e-4)) << name;
    const bool is_first =
        name.starts_with("model.layers.0.") && (name.ends_with("q_proj") || GetParam() == SequentialUnit::kBlock);
    EXPECT_EQ(calibration.cross_moment.abs().max().item<float>() == 0,
              is_first || name.ends_with("0.self_attn.k_proj") || name.ends_with("0.self_attn.v_proj"))
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Units, QuantizeModelInputs,
                         ::testing::Values(SequentialUnit::kStage, SequentialUnit::kBlock, SequentialUnit::kNone),
                         [](const auto& info) {
                           return info.param == SequentialUnit::kStage   ? "Stage"
                                  : info.param == SequentialUnit::kBlock ? "Block"
                                                                         : "None";
                         });

TEST(QuantizeModel, SumsOnceForLayersThatShareTheirInput) {
  const TokenSequences sequences = SomeSequences(2, 8);
  const auto model = RandomDecoder(SmallConfig());
  Spy spy({.second_moment = true});
  QuantizeModel(*model, spy, &sequences);
  ASSERT_EQ(spy.seen.size(), 14u);
  const auto moment = [&](size_t i) { return spy.seen[i].second.second_moment.data_ptr(); };
  EXPECT_EQ(moment(0), moment(1));  // q, k, v
  EXPECT_EQ(moment(0), moment(2));
  EXPECT_NE(moment(0), moment(3));  // o
  EXPECT_EQ(moment(4), moment(5));  // gate, up
  EXPECT_FALSE(spy.seen[0].second.abs_max.defined()) << "nobody asked for it";
}

TEST(QuantizeModel, SumsInFloat64WhenAsked) {
  const TokenSequences sequences = SomeSequences(2, 8);
  const auto model = RandomDecoder(SmallConfig());
  Spy spy({.second_moment = true, .second_moment_float64 = true});
  QuantizeModel(*model, spy, &sequences);
  EXPECT_EQ(spy.seen[0].second.second_moment.scalar_type(), at::kDouble);
}

TEST(QuantizeModel, SumsWideInputsInPanels) {  // 400 columns are several panels
  DecoderConfig config = SmallConfig();
  config.ffn_size = 400;
  const TokenSequences sequences = SomeSequences(2, 8);
  const auto model = RandomDecoder(config);
  Spy spy({.second_moment = true, .rows = true});
  QuantizeModel(*model, spy, &sequences);
  const LayerCalibration& down = spy.seen[6].second;
  ASSERT_EQ(down.rows.size(1), 400);
  EXPECT_TRUE(at::allclose(down.second_moment, at::mm(down.rows.t(), down.rows), 1e-4, 1e-4));
}

TEST(QuantizeModel, SumsBFloat16InputsInFloat32) {  // Sums rounded to bfloat16 would be off by 2e-3.
  DecoderConfig config = SmallConfig();
  config.ffn_size = 400;
  const TokenSequences sequences = SomeSequences(6, 16);
  const auto model = RandomDecoder(config, Dtype::kBFloat16);
  Spy spy({.second_moment = true, .rows = true});
  QuantizeModel(*model, spy, &sequences);
  ASSERT_FALSE(spy.seen.empty());
  for (const auto& [name, calibration] : spy.seen) {
    const at::Tensor rows = calibration.rows.to(at::kDouble);         // [tokens, C_in]
    const at::Tensor exact = at::mm(rows.t(), rows).mul_(2.0 / 6.0);  // [C_in, C_in]
    const at::Tensor scale = at::outer(exact.diag(), exact.diag()).sqrt_();
    const at::Tensor errors = at::abs(calibration.second_moment.to(at::kDouble) - exact).div(scale + 1e-30);
    EXPECT_LT(errors.max().item<double>(), 1e-6) << name;
  }
}

TEST(QuantizeModel, EvaluatesWhatTheCodesSay) {
  const TokenSequences sequences = SomeSequences(4, 16);
  const auto model = RandomDecoder(SmallConfig());
  const at::Tensor before = model->block(1).stage_linears(0)[0]->weight().clone();
  const QuantizedModel quantized =
      QuantizeModel(*model, *MakeQuantizer("gptq", {{"bits", 4}, {"group_size", 16}}), &sequences);
  const at::Tensor after = model->block(1).stage_linears(0)[0]->weight();
  EXPECT_EQ(quantized.layers[7].shape.name, "model.layers.1.self_attn.q_proj");
  EXPECT_TRUE(at::equal(after, quantized.layers[7].linear.Dequantize()));
  EXPECT_FALSE(at::equal(after, before));
}

TEST(QuantizeModel, GptqErrsLessThanRoundToNearestOnEveryLayer) {
  const TokenSequences sequences = SomeSequences(16, 32);
  const auto model = RandomDecoder(SmallConfig());
  const QuantizedModel quantized =
      QuantizeModel(*model, *MakeQuantizer("gptq", {{"bits", 3}, {"group_size", 16}}), &sequences);
  for (const QuantizedLayer& layer : quantized.layers) {
    EXPECT_LT(layer.diagnostic("hessian_error"), layer.diagnostic("hessian_error_rtn")) << layer.shape.name;
  }
}

TEST(QuantizeModel, CountsBitsOverQuantizableWeights) {
  const auto model = RandomDecoder(SmallConfig());
  Spy spy({});
  const QuantizedModel quantized = QuantizeModel(*model, spy, nullptr);
  EXPECT_DOUBLE_EQ(quantized.bits_requested, 3);
  // A block: q, o 32 x 32, k, v 16 x 32, gate, up 48 x 32 at 3 bits; down 32 x 48 at 4: 1536 of 7680 weights.
  EXPECT_DOUBLE_EQ(quantized.bits_effective, 3 + 1536.0 / 7680);
}

TEST(QuantizeModel, NeedsNoCalibrationForAQuantizerThatAsksForNone) {
  const auto model = RandomDecoder(SmallConfig());
  const QuantizedModel quantized =
      QuantizeModel(*model, *MakeQuantizer("rtn", {{"bits", 4}, {"group_size", 16}}), nullptr);
  EXPECT_EQ(quantized.layers.size(), 14u);
  EXPECT_DOUBLE_EQ(quantized.bits_effective, 5.25);  // 4 + (16 + 4) / 16
  EXPECT_EQ(quantized.times.forward_s, 0);
}

TEST(QuantizeModel, GivesTheSameDigestTwiceAndAnotherForOtherCodes) {
  const TokenSequences sequences = SomeSequences(4, 16);
  const auto digest = [&](int bits, int64_t batch_tokens) {
    const auto model = RandomDecoder(SmallConfig());
    QuantizeSettings settings;
    settings.batch_tokens = batch_tokens;
    return QuantizeModel(*model, *MakeQuantizer("gptq", {{"bits", bits}, {"group_size", 16}}), &sequences, settings)
        .codes_digest;
  };
  EXPECT_EQ(digest(3, 64), digest(3, 64));
  EXPECT_NE(digest(3, 64), digest(4, 64));
  EXPECT_EQ(digest(3, 64).size(), 64u);
}

// 100 sequences of 100 tokens: statistics are summed over 40, 40 and 20 of them, whatever goes through a block at once.
TEST(QuantizeModel, GivesTheSameBytesForAnyBatchOfSequences) {
  const TokenSequences sequences = SomeSequences(100, 100);
  for (const SequentialUnit unit : {SequentialUnit::kStage, SequentialUnit::kBlock, SequentialUnit::kNone}) {
    std::vector<std::pair<std::string, LayerCalibration>> expected;
    for (const int64_t batch_tokens : {0, 1, 700, 4096, 100000}) {
      const auto model = RandomDecoder(SmallConfig());
      Spy spy(Everything());
      QuantizeSettings settings;
      settings.batch_tokens = batch_tokens;
      QuantizeRecipe recipe;
      recipe.quantizer = &spy;
      recipe.sequential = unit;
      QuantizeModel(*model, recipe, &sequences, settings);
      if (expected.empty()) expected = spy.seen;
      ASSERT_EQ(spy.seen.size(), 14u);
      for (size_t i = 0; i < expected.size(); ++i) {
        const LayerCalibration &own = spy.seen[i].second, &first = expected[i].second;
        EXPECT_EQ(own.tokens, 10000) << batch_tokens;
        EXPECT_TRUE(at::equal(own.second_moment, first.second_moment)) << spy.seen[i].first << " " << batch_tokens;
        EXPECT_TRUE(at::equal(own.abs_mean, first.abs_mean)) << spy.seen[i].first << " " << batch_tokens;
        EXPECT_TRUE(at::equal(own.rows, first.rows)) << spy.seen[i].first << " " << batch_tokens;
      }
    }
  }
}

TEST(QuantizeModel, TellsProgressLayerByLayer) {
  const auto model = RandomDecoder(SmallConfig());
  std::vector<int64_t> done;
  QuantizeModel(*model, Spy({}), nullptr, {}, [&](const QuantizeProgress& progress) {
    done.push_back(progress.layers_done);
    EXPECT_EQ(progress.layers_total, 14);
    EXPECT_GE(progress.remaining_s, 0);
    if (progress.layers_done == 14) {
      EXPECT_EQ(progress.remaining_s, 0);
    }
  });
  ASSERT_EQ(done.size(), 14u);
  EXPECT_EQ(done.front(), 1);
  EXPECT_EQ(done.back(), 14);
}

std::string ErrorOf(ErrorKind kind, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  return "(no error)";
}

TEST(QuantizeModel, FailsOnAFallbackUnlessAllowed) {
  Spy spy({});
  spy.fallback = QuantizeFallback::kDampingRaised;
  const auto model = RandomDecoder(SmallConfig());
  EXPECT_EQ(ErrorOf(ErrorKind::kNumerical, [&] { QuantizeModel(*model, spy, nullptr); }),
            "model.layers.0.self_attn.q_proj: the quantizer fell back (damping_raised). A study counts such layers only "
            "with allow_fallback: true. Allow it, or change the options so that none is needed.");
  const auto another = RandomDecoder(SmallConfig());
  QuantizeSettings settings;
  settings.allow_fallback = true;
  const QuantizedModel quantized = QuantizeModel(*another, spy, nullptr, settings);
  EXPECT_EQ(quantized.layers[0].linear.fallback, QuantizeFallback::kDampingRaised);
}

TEST(QuantizeModel, NamesEveryUnsupportedLayerBeforeAnyWork) {
  Spy spy({});
  spy.refuse = "down_proj";
  const auto model = RandomDecoder(SmallConfig());
  EXPECT_EQ(ErrorOf(ErrorKind::kUnsupported, [&] { QuantizeModel(*model, spy, nullptr); }),
            "model.layers.0.mlp.down_proj: refused\nmodel.layers.1.mlp.down_proj: refused");
  EXPECT_TRUE(spy.seen.empty());
}

TEST(QuantizeModel, RefusesSequencesLongerThanTheModelTakes) {
  const TokenSequences sequences = SomeSequences(1, 513);
  const auto model = RandomDecoder(SmallConfig());
  EXPECT_EQ(ErrorOf(ErrorKind::kSpec, [&] { QuantizeModel(*model, Spy(Everything()), &sequences); }),
            "random: calibration sequences have 513 tokens, but the model takes at most 512. Use shorter sequences.");
}

TEST(QuantizeModel, KeepsBFloat16ModelsInTheirDtype) {
  const TokenSequences sequences = SomeSequences(4, 16);
  const auto model = RandomDecoder(SmallConfig(), Dtype::kBFloat16);
  const QuantizedModel quantized =
      QuantizeModel(*model, *MakeQuantizer("gptq", {{"bits", 4}, {"group_size", 16}}), &sequences);
  const at::Tensor weight = model->block(0).stage_linears(0)[0]->weight();
  EXPECT_EQ(weight.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(weight, quantized.layers[0].linear.Dequantize().to(at::kBFloat16)));
}

}  // namespace
}  // namespace bitlaw
