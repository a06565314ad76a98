// Exports with floating-point weights or rounded inputs as transformers opens them: make_logits.py says how.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/digest.h"
#include "quantize/quantize_model.h"
#include "support/exporters.h"
#include "support/models.h"
#include "support/quantizers.h"
#include "support/tiny_checkpoint.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char* name;
  const char* grid;
  Value::Map options;
  Value group_size;
  std::optional<ActivationGrid> inputs{};
};

std::vector<Case> Cases() {
  const ActivationGrid fp8{.bits = 8, .format = InputFormat::kFp8E4m3};
  const ActivationGrid fp8_static{
      .bits = 8, .per_token = false, .static_scale = 0.0078125, .format = InputFormat::kFp8E4m3};
  ActivationGrid nvfp4{.bits = 4, .format = InputFormat::kNvfp4};
  nvfp4.scale_divisor = 700;
  // Nothing is cut off: readers go down to code -128, and this grid to -127.
  const ActivationGrid int8{.bits = 8, .per_token = false, .static_scale = 0.25};
  ActivationGrid codes{.bits = 8, .symmetric = false, .per_token = false, .static_scale = 0.05};
  codes.static_zero = 120;
  const Value::Map eight = {{"bits", 8}, {"symmetric", true}};
  return {{"fp8_weights", "fp8", {}, "row"},
          {"fp8_weights_groups", "fp8", {}, 32},
          {"fp8_dynamic", "fp8", {}, "row", fp8},
          {"fp8_static", "fp8", {{"scale", "tensor"}}, "row", fp8_static},
          {"nvfp4_weights", "nvfp4", {}, 16},
          {"nvfp4", "nvfp4", {}, 16, nvfp4},
          {"mxfp4_weights", "mxfp4", {}, 32},
          {"mxfp4_fp8", "mxfp4", {}, 32, fp8},
          {"mxfp8_weights", "mxfp8", {}, 32},
          {"int8_static", "uniform", eight, "row", int8},
          {"int8_static_asymmetric", "uniform", eight, "row", codes}};
}

// The logits of the last token.
at::Tensor LastLogits(Model& model) {
  const at::NoGradGuard no_grad;
  const at::Tensor tokens = at::arange(20, at::kLong).mul(7).remainder(256).view({1, 20});
  return model.Logits(model.Forward(tokens, {})).select(1, 19).flatten();
}

// Quantizes the tiny checkpoint, writes it to `to` and gives its logits.
at::Tensor Export(const Case& one, const fs::path& from, const fs::path& to) {
  const auto model = MakeModelBackend("hf")->Open(from, {Dtype::kFloat32, "cpu"});
  const auto quantizer = MakeQuantizer("rtn", {{"group_size", one.group_size}});
  quantizer->TakeGrid(MakeGrid(one.grid, one.options));
  QuantizedModel quantized = QuantizeModel(*model, *quantizer, nullptr, {});
  std::vector<ExportLayer> layers;
  for (QuantizedLayer& layer : quantized.layers) {
    layer.linear.activation = one.inputs;
    layers.push_back({layer.shape, layer.linear});
  }
  for (int64_t i = 0; one.inputs && i < model->summary().num_blocks; ++i) {
    for (int stage = 0; stage < model->block(i).num_stages(); ++stage) {
      for (Linear* linear : model->block(i).stage_linears(stage)) linear->RoundInputs(*one.inputs);
    }
  }
  fs::create_directories(to);
  MakeExporter("compressed_tensors")->Export(from, {model->summary(), layers}, to);
  return LastLogits(*model);
}

std::string DigestOfFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return DigestOf(std::string(std::istreambuf_iterator<char>(file), {}));
}

TEST(LoadedLogits, AreThoseThatTransformersComputes) {
  const char* const kept = std::getenv("BITLAW_EXPORTS_TO");
  const fs::path folder = kept != nullptr ? fs::path(kept) : fs::path(testing::TempDir()) / "bitlaw_loaded_logits";
  if (kept == nullptr) fs::remove_all(folder);
  WriteTinyCheckpoint(folder / "from", {.hidden = 64, .blocks = 2, .mlp = 128});
  nlohmann::json goldens;
  if (kept == nullptr) {
    std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/export/loaded_logits.json");
    goldens = nlohmann::json::parse(file)["cases"];
    EXPECT_EQ(goldens.size(), Cases().size());
  }
  for (const Case& one : Cases()) {
    SCOPED_TRACE(one.name);
    const at::Tensor logits = Export(one, folder / "from", folder / one.name);
    if (kept != nullptr) continue;
    EXPECT_EQ(DigestOfFile(folder / one.name / "model.safetensors"), goldens[one.name]["sha256"]);
    const auto golden = goldens[one.name]["logits"].get<std::vector<float>>();
    ASSERT_EQ(logits.numel(), static_cast<int64_t>(golden.size()));
    EXPECT_LT((logits - at::tensor(golden)).abs().max().item<double>(), 1e-3);
  }
  if (kept != nullptr) GTEST_SKIP() << "wrote exports to " << folder << " for make_logits.py";
  fs::remove_all(folder);
}

}  // namespace
}  // namespace bitlaw
