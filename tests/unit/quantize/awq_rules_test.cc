// AWQ's scales where layers have options of their own (`overrides` of a recipe).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <vector>

#include "bitlaw/api/model.h"
#include "bitlaw/api/quantized_linear.h"
#include "quantize/recipe/recipe_settings.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

constexpr int64_t kChannels = 32;

// Keeps the scale that it was divided by.
class Recorder : public Producer {
 public:
  const at::Tensor& channels() const override { return channels_; }
  void Divide(const at::Tensor& scale) override { divided = scale; }
  at::Tensor divided;

 private:
  at::Tensor channels_ = at::arange(kChannels);
};

// Inputs of 64 tokens whose channels differ in size by up to 250 times, and two layers that read them.
struct Inputs {
  Inputs() {
    at::Generator generator = at::detail::createCPUGenerator(3);
    x = at::randn({64, kChannels}, generator) * at::linspace(-4, 4, kChannels).exp2();
    gate = at::randn({8, kChannels}, generator);
    up = at::randn({8, kChannels}, generator) * at::linspace(0, 3, kChannels).exp2();
    calibration.sequences = 1;
    calibration.tokens = x.size(0);
    calibration.abs_mean = x.abs().mean(0);
    calibration.second_moment = at::mm(x.t(), x) * 2;
  }
  at::Tensor x, gate, up;
  LayerCalibration calibration;
};

// The exponent of twenty with which || x W^T - x (Q(W s) / s)^T ||^2, summed over the layers that are rounded, is least, as s.
at::Tensor BestScale(const Inputs& inputs, std::optional<int> gate_bits, std::optional<int> up_bits) {
  at::Tensor best;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 20; ++i) {
    at::Tensor scale = inputs.calibration.abs_mean.pow(i / 20.0);
    scale = scale / (scale.max() * scale.min()).sqrt();
    double loss = 0;
    for (const auto& [weight, bits] : {std::pair(inputs.gate, gate_bits), std::pair(inputs.up, up_bits)}) {
      if (!bits) continue;
      const auto rtn = MakeQuantizer("rtn", {{"bits", *bits}, {"group_size", 16}});
      const LinearShape shape{.name = "layer", .in_features = kChannels, .out_features = 8};
      const at::Tensor rounded = rtn->Quantize(shape, weight * scale, {}).Dequantize() / scale;
      loss += at::mm(inputs.x, (weight - rounded).t()).square().sum().item<double>();
    }
    if (loss < least) {
      least = loss;
      best = scale;
    }
  }
  return best;
}

MadeRecipe Made(const Value& rule) {
  Value::Map parts = {{"transforms", Value::List{Value::Map{{"name", "awq"},
                                                            {"options", Value::Map{{"candidates", 20}, {"scaling", "inputs"}}},
                                                            {"version", "1.1.0"}}}}};
  if (!rule.is_null()) parts.emplace_back("overrides", Value::List{rule});
  const Component& rtn = QuantizerHost().Find(ComponentKind::kQuantizer, "rtn");
  const Options options = rtn.schema.Resolve(Value(Value::Map{{"bits", 2}, {"group_size", 16}}), "rtn");
  return MakeRecipe(QuantizerHost(), "rtn", options, Value(parts));
}

at::Tensor Found(const MadeRecipe& made, const Inputs& inputs) {
  Recorder producer;
  Linear gate({.name = "mlp.gate_proj", .in_features = kChannels, .out_features = 8}, inputs.gate.clone(), at::Tensor());
  Linear up({.name = "mlp.up_proj", .in_features = kChannels, .out_features = 8}, inputs.up.clone(), at::Tensor());
  Site site;
  site.shape = {.name = "mlp", .readers = {gate.shape(), up.shape()}, .producer = "norm"};
  site.producer = &producer;
  site.readers = {&gate, &up};
  made.transforms.front()->Apply(site, inputs.calibration);
  return producer.divided;
}

TEST(AwqOfARecipe, LooksAtTheRoundingThatEachLayerWillHave) {
  const Inputs inputs;
  const Value none, finer = Value::Map{{"match", "*.gate_proj"}, {"options", Value::Map{{"bits", 8}}}};
  const Value skip = Value::Map{{"match", "*.gate_proj"}, {"options", Value::Map{}}, {"skip", true}};
  const at::Tensor plain = BestScale(inputs, 2, 2), of_eight = BestScale(inputs, 8, 2), of_up = BestScale(inputs, {}, 2);
  // What is compared below differs.
  ASSERT_FALSE(plain.allclose(of_eight, 1e-2, 0));
  ASSERT_FALSE(plain.allclose(of_up, 1e-2, 0));
  for (const auto& [rule, expected] : {std::pair(none, plain), std::pair(finer, of_eight), std::pair(skip, of_up)}) {
    const MadeRecipe made = Made(rule);
    {
      const QuantizeRecipe recipe = QuantizeRecipeOf(made, Value());
      EXPECT_TRUE(Found(made, inputs).allclose(expected, 1e-5, 0)) << rule.Text();
    }
    // With the recipe goes the quantizer of each layer; the entry's own is left.
    EXPECT_TRUE(Found(made, inputs).allclose(plain, 1e-5, 0)) << rule.Text();
  }
}

TEST(AwqOfARecipe, TakesRelativeSizesOfWeightsThatAreRounded) {
  const Inputs inputs;
  Value parts = Value::Map{{"transforms", Value::List{Value::Map{
                                {"name", "awq"},
                                {"options", Value::Map{{"candidates", 1}, {"scaling", "inputs_and_weights"}}},
                                {"version", "1.1.0"}}}},
                           {"overrides", Value::List{Value::Map{{"match", "*.gate_proj"}, {"options", Value::Map{}}, {"skip", true}}}}};
  const Component& rtn = QuantizerHost().Find(ComponentKind::kQuantizer, "rtn");
  const Options options = rtn.schema.Resolve(Value(Value::Map{{"bits", 2}, {"group_size", 16}}), "rtn");
  const MadeRecipe made = MakeRecipe(QuantizerHost(), "rtn", options, parts);
  const QuantizeRecipe recipe = QuantizeRecipeOf(made, Value());
  // The one candidate has the exponent 0: 1 / (m + 1e-4), m of up alone.
  const at::Tensor groups = inputs.up.abs().view({8, 2, 16});
  const at::Tensor relative = (groups / (groups.amax(2, true) + 1e-6)).view({8, kChannels}).mean(0);
  at::Tensor expected = 1 / (relative + 1e-4);
  expected = expected / (expected.max() * expected.min()).sqrt();
  EXPECT_TRUE(Found(made, inputs).allclose(expected, 1e-4, 0));
}

}  // namespace
}  // namespace bitlaw
