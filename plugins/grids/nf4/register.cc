#include <memory>

#include "bitlaw/api/plugin.h"
#include "bitlaw/sdk/grids/grid_options.h"
#include "nf4.h"

namespace {

void RegisterNf4(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::WeightGrid>({"nf4", "Sixteen levels at quantiles of a normal distribution, scaled by max |w|.",
                                     "Dettmers et al. 2023, arXiv:2305.14314"},
                                    bitlaw::Nf4Grid::Schema(), [](const bitlaw::Options& options) {
                                      return std::make_unique<bitlaw::Nf4Grid>(bitlaw::ScaleDtypeFrom(options),
                                                                               bitlaw::RangeSearchFrom(options));
                                    });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.nf4", "1.0.0", "Apache-2.0", "NormalFloat4.", RegisterNf4)
