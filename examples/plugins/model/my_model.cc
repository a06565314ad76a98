#include "my_model.h"

#include <memory>

#include "bitlaw/api/plugin.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::ModelBackend>(
      {"my_model", "A small Llama with random weights.", /*source=*/""}, MyModel::Schema(),
      [](const bitlaw::Options& options) { return std::make_unique<MyModel>(options); });
}

}  // namespace

BITLAW_PLUGIN("local.my_model", "0.1.0", "Apache-2.0", "A model: my_model.", Register)
