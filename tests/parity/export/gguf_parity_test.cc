// A GGUF export as the public gguf package and transformers read it: make_gguf.py says how.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "bitlaw/base/digest.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "support/exporters.h"
#include "support/models.h"
#include "support/tiny_checkpoint.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

// E2M1 in blocks of 32 with powers of two.
QuantizedLinear PlacedMxfp4(int64_t rows, int64_t columns) {
  const std::span<const float> levels = LevelsOf(FloatFormat::kE2M1);
  QuantizedLinear q = PlacedLayer(rows, columns, 32, 4, true);
  q.levels = at::tensor(at::ArrayRef<float>(levels.data(), levels.size()));
  q.codes.remainder_(15);
  q.zeros.zero_();
  q.scales = at::pow(2.0, -4 - at::arange(q.scales.numel()).remainder(3).view(q.scales.sizes())).to(at::kFloat);
  q.scale_dtype = "float8_e8m0fnu";
  return q;
}

struct Layer {
  const char* name;
  const char* gguf_name;
  int64_t rows, columns;
  int bits;
  bool symmetric;
  int64_t heads = 0;  // Whose halves are interleaved.
};

// Every type, in the first of two blocks.
constexpr Layer kLayers[] = {{"self_attn.q_proj", "attn_q", 64, 64, 4, true, 4},
                             {"self_attn.k_proj", "attn_k", 32, 64, 4, false, 2},
                             {"self_attn.v_proj", "attn_v", 32, 64, 5, true},
                             {"self_attn.o_proj", "attn_output", 64, 64, 5, false},
                             {"mlp.gate_proj", "ffn_gate", 128, 64, 8, true},
                             {"mlp.down_proj", "ffn_down", 64, 128, 2, true},
                             {"mlp.up_proj", "ffn_up", 128, 64, 0, true}};

// What a public reader makes of the file's tensor.
std::string DigestOfValues(const Layer& layer, const QuantizedLinear& q) {
  at::Tensor values = q.Dequantize();
  if (layer.heads > 0) {
    values = values.view({layer.heads, 2, layer.rows / layer.heads / 2, layer.columns}).transpose(1, 2).contiguous();
  }
  return DigestOf({static_cast<const char*>(values.data_ptr()), values.nbytes()});
}

TEST(GgufParity, PublicReadersSeeWhatCodesSay) {
  const char* const kept = std::getenv("BITLAW_EXPORTS_TO");
  const fs::path folder = (kept != nullptr ? fs::path(kept) : fs::path(testing::TempDir())) / "gguf_parity";
  fs::remove_all(folder);
  WriteTinyCheckpoint(folder / "from", {.hidden = 64, .blocks = 2, .heads = 4, .kv_heads = 2, .mlp = 128});
  fs::create_directories(folder / "to");
  std::vector<LinearShape> shapes;
  std::vector<QuantizedLinear> linears;
  for (const Layer& layer : kLayers) {
    shapes.push_back({std::string("model.layers.0.") + layer.name, 0, layer.columns, layer.rows});
    linears.push_back(layer.bits == 0 ? PlacedMxfp4(layer.rows, layer.columns)
                                      : PlacedLayer(layer.rows, layer.columns, 32, layer.bits, layer.symmetric));
    // Weights like those of the other block.
    linears.back().scales.div_(4);
  }
  std::vector<ExportLayer> layers;
  for (size_t i = 0; i < shapes.size(); ++i) layers.push_back({shapes[i], linears[i]});
  ModelSummary summary;
  summary.name = "parity";
  MakeExporter("gguf")->Export(folder / "from", {summary, layers}, folder / "to");
  if (kept != nullptr) GTEST_SKIP() << "wrote " << folder << " for make_gguf.py";
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/export/gguf.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  std::ifstream written(folder / "to" / "parity.gguf", std::ios::binary);
  EXPECT_EQ(DigestOf(std::string(std::istreambuf_iterator<char>(written), {})), golden["sha256"]);
  for (size_t i = 0; i < shapes.size(); ++i) {
    const std::string name = std::string("blk.0.") + kLayers[i].gguf_name + ".weight";
    EXPECT_EQ(DigestOfValues(kLayers[i], linears[i]), golden["tensors"][name]["sha256"]) << name;
  }
  const at::NoGradGuard no_grad;
  const auto model = MakeModelBackend("gguf")->Open(folder / "to" / "parity.gguf", {Dtype::kFloat32, "cpu"});
  const at::Tensor tokens = at::arange(20, at::kLong).mul(7).remainder(256).view({1, 20});
  const at::Tensor logits = model->Logits(model->Forward(tokens, {})).select(1, 19).flatten();
  EXPECT_LT((logits - at::tensor(golden["logits"].get<std::vector<float>>())).abs().max().item<double>(), 1e-4);
  fs::remove_all(folder);
}

// Gates of 4 bits and downs of 8, scales of expert i i + 1 times those of the first.
TEST(GgufParity, PublicReadersSeeExpertsInOneTensor) {
  const char* const kept = std::getenv("BITLAW_EXPORTS_TO");
  const fs::path folder = (kept != nullptr ? fs::path(kept) : fs::path(testing::TempDir())) / "gguf_experts";
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::vector<LinearShape> shapes;
  std::vector<QuantizedLinear> linears;
  std::map<std::string, std::vector<at::Tensor>> values;
  for (const bool is_gate : {true, false}) {
    const int64_t rows = is_gate ? 160 : 64, columns = is_gate ? 64 : 160;
    for (int i = 0; i < 8; ++i) {
      const std::string name = "model.layers.0.mlp.experts." + std::to_string(i) + (is_gate ? ".gate_proj" : ".down_proj");
      shapes.push_back({name, 0, columns, rows});
      linears.push_back(PlacedLayer(rows, columns, 32, is_gate ? 4 : 8, true));
      linears.back().scales.mul_(i + 1);
      values[is_gate ? "blk.0.ffn_gate_exps.weight" : "blk.0.ffn_down_exps.weight"].push_back(linears.back().Dequantize());
    }
  }
  std::vector<ExportLayer> layers;
  ModelSummary summary;
  summary.name = "experts";
  for (size_t i = 0; i < shapes.size(); ++i) layers.push_back({shapes[i], linears[i]});
  const fs::path source = std::string(BITLAW_SOURCE_DIR) + "/examples/knowledge-lab/models/lab-moe-518k";
  MakeExporter("gguf")->Export(source, {summary, layers}, folder);
  if (kept != nullptr) GTEST_SKIP() << "wrote " << folder << " for make_gguf.py";
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/export/gguf.json");
  const nlohmann::json golden = nlohmann::json::parse(file)["experts"];
  std::ifstream written(folder / "experts.gguf", std::ios::binary);
  EXPECT_EQ(DigestOf(std::string(std::istreambuf_iterator<char>(written), {})), golden["sha256"]);
  for (const auto& [name, experts] : values) {
    const at::Tensor all = at::stack(experts).contiguous();  // [E, C_out, C_in]
    EXPECT_EQ(DigestOf({static_cast<const char*>(all.data_ptr()), all.nbytes()}), golden["tensors"][name]["sha256"]) << name;
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace bitlaw
