#include <memory>

#include "bitlaw/api/plugin.h"
#include "gguf.h"

namespace {

void RegisterGgufExporter(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Exporter>(
      {"gguf", "A GGUF file as llama.cpp opens it.", "https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"},
      bitlaw::GgufExporter::Schema(),
      [](const bitlaw::Options& options) { return std::make_unique<bitlaw::GgufExporter>(options); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.exporter.gguf", "1.0.0", "Apache-2.0", "GGUF files.", RegisterGgufExporter)
