// Rotated weights against llm-compressor's: make_goldens.py says which version, and why this tolerance.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "bitlaw/api/model.h"
#include "bitlaw/base/fingerprint.h"
#include "plugin/host.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

using nlohmann::json;

std::unique_ptr<Model> TinyLlama() {
  static PluginHost* host = [] {
    auto* made = new PluginHost(OwnFingerprint());
    made->LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_model_hf.so");
    return made;
  }();
  const auto backend =
      host->MakeModelBackend("hf", host->Find(ComponentKind::kModel, "hf").schema.Resolve(Value(), "hf"));
  return backend->Open(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/logits/tiny_llama",
                       {.dtype = Dtype::kFloat32, .device = "cpu"});
}

TEST(RotationParity, WeightsAreThoseOfSpinQuantModifier) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/rotation/goldens.json");
  const json goldens = json::parse(file);
  const auto model = TinyLlama();
  // R1, R2 and R4.
  MakeTransform("rotation", {{"residual", true}, {"heads", true}, {"down_inputs", true}, {"signs", "none"}})
      ->ApplyToModel(*model);
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, weight] : model->changed_weights()) weights[name] = weight;
  for (int64_t b = 0; b < model->summary().num_blocks; ++b) {
    Block& block = model->block(b);
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      for (const Linear* linear : block.stage_linears(stage))
        weights[linear->shape().name + ".weight"] = linear->weight();
    }
  }
  ASSERT_EQ(goldens["weights"].size(), 16u);  // Two blocks of seven, the embedding, and the head, which was tied to it.
  for (const auto& [name, rows] : goldens["weights"].items()) {
    ASSERT_TRUE(weights.contains(name)) << name;
    const at::Tensor& weight = weights.at(name);
    for (const auto& [row, at_row] : {std::pair<size_t, int64_t>{0, 0}, {1, 1}, {2, weight.size(0) - 1}}) {
      const at::Tensor expected = at::tensor(rows[row].get<std::vector<float>>());
      const double difference = (weight[at_row] - expected).abs().max().item<double>();
      EXPECT_LE(difference, 1e-6 * weight.abs().max().item<double>()) << name << ", row " << at_row;
    }
  }
}

}  // namespace
}  // namespace bitlaw
