#include <memory>

#include "bitlaw/api/plugin.h"
#include "gptq_v2.h"

namespace {

void RegisterGptqV2(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Exporter>({"gptq_v2", "GPTQ checkpoints as GPTQModel opens them.",
                                   "the files of AutoGPTQ and GPTQModel"},
                                  bitlaw::GptqV2Exporter::Schema(), [](const bitlaw::Options& options) {
                                    return std::make_unique<bitlaw::GptqV2Exporter>(options);
                                  });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.exporter.gptq_v2", "1.0.0", "Apache-2.0", "GPTQ checkpoints.", RegisterGptqV2)
