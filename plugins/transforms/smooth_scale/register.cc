#include <memory>

#include "bitlaw/api/plugin.h"
#include "smooth_scale.h"

namespace {

void RegisterSmoothScale(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Transform>({"smooth_scale", "Moves outliers of inputs into weights: a scale folded into what makes "
                                                    "the input.",
                                    "Xiao et al. 2022, arXiv:2211.10438"},
                                   bitlaw::SmoothScale::Schema(), [](const bitlaw::Options& options) {
                                     return std::make_unique<bitlaw::SmoothScale>(options.Real("alpha"));
                                   });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.smooth_scale", "1.0.0", "Apache-2.0", "SmoothQuant's scales.", RegisterSmoothScale)
