#include "bitlaw/testing/transform_conformance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "bitlaw/base/fingerprint.h"
#include "plugin/host.h"
#include "support/quantizers.h"
#include "support/seeded_checkpoint.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TransformFaults;

// Checkpoints of each architecture in tests/parity/logits are opened by the backend in the tree.
std::unique_ptr<ModelBackend> HfBackend() {
  static PluginHost* host = [] {
    auto* made = new PluginHost(OwnFingerprint());
    made->LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_model_hf.so");
    return made;
  }();
  return host->MakeModelBackend("hf", host->Find(ComponentKind::kModel, "hf").schema.Resolve(Value(), "hf"));
}

class TransformKit : public ::testing::TestWithParam<std::string> {};

TEST_P(TransformKit, EveryTransformInTheTreeKeepsTheFunction) {
  const std::vector<std::string> names = QuantizerHost().Names(ComponentKind::kTransform);
  ASSERT_THAT(names, ElementsAre("awq", "rotation", "smooth_scale"));
  std::string folder = std::string(BITLAW_SOURCE_DIR) + "/tests/parity/logits/" + GetParam();
  if (!std::filesystem::exists(folder)) {
    folder = ::testing::TempDir() + "bitlaw_transform_" + GetParam();
    WriteSeededCheckpoint(ArchitectureGolden(GetParam()), folder);
  }
  const auto backend = HfBackend();
  const auto open = [&] { return backend->Open(folder, {.dtype = Dtype::kFloat32, .device = "cpu"}); };
  const at::Tensor tokens = at::randint(0, open()->summary().vocab_size, {3, 24}, at::detail::createCPUGenerator(2),
                                        at::kLong);
  for (const double alpha : {0.0, 0.5, 1.0}) {
    // 1e-5 of the largest logit: float32 sums in another order, 24 bits.
    EXPECT_THAT(TransformFaults(*MakeTransform("smooth_scale", {{"alpha", alpha}}), "smooth_scale", open, tokens),
                ElementsAre())
        << alpha;
  }
  const auto quantizer = MakeQuantizer("rtn", {{"bits", 3}, {"group_size", 16}});
  for (const char* scaling : {"inputs", "inputs_and_weights", "either"}) {
    const auto awq = MakeTransform("awq", {{"scaling", scaling}, {"candidates", 5}});
    awq->TakeQuantizer(quantizer.get());
    EXPECT_THAT(TransformFaults(*awq, "awq", open, tokens), ElementsAre()) << scaling;
  }
  // Norms that stand after a layer are in the way of one rotation alone.
  const bool turns_stream = GetParam() != "gemma2" && !GetParam().starts_with("gemma3") && GetParam() != "olmo2";
  for (const char* part : {"residual", "heads", "keys", "down_inputs", "out_inputs", ""}) {
    Value::Map options = {{"signs", "all"}, {"seed", 7}, {"matrix", "any"}};
    for (const char* other : {"residual", "heads", "keys", "down_inputs", "out_inputs"}) {
      options.emplace_back(
          other, *part == '\0' ? other != std::string("residual") || turns_stream : other == std::string(part));
    }
    const auto rotation = MakeTransform("rotation", options);
    if (part == std::string("residual") && !turns_stream) {
      EXPECT_THAT(rotation->ExplainUnsupportedModel(open()->summary()),
                  HasSubstr("residual: norms after its attention and feed-forward layers scale channels"));
      continue;
    }
    EXPECT_EQ(rotation->ExplainUnsupportedModel(open()->summary()), "");
    // Weights are rounded to float32 once more, and sums of rotated ones differ from channel to channel.
    EXPECT_THAT(TransformFaults(*rotation, "rotation", open, tokens, 1e-4), ElementsAre()) << part;
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, TransformKit,
                         ::testing::Values("tiny_llama", "tiny_llama3", "tiny_qwen2", "tiny_qwen3", "tiny_qwen3_moe"),
                         [](const auto& info) { return info.param; });
INSTANTIATE_TEST_SUITE_P(OtherArchitectures, TransformKit, ::testing::ValuesIn(ArchitectureGoldens()),
                         [](const auto& info) { return info.param; });

// Folds twos wherever something folds, with room for one mistake.
class Doubling : public Transform {
 public:
  std::string ExplainUnsupported(const SiteShape& site) const override {
    return site.producer.empty() ? "nothing folds" : "";
  }
  CalibrationNeeds needs() const override { return {}; }
  void Apply(const Site& site, const LayerCalibration&) const override {
    site.Fold(at::full({site.producer->channels().max().item<int64_t>() + 1}, 2.0F));
  }
};
class ForgetsReaders : public Doubling {
  void Apply(const Site& site, const LayerCalibration&) const override {
    site.producer->Divide(at::full({site.producer->channels().max().item<int64_t>() + 1}, 2.0F));
  }
};
class DoesNothing : public Doubling {
  void Apply(const Site&, const LayerCalibration&) const override {}
};
class CountsCalls : public Doubling {
  void Apply(const Site& site, const LayerCalibration&) const override {
    site.Fold(at::full({site.producer->channels().max().item<int64_t>() + 1}, static_cast<float>(1 << (++calls_ % 5))));
  }
  mutable int calls_ = 0;
};
class CannotDoAnything : public Doubling {
  std::string ExplainUnsupported(const SiteShape&) const override { return "never"; }
};
class Throws : public Doubling {
  void Apply(const Site& site, const LayerCalibration&) const override {
    throw Error(ErrorKind::kUnsupported, site.shape.name + ": not today.");
  }
};

TEST(TransformKit, NamesWhatATransformGetsWrong) {
  const auto open = [] { return RandomDecoder(SmallConfig()); };
  const at::Tensor tokens = SomeTokens(2, 10);
  const auto faults = [&](const Transform& transform) { return TransformFaults(transform, "t", open, tokens); };
  EXPECT_THAT(faults(Doubling()), ElementsAre());
  EXPECT_THAT(faults(ForgetsReaders()), ElementsAre(HasSubstr("logits of the unquantized model change by ")));
  EXPECT_THAT(faults(DoesNothing()),
              ElementsAre("transform 't': it changed no weight on a model of architecture 'llama'."));
  EXPECT_THAT(faults(CountsCalls()),
              ElementsAre("transform 't': it gives other weights the second time on a model of architecture 'llama'."));
  EXPECT_THAT(faults(CannotDoAnything()),
              ElementsAre("transform 't': it can change no site on a model of architecture 'llama'."));
  EXPECT_THAT(faults(Throws()),
              ElementsAre("transform 't': it throws 'model.layers.0.self_attn.in: not today.' for a site that it "
                          "does not explain as unsupported on a model of architecture 'llama'."));
}

class NormOfTwo : public Producer {
 public:
  const at::Tensor& channels() const override { return channels_; }
  void Divide(const at::Tensor& scale) override { divided = scale; }
  at::Tensor divided;

 private:
  at::Tensor channels_ = at::arange(2);
};

// s = max |x|^0.5 / max |W|^0.5 by hand: the inputs of channel 0 reach 4, its weights 1; of channel 1 they reach 1 and
// 4.
TEST(SmoothScale, BalancesInputsAndWeights) {
  Linear reader({.name = "r", .in_features = 2, .out_features = 1}, at::tensor({-1.0F, 4.0F}).view({1, 2}), {});
  NormOfTwo norm;
  Site site;
  site.shape = {"s", 0, {reader.shape()}, "norm", false};
  site.readers = {&reader};
  site.producer = &norm;
  LayerCalibration calibration;
  calibration.tokens = 3;
  calibration.abs_max = at::tensor({4.0F, 1.0F});
  MakeTransform("smooth_scale", {{"alpha", 0.5}})->Apply(site, calibration);
  EXPECT_TRUE(at::equal(norm.divided, at::tensor({2.0F, 0.5F})));
  EXPECT_TRUE(at::equal(reader.weight(), at::tensor({-2.0F, 2.0F}).view({1, 2})));
}

// Two weights, 1 and 0.3, of which rounding keeps what is 0.4 or more. Inputs of channel 1 are four times as large: with
// a = 1/2 its scale is 2 beside channel 0's 1, both over sqrt(2), and 0.3 becomes 0.42.
TEST(Awq, TakesTheScaleThatRoundingHurtsLeast) {
  class KeepsLargeOnes : public Quantizer {
   public:
    std::string ExplainUnsupported(const LinearShape&) const override { return ""; }
    double BitsRequested(const LinearShape&) const override { return 2; }
    double BitsPerWeight(const LinearShape&) const override { return 2; }
    CalibrationNeeds needs() const override { return {}; }
    QuantizedLinear Quantize(const LinearShape&, const at::Tensor&, const LayerCalibration&) const override { return {}; }
    bool rounds_to_nearest() const override { return true; }
    void RoundToNearest(const SiteShape&, std::span<const at::Tensor> weights,
                        std::vector<QuantizedLinear>& rounded) const override {
      rounded[0].group_size = 2;
      rounded[0].codes = (weights[0].abs() >= 0.4).to(at::kByte);
      rounded[0].scales = weights[0].clone();
      rounded[0].zeros = at::zeros_like(rounded[0].codes);
      rounded[0].group_index = at::arange(2, at::kInt);
    }
  } quantizer;
  Linear reader({.name = "r", .in_features = 2, .out_features = 1}, at::tensor({1.0F, 0.3F}).view({1, 2}), {});
  NormOfTwo norm;
  Site site;
  site.shape = {"s", 0, {reader.shape()}, "norm", false};
  site.readers = {&reader};
  site.producer = &norm;
  LayerCalibration calibration;
  calibration.tokens = 1;
  calibration.abs_mean = at::tensor({1.0F, 4.0F});
  calibration.second_moment = at::eye(2);
  const auto awq = MakeTransform("awq", {{"candidates", 2}});
  EXPECT_EQ(awq->ExplainUnsupported(site.shape),
            "nothing rounds the weights that its scales would be found for. Name a quantizer");
  awq->TakeQuantizer(&quantizer);
  EXPECT_EQ(awq->ExplainUnsupported(site.shape), "");
  awq->Apply(site, calibration);
  EXPECT_TRUE(at::allclose(norm.divided, at::tensor({0.70710678F, 1.4142135F}), 1e-6, 0));
  EXPECT_TRUE(at::allclose(reader.weight(), at::tensor({0.70710678F, 0.42426407F}).view({1, 2}), 1e-6, 0));
}

TEST(SmoothScale, KeepsChannelsWithoutInputsOrWeights) {
  const auto model = RandomDecoder(SmallConfig());
  const Site site = model->block(0).sites()[0];
  const at::Tensor before = site.readers[0]->weight().clone();
  LayerCalibration calibration;
  calibration.tokens = 1;
  calibration.abs_max = at::zeros({32});
  MakeTransform("smooth_scale", {})->Apply(site, calibration);
  EXPECT_TRUE(at::equal(site.readers[0]->weight(), before));
}

}  // namespace
}  // namespace bitlaw
