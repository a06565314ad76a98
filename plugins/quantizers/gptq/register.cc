#include <memory>

#include "bitlaw/api/plugin.h"
#include "gptq.h"

namespace {

void RegisterGptq(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Quantizer>({"gptq", "Rounds weights so that a layer's output on calibration data changes least.",
                          "Frantar et al. 2022, arXiv:2210.17323"},
                         bitlaw::GptqSettings::Schema(), [](const bitlaw::Options& options) {
                           return std::make_unique<bitlaw::GptqQuantizer>(bitlaw::GptqSettings::From(options));
                         });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.gptq", "2.0.0", "Apache-2.0", "GPTQ, after its reference implementation.", RegisterGptq)
