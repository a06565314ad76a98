// GGUF files of every class that the exporter writes, read back: rotary settings, places of norms, orders of rows.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <set>

#include "bitlaw/sdk/checkpoint/gguf_file.h"
#include "quantize/quantize_model.h"
#include "support/exporters.h"
#include "support/fixture_study.h"
#include "support/models.h"
#include "support/quantizers.h"
#include "support/seeded_checkpoint.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

class GgufClasses : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "to");
    quantizer_ = MakeQuantizer("rtn", {{"bits", 4}, {"group_size", 32}, {"symmetric", true}});
    recipe_.quantizer = quantizer_.get();
    recipe_.skips = [](std::string_view layer) { return layer.ends_with("down_proj"); };  // Rows of 48 fill no blocks.
  }

  static at::Tensor Logits(Model& model) {
    const at::NoGradGuard no_grad;
    return model.Logits(model.Forward(at::arange(60).mul(7).remainder(250).view({1, 60}), {}));
  }
  // Exports what the recipe makes of `from`, and expects the file to give the same logits.
  fs::path ExpectReadBack(const char* backend, const fs::path& from) {
    const auto model = MakeModelBackend(backend)->Open(from, {Dtype::kFloat32, "cpu"});
    const QuantizedModel quantized = QuantizeModel(*model, recipe_, nullptr);
    std::vector<ExportLayer> layers;
    for (const QuantizedLayer& layer : quantized.layers) layers.push_back({layer.shape, layer.linear});
    std::vector<ExportWeight> others;
    for (const auto* weights : {&quantized.other_weights, &quantized.model_weights}) {
      for (const auto& [name, weight] : *weights) others.push_back({name, weight});
    }
    const fs::path to = folder_ / ("to" + std::to_string(++exports_));
    fs::create_directories(to);
    MakeExporter("gguf")->Export(from, {model->summary(), layers, others}, to);
    const fs::path file = to / (model->summary().name + ".gguf");
    const auto read = MakeModelBackend("gguf")->Open(file, {Dtype::kFloat32, "cpu"});
    EXPECT_LT((Logits(*read) - Logits(*model)).abs().max().item<double>(), 1e-4);
    return file;
  }

  const ScratchFolder temporary_;
  const fs::path folder_ = temporary_.path();
  std::unique_ptr<Quantizer> quantizer_;
  QuantizeRecipe recipe_;
  int exports_ = 0;
};

TEST_F(GgufClasses, GiveTheLogitsThatWereEvaluated) {
  for (const char* name : {"llama_linear", "smollm3", "olmo2"}) {
    SCOPED_TRACE(name);
    nlohmann::json golden = ArchitectureGolden(name);
    auto& config = golden["config"];
    config["rope_parameters"]["rope_theta"] = 500.0;
    if (name == std::string("smollm3")) {  // The blocks that llama.cpp fixes.
      config["no_rope_layer_interval"] = 4;
      config["no_rope_layers"] = {1, 1, 1, 0};
    }
    WriteSeededCheckpoint(golden, folder_ / name);
    const GgufFile file(ExpectReadBack("hf", folder_ / name));
    std::set<std::string> tensors;
    for (const GgufTensor& tensor : file.tensors()) tensors.insert(tensor.name);
    const bool is_after = name == std::string("olmo2");  // What attention and feed-forward give is normalized there.
    EXPECT_EQ(tensors.count("blk.0.post_attention_norm.weight"), is_after ? 1U : 0U);
    EXPECT_EQ(tensors.count("blk.0.ffn_norm.weight"), is_after ? 0U : 1U);
  }
}

TEST_F(GgufClasses, HaveNoTypeOfAnotherMiddle) {
  QuantizedLinear layer = PlacedLayer(32, 64, 32, 4, true);
  layer.zeros.add_(1);
  const LinearShape shape{"model.layers.0.mlp.down_proj", 0, 64, 32};
  const ModelSummary summary;
  const ExportLayer layers[] = {{shape, layer}};
  EXPECT_EQ(MakeExporter("gguf")->ExplainUnsupported({summary, layers}),
            "model.layers.0.mlp.down_proj: it is symmetric around another code than the middle one, which no type of "
            "GGUF says.");
}

// The golden's scaling is of the third Llama: some frequencies slow down by 8, some stay, some lie between.
TEST_F(GgufClasses, DivideFrequenciesAsTheThirdLlamaDoes) {
  nlohmann::json golden = ArchitectureGolden("llama_linear");
  golden["config"]["rope_parameters"] = {{"rope_type", "llama3"},       {"rope_theta", 10000.0},
                                         {"factor", 8.0},               {"low_freq_factor", 1.0},
                                         {"high_freq_factor", 4.0},     {"original_max_position_embeddings", 64}};
  WriteSeededCheckpoint(golden, folder_ / "llama3");
  ExpectReadBack("hf", folder_ / "llama3");
}

// A tied pair that a rotation untied, of a folder and of a file that was made of it.
TEST_F(GgufClasses, HaveTheHeadThatARotationUntied) {
  nlohmann::json golden = ArchitectureGolden("llama_linear"), tensors = nlohmann::json::array();
  golden["config"]["tie_word_embeddings"] = true;
  for (const nlohmann::json& tensor : golden["tensors"]) {
    if (tensor[0] != "lm_head.weight") tensors.push_back(tensor);
  }
  golden["tensors"] = tensors;
  WriteSeededCheckpoint(golden, folder_ / "tied");
  const fs::path file = ExpectReadBack("hf", folder_ / "tied");
  const auto rotation = MakeTransform("rotation", {{"down_inputs", false}});
  recipe_.transforms = {rotation.get()};
  ExpectReadBack("hf", folder_ / "tied");
  ExpectReadBack("gguf", file);
}

}  // namespace
}  // namespace bitlaw
