// The grid `uniform` of a host without the default plugins, which have one of that name. See README.md.
#undef BITLAW_USES_TORCH
#include <memory>

#include "bitlaw/api/plugin.h"
#include "fixture_grid.h"

namespace bitlaw {
namespace {

void RegisterIntegers(Registrar& registrar) {
  OptionSchema integers;
  integers.Int("bits").Range(2, 8).Default(4).Doc("Width of a code.");
  registrar.Add<WeightGrid>({"uniform", "Stands for the integers.", ""}, integers, [](const Options& options) {
    return std::make_unique<FixtureGrid>(options.Int("bits"));
  });
}

}  // namespace
}  // namespace bitlaw

BITLAW_PLUGIN("bitlaw.fixture.integers", "1.0.0", "Apache-2.0", "A grid that only plans, for tests.",
              bitlaw::RegisterIntegers)
