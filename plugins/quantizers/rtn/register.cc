#include <memory>

#include "bitlaw/api/plugin.h"
#include "rtn.h"

namespace {

void RegisterRtn(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Quantizer>({"rtn", "Rounds every weight to the nearest point of its group's grid.", ""},
                         bitlaw::RtnSettings::Schema(), [](const bitlaw::Options& options) {
                           return std::make_unique<bitlaw::RtnQuantizer>(bitlaw::RtnSettings::From(options));
                         });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.rtn", "1.0.0", "Apache-2.0", "Round to nearest.", RegisterRtn)
