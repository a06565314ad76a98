// An output head that a recipe rounds, in checkpoints of other programs.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantize/quantize_model.h"
#include "support/exporters.h"
#include "support/models.h"
#include "support/quantizers.h"
#include "support/seeded_checkpoint.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

class RoundedHead : public FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    WriteSeededCheckpoint(ArchitectureGolden("mistral"), folder_ / "from");
  }

  static at::Tensor Logits(Model& model) {
    const at::NoGradGuard no_grad;
    return model.Logits(model.Forward(at::arange(20, at::kLong).mul(7).remainder(61).view({2, 10}), {}));
  }

  // What was written, opened again, has the logits that were evaluated.
  Value Export(const char* exporter, int bits_of_layers, const TableGrid& head) {
    const auto quantizer = MakeQuantizer("rtn", {{"bits", bits_of_layers}, {"group_size", 16}});
    QuantizeRecipe recipe;
    recipe.quantizer = quantizer.get();
    recipe.head = head;
    const auto model = MakeModelBackend("hf")->Open(folder_ / "from", {});
    const QuantizedModel quantized = QuantizeModel(*model, recipe, nullptr);
    std::vector<ExportLayer> layers;
    for (const QuantizedLayer& layer : quantized.layers) layers.push_back({layer.shape, layer.linear});
    EXPECT_EQ(layers.front().shape.name, "lm_head");
    std::filesystem::remove_all(folder_ / "to");
    std::filesystem::create_directories(folder_ / "to");
    MakeExporter(exporter)->Export(folder_ / "from", {model->summary(), layers}, folder_ / "to");
    const auto read = MakeModelBackend("hf")->Open(folder_ / "to", {});
    EXPECT_TRUE(Logits(*read).equal(Logits(*model))) << exporter;
    return *ParseJson(Read(folder_ / "to" / "config.json"), "config.json").Find("quantization_config");
  }

};

const TableGrid kAsymmetric{.rule = {.bits = 8}, .group_size = 16},
    kSymmetric{.rule = {.bits = 8, .symmetric = true}, .group_size = 8};

TEST_F(RoundedHead, IsNamedByCompressedTensors) {
  const Value config = Export("compressed_tensors", 4, kSymmetric);
  EXPECT_EQ(*config.Find("ignore"), Value(Value::List{}));
  EXPECT_EQ(*config.Find("config_groups")->Find("group_0")->Find("targets"), Value(Value::List{"lm_head"}));
  EXPECT_EQ(config.Find("config_groups")->Find("group_0")->Find("weights")->Find("num_bits")->AsInt(), 8);
  EXPECT_EQ(config.Find("config_groups")->Find("group_1")->Find("weights")->Find("num_bits")->AsInt(), 4);
  const Value alike = Export("compressed_tensors", 8, kAsymmetric);
  EXPECT_EQ(*alike.Find("config_groups")->Find("group_0")->Find("targets"), Value(Value::List{"Linear", "lm_head"}));
  EXPECT_EQ(alike.Find("config_groups")->AsMap().size(), 1U);
}

TEST_F(RoundedHead, IsNamedByGptq) {
  const Value config = Export("gptq_v2", 4, kSymmetric);
  EXPECT_TRUE(config.Find("lm_head")->AsBool());
  EXPECT_EQ(config.Find("bits")->AsInt(), 4);
  EXPECT_EQ(*config.Find("dynamic"),
            Value(Value::Map{{"+:^lm_head$", Value::Map{{"bits", 8}, {"group_size", 8}, {"sym", true}}}}));
  const Value alike = Export("gptq_v2", 8, kAsymmetric);
  EXPECT_TRUE(alike.Find("lm_head")->AsBool());
  EXPECT_EQ(alike.Find("dynamic"), nullptr);
}

}  // namespace
}  // namespace bitlaw
