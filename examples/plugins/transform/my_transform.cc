#include "my_transform.h"

#include <memory>

#include "bitlaw/api/plugin.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Transform>(
      {"my_transform", "The same largest weight in every channel.", /*source=*/""}, MyTransform::Schema(),
      [](const bitlaw::Options& options) { return std::make_unique<MyTransform>(options); });
}

}  // namespace

BITLAW_PLUGIN("local.my_transform", "0.1.0", "Apache-2.0", "A transform: my_transform.", Register)
