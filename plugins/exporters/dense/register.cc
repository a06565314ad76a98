#include <memory>

#include "bitlaw/api/plugin.h"
#include "dense.h"

namespace {

void RegisterDense(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Exporter>(
      {"dense", "A Hugging Face folder of plain weights, each as its codes say.", ""}, bitlaw::DenseExporter::Schema(),
      [](const bitlaw::Options& options) { return std::make_unique<bitlaw::DenseExporter>(options); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.exporter.dense", "1.0.0", "Apache-2.0", "Dequantized weights.", RegisterDense)
