#include "bitlaw/sdk/checkpoint/stored_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <deque>

#include "support/exporters.h"
#include "support/models.h"
#include "support/seeded_checkpoint.h"
#include "unit/models/file_fixture.h"

// Phi-3 keeps q, k, v in one matrix [(4 + 2 + 2) 8, 32], and gate, up in another [2 48, 32].

namespace bitlaw {
namespace {

class StoredLayersTest : public FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    WriteSeededCheckpoint(ArchitectureGolden("phi3"), folder_ / "from");
    model_ = MakeModelBackend("hf")->Open(folder_ / "from", {});
    for (const LinearShape& shape : model_->summary().linears) {
      linears_.push_back(PlacedLayer(shape.out_features, shape.in_features, 16, 4, true));
      linears_.back().scales.div_(4);  // Values of up to 1.
    }
  }
  ExportModel Layers() {
    layers_.clear();
    for (size_t i = 0; i < linears_.size(); ++i) layers_.push_back({model_->summary().linears[i], linears_[i]});
    return {model_->summary(), layers_};
  }
  StoredTensors Export(const std::string& format, const Value::Map& options = {}) {
    std::filesystem::remove_all(folder_ / "to");
    std::filesystem::create_directories(folder_ / "to");
    MakeExporter(format, options)->Export(folder_ / "from", Layers(), folder_ / "to");
    return StoredTensors(folder_ / "to" / "model.safetensors");
  }

  std::unique_ptr<Model> model_;
  std::deque<QuantizedLinear> linears_;
  std::vector<ExportLayer> layers_;
};

TEST_F(StoredLayersTest, ADenseExportOfProjectionsInOneMatrixIsTheSameModel) {
  const at::Tensor tokens = at::arange(20).view({1, -1});
  for (int64_t b = 0; b < 2; ++b) {
    for (int stage = 0; stage < 4; ++stage) {
      for (Linear* linear : model_->block(b).stage_linears(stage)) {
        for (size_t i = 0; i < linears_.size(); ++i) {
          if (model_->summary().linears[i].name == linear->shape().name) linear->Install(linears_[i]);
        }
      }
    }
  }
  const StoredTensors stored = Export("dense", {{"dtype", "float32"}});
  const StoredTensors before(folder_ / "from" / "model.safetensors");
  std::vector<std::string> names, names_before;
  for (const auto& [name, entry] : stored.entries()) names.push_back(name);
  for (const auto& [name, entry] : before.entries()) names_before.push_back(name);
  EXPECT_EQ(names, names_before);
  const auto exported = MakeModelBackend("hf")->Open(folder_ / "to", {});
  const auto logits = [&](Model& model) { return model.Logits(model.Forward(tokens, {})); };
  EXPECT_TRUE(logits(*exported).equal(logits(*model_)));
}

TEST_F(StoredLayersTest, PackedExportsNameTheStoredMatrix) {
  const StoredTensors packed = Export("compressed_tensors");
  const std::string qkv = "model.layers.1.self_attn.qkv_proj.", gate_up = "model.layers.1.mlp.gate_up_proj.";
  // 8 codes of 4 bits a word, 2 groups of 16.
  EXPECT_EQ(packed.entries().at(qkv + "weight_packed").shape, (std::vector<int64_t>{64, 4}));
  EXPECT_EQ(packed.entries().at(qkv + "weight_scale").shape, (std::vector<int64_t>{64, 2}));
  EXPECT_EQ(packed.entries().at(gate_up + "weight_packed").shape, (std::vector<int64_t>{96, 4}));
  EXPECT_EQ(packed.entries().count("model.layers.1.self_attn.q_proj.weight_packed"), 0u);
  EXPECT_EQ(packed.entries().count(qkv + "weight"), 0u);
  // The rows of q come first, then those of k and v.
  const std::string bytes = packed.Bytes(qkv + "weight_scale");
  EXPECT_EQ(std::memcmp(bytes.data() + 48 * 4, bytes.data(), 16 * 4), 0) << "k's scales are q's first 16 rows again";
  const StoredTensors gptq = Export("gptq_v2");
  EXPECT_EQ(gptq.entries().at(qkv + "qweight").shape, (std::vector<int64_t>{4, 64}));
  EXPECT_EQ(gptq.entries().at(qkv + "scales").shape, (std::vector<int64_t>{2, 64}));
}

TEST_F(StoredLayersTest, ProjectionsThatAreNotAlikeAreRefused) {
  const std::string what = "model.layers.0.self_attn.qkv_proj.weight is one matrix of q_proj, k_proj, v_proj";
  const QuantizedLinear other = PlacedLayer(16, 32, 16, 3, true), kept = linears_[1];
  linears_[1] = other;
  EXPECT_EQ(ErrorText([&] { Export("compressed_tensors"); }),
            what + ", which are not quantized alike. Give them the same bits, groups and inputs.");
  linears_[1] = kept;
  const auto some = [&] {
    Layers();
    std::vector<ExportLayer> rest;  // All but k_proj.
    for (const ExportLayer& layer : layers_) {
      if (!layer.shape.name.ends_with("layers.0.self_attn.k_proj")) rest.push_back(layer);
    }
    StoredLayers(HfFolder(folder_ / "from"), ExportModel{model_->summary(), rest});
  };
  EXPECT_EQ(ErrorText(some),
            what + ", and model.layers.0.self_attn.k_proj is not quantized. Quantize all of them or none.");
}

}  // namespace
}  // namespace bitlaw
