#include <memory>

#include "bitlaw/api/plugin.h"
#include "round_off_law.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Law>({"round_off", "Bits and group size act through the round-off noise of a weight.", ""},
                   RoundOffLaw::Schema(), [](const std::string& name, const bitlaw::Options& options) {
                     return std::make_unique<RoundOffLaw>(name, options);
                   });
}

}  // namespace

BITLAW_PLUGIN("example.round_off_law", "1.0.0", "Apache-2.0", "A scaling law in the noise of rounding.", Register)
