#include "my_quantizer.h"

#include <memory>

#include "bitlaw/api/plugin.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Quantizer>(
      {"my_quantizer", "Rounds every weight to -s, 0 or s, s its row's mean magnitude.", /*source=*/"arXiv:2402.17764"},
      MyQuantizer::Schema(), [](const bitlaw::Options& options) { return std::make_unique<MyQuantizer>(options); });
}

}  // namespace

BITLAW_PLUGIN("local.my_quantizer", "0.1.0", "Apache-2.0", "A quantizer: my_quantizer.", Register)
