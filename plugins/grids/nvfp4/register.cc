#include <memory>

#include "bitlaw/api/plugin.h"
#include "bitlaw/sdk/grids/nvfp4_grid.h"

namespace {

void RegisterNvfp4(bitlaw::Registrar& registrar) {
  bitlaw::OptionSchema schema;
  bitlaw::AddRangeSearchOptions(schema);
  registrar.Add<bitlaw::WeightGrid>(
      {"nvfp4", "Blocks of 16 four-bit floating-point numbers (E2M1) with an E4M3 scale, and a scale of the tensor.",
       "NVIDIA's NVFP4, as compressed-tensors computes it"},
      schema, [](const bitlaw::Options& options) {
        return std::make_unique<bitlaw::Nvfp4Grid>(0.0F, bitlaw::RangeSearchFrom(options));
      });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.grid.nvfp4", "1.0.0", "Apache-2.0", "NVFP4.", RegisterNvfp4)
