// One layer as exporters pack it, byte for byte what public programs make of it: make_goldens.py says which and how.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/digest.h"
#include "support/exporters.h"
#include "support/tiny_checkpoint.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Exports gate_proj of a tiny checkpoint as the goldens' layer and compares each tensor that the golden names.
void Compare(const std::string& exporter, int bits, const json& golden) {
  SCOPED_TRACE(exporter + " " + std::to_string(bits));
  const fs::path folder = fs::path(testing::TempDir()) / ("bitlaw_export_" + exporter + std::to_string(bits));
  fs::remove_all(folder);
  WriteTinyCheckpoint(folder / "from", {.hidden = 96, .blocks = 1, .mlp = 64});
  fs::create_directories(folder / "to");
  const LinearShape shape{"model.layers.0.mlp.gate_proj", 0, 96, 64};
  const QuantizedLinear layer = PlacedLayer(64, 96, 32, bits, false);
  layer.Validate(shape);
  const ModelSummary summary;
  const std::vector<ExportLayer> layers = {{shape, layer}};
  MakeExporter(exporter)->Export(folder / "from", {summary, layers}, folder / "to");
  const StoredTensors stored(folder / "to" / "model.safetensors");
  for (const auto& [name, card] : golden.items()) {
    const std::string full = shape.name + "." + name;
    ASSERT_EQ(stored.entries().count(full), 1u) << full;
    EXPECT_EQ(stored.entries().at(full).shape, card["shape"].get<std::vector<int64_t>>()) << full;
    EXPECT_EQ(DigestOf(stored.Bytes(full)), card["sha256"]) << full;
  }
  fs::remove_all(folder);
}

TEST(ExportParity, PacksAsPublicProgramsDo) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/export/goldens.json");
  const json goldens = json::parse(file);
  size_t compared = 0;
  for (const std::string exporter : {"compressed_tensors", "gptq_v2"}) {
    for (const auto& [bits, golden] : goldens[exporter].items()) {
      Compare(exporter, std::stoi(bits), golden);
      ++compared;
    }
  }
  EXPECT_EQ(compared, 11u);
}

}  // namespace
}  // namespace bitlaw
