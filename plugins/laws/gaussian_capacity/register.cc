#include "bitlaw/api/plugin.h"
#include "gaussian_capacity_law.h"

namespace {

void RegisterGaussianCapacity(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Law>({"gaussian_capacity", "Bits as a share of parameters, by the error of a normal weight.", ""},
                   bitlaw::OptionSchema(), [](const std::string& name, const bitlaw::Options&) {
                     return bitlaw::MakeGaussianCapacityLaw(name);
                   });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.gaussian_capacity", "1.0.0", "Apache-2.0", "Quantization as a loss of parameters.",
              RegisterGaussianCapacity)
