#include <memory>

#include "bitlaw/api/plugin.h"
#include "compressed_tensors.h"

namespace {

void RegisterCompressedTensors(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Exporter>(
      {"compressed_tensors", "Checkpoints in the formats of compressed-tensors.",
       "the formats of compressed-tensors"},
      bitlaw::CompressedTensorsExporter::Schema(),
      [](const bitlaw::Options& options) { return std::make_unique<bitlaw::CompressedTensorsExporter>(options); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.exporter.compressed_tensors", "1.0.0", "Apache-2.0", "compressed-tensors checkpoints.",
              RegisterCompressedTensors)
