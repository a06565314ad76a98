#include "my_grid.h"

#include <memory>

#include "bitlaw/api/plugin.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::WeightGrid>({"my_grid", "Four levels a group.", /*source=*/""}, MyGrid::Schema(),
                                    [](const bitlaw::Options& options) { return std::make_unique<MyGrid>(options); });
}

}  // namespace

BITLAW_PLUGIN("local.my_grid", "0.1.0", "Apache-2.0", "A grid: my_grid.", Register)
