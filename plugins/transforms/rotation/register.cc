#include <memory>

#include "bitlaw/api/plugin.h"
#include "rotation.h"

namespace {

void RegisterRotation(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Transform>(
      {"rotation", "Turns the residual stream, heads and inputs of down projections by Hadamard matrices.",
       "Ashkboos et al. 2024, arXiv:2404.00456"},
      bitlaw::RotationTransform::Schema(), [](const bitlaw::Options& options) {
        return std::make_unique<bitlaw::RotationTransform>(bitlaw::RotationTransform::SettingsFrom(options));
      });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.rotation", "1.0.0", "Apache-2.0", "QuaRot's rotations.", RegisterRotation)
