// Layers that a recipe leaves as they are, and rounded embeddings, in checkpoints of other programs.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantize/quantize_model.h"
#include "quantize/recipe/recipe_settings.h"
#include "support/exporters.h"
#include "support/models.h"
#include "support/quantizers.h"
#include "support/tiny_checkpoint.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;

class SkippedLayers : public FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    WriteTinyCheckpoint(folder_ / "from", {.blocks = 2, .kv_heads = 4});
    quantizer_ = MakeQuantizer("rtn", {{"bits", 4}, {"group_size", 16}});
    recipe_.quantizer = quantizer_.get();
  }

  static at::Tensor Logits(Model& model) {
    const at::NoGradGuard no_grad;
    return model.Logits(model.Forward(at::arange(40, at::kLong).mul(7).remainder(256).view({2, 20}), {}));
  }

  // The checkpoint after the recipe, and what was written of it, opened again.
  void Export(const char* exporter) {
    model_ = MakeModelBackend("hf")->Open(folder_ / "from", {});
    quantized_ = QuantizeModel(*model_, recipe_, nullptr);
    std::filesystem::remove_all(folder_ / "to");
    std::filesystem::create_directories(folder_ / "to");
    MakeExporter(exporter, {})->Export(folder_ / "from", Exported(), folder_ / "to");
    read_ = MakeModelBackend("hf")->Open(folder_ / "to", {});
  }
  ExportModel Exported() {
    layers_.clear();
    for (const QuantizedLayer& layer : quantized_.layers) layers_.push_back({layer.shape, layer.linear});
    return {model_->summary(), layers_};
  }
  Value Config() const {
    return *ParseJson(Read(folder_ / "to" / "config.json"), "config.json").Find("quantization_config");
  }

  std::unique_ptr<Quantizer> quantizer_;
  QuantizeRecipe recipe_;
  std::unique_ptr<Model> model_, read_;
  QuantizedModel quantized_;
  std::vector<ExportLayer> layers_;
};

TEST_F(SkippedLayers, AreReadBackAsTheyWere) {
  recipe_.skips = [](std::string_view layer) { return layer.ends_with("1.mlp.down_proj"); };
  for (const char* exporter : {"dense", "gptq_v2", "compressed_tensors"}) {
    Export(exporter);
    EXPECT_TRUE(Logits(*read_).equal(Logits(*model_))) << exporter;
    if (std::string(exporter) == "dense") continue;
    const StoredQuantization& stored = read_->summary().stored_quantization.value();
    EXPECT_DOUBLE_EQ(stored.bits, quantized_.bits_requested) << exporter;
    EXPECT_DOUBLE_EQ(stored.bits_per_weight, quantized_.bits_effective) << exporter;
  }
}

TEST_F(SkippedLayers, AreNamedByEachFormatsConfiguration) {
  recipe_.skips = [](std::string_view layer) { return layer.ends_with("1.mlp.down_proj"); };
  Export("gptq_v2");
  EXPECT_EQ(*Config().Find("dynamic"), Value(Value::Map{{"-:^model\\.layers\\.1\\.mlp\\.down_proj$", Value::Map{}}}));
  Export("compressed_tensors");
  EXPECT_EQ(*Config().Find("ignore"), Value(Value::List{"lm_head", "model.layers.1.mlp.down_proj"}));
  recipe_.skips = {};
  Export("gptq_v2");
  EXPECT_EQ(Config().Find("dynamic"), nullptr);
}

// GPTQModel's `dynamic` has what differs from the first layer.
TEST_F(SkippedLayers, StandBesideLayersOfOtherBitsAndGroups) {
  const Value parts = Value::Map{
      {"overrides",
       Value::List{Value::Map{{"match", "*.0.mlp.gate_proj"}, {"options", Value::Map{}}, {"skip", true}},
                   Value::Map{{"match", "*.1.mlp.down_proj"}, {"options", Value::Map{{"bits", 8}, {"group_size", 32}}}},
                   Value::Map{{"match", "*.1.*.o_proj"}, {"options", Value::Map{{"group_size", -1}}}}}}};
  const Component& rtn = QuantizerHost().Find(ComponentKind::kQuantizer, "rtn");
  const Options options = rtn.schema.Resolve(Value(Value::Map{{"bits", 4}, {"group_size", 16}}), "rtn");
  const MadeRecipe made = MakeRecipe(QuantizerHost(), "rtn", options, parts);
  recipe_ = QuantizeRecipeOf(made, parts);
  for (const char* exporter : {"gptq_v2", "compressed_tensors"}) {
    Export(exporter);
    EXPECT_TRUE(Logits(*read_).equal(Logits(*model_))) << exporter;
    const StoredQuantization& stored = read_->summary().stored_quantization.value();
    EXPECT_DOUBLE_EQ(stored.bits, quantized_.bits_requested) << exporter;
    EXPECT_DOUBLE_EQ(stored.bits_per_weight, quantized_.bits_effective) << exporter;
  }
  Export("gptq_v2");
  EXPECT_EQ(Config().Find("bits")->AsInt(), 4);
  EXPECT_EQ(Config().Find("group_size")->AsInt(), 16);
  const Value::Map eight = {{"bits", 8}, {"group_size", 32}, {"sym", false}}, row = {{"bits", 4}, {"group_size", -1}, {"sym", false}};
  EXPECT_EQ(*Config().Find("dynamic"), Value(Value::Map{{"-:^model\\.layers\\.0\\.mlp\\.gate_proj$", Value::Map{}},
                                                        {"+:^model\\.layers\\.1\\.self_attn\\.o_proj$", row},
                                                        {"+:^model\\.layers\\.1\\.mlp\\.down_proj$", eight}}));
}

TEST_F(SkippedLayers, RoundedEmbeddingsAreWrittenAsPlainWeightsAlone) {
  recipe_.embeddings = TableGrid{.rule = {.bits = 3}, .group_size = 16};
  Export("dense");
  EXPECT_TRUE(read_->table(0).equal(quantized_.layers[0].linear.Dequantize()));
  EXPECT_TRUE(Logits(*read_).equal(Logits(*model_)));
  for (const char* exporter : {"gptq_v2", "compressed_tensors"}) {
    EXPECT_EQ(MakeExporter(exporter, {})->ExplainUnsupported(Exported()),
              std::string("model.embed_tokens: the input embedding is quantized, which ") +
                  (std::string(exporter) == "gptq_v2" ? "the format cannot say" : "this exporter does not write") +
                  ". Use exporter dense, or leave embeddings out.")
        << exporter;
  }
}

}  // namespace
}  // namespace bitlaw
