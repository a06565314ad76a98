#include "my_law.h"

#include "bitlaw/api/plugin.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Law>({"my_law", "What a model loses, plus what rounding adds.", /*source=*/""}, MyLawOptions(),
                             MakeMyLaw);
}

}  // namespace

BITLAW_PLUGIN("local.my_law", "0.1.0", "Apache-2.0", "A law: my_law.", Register)
