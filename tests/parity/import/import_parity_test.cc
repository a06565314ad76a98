// A layer as other programs store it, read as the numbers that they make of it: make_goldens.py says which and how.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/digest.h"
#include "support/exporters.h"
#include "support/models.h"
#include "support/quantized_checkpoint.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

const std::string kGoldens = BITLAW_SOURCE_DIR "/tests/parity/import/";

std::string DigestOfWeight(const fs::path& folder, Dtype dtype) {
  const auto model = MakeModelBackend("hf")->Open(folder, {dtype, "cpu"});
  for (int stage = 0; stage < model->block(0).num_stages(); ++stage) {
    for (const Linear* linear : model->block(0).stage_linears(stage)) {
      if (linear->shape().name != kStoredLayer) continue;
      const at::Tensor weight = linear->weight().contiguous();
      return DigestOf({static_cast<const char*>(weight.data_ptr()), weight.nbytes()});
    }
  }
  return "";
}

TEST(ImportParity, ReadsLayersAsTheProgramsThatStoredThem) {
  std::ifstream file(kGoldens + "goldens.json");
  const nlohmann::json goldens = nlohmann::json::parse(file)["cases"];
  const StoredTensors stored(kGoldens + "goldens.safetensors");
  const fs::path folder = fs::path(testing::TempDir()) / "bitlaw_import_parity";
  for (const auto& [name, golden] : goldens.items()) {
    SCOPED_TRACE(name);
    std::vector<TensorToWrite> tensors;
    for (const auto& part : golden["parts"]) {
      const std::string stored_name = name + "/" + part.get<std::string>();
      const SafetensorsEntry& entry = stored.entries().at(stored_name);
      tensors.push_back({part, entry.dtype, entry.shape, [&stored, stored_name] { return stored.Bytes(stored_name); }});
    }
    WriteQuantizedCheckpoint(folder, ParseJson(golden["quantization_config"].dump(), name), std::move(tensors));
    const Dtype dtype = golden["dtype"] == "bfloat16" ? Dtype::kBFloat16 : Dtype::kFloat32;
    EXPECT_EQ(DigestOfWeight(folder, dtype), golden["sha256"].get<std::string>());
  }
  EXPECT_EQ(goldens.size(), 41u);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace bitlaw
