#include <memory>

#include "bitlaw/api/plugin.h"
#include "bitlaw/sdk/grids/grid_options.h"

namespace {

void RegisterUniform(bitlaw::Registrar& registrar) {
  bitlaw::OptionSchema schema;
  bitlaw::AddUniformGridOptions(schema);
  registrar.Add<bitlaw::WeightGrid>({"uniform", "2^bits integers with a scale and, unless symmetric, a zero point a group.",
                                     "the grid of Frantar et al. 2022's reference implementation, arXiv:2210.17323"},
                                    schema, [](const bitlaw::Options& options) {
                                      return std::make_unique<bitlaw::UniformGrid>(bitlaw::GridRuleFrom(options));
                                    });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.grid.uniform", "1.0.0", "Apache-2.0", "Integer grids.", RegisterUniform)
