#include <memory>

#include "bitlaw/api/plugin.h"
#include "bitlaw/sdk/grids/nvfp4_grid.h"

namespace {

void RegisterNvfp4(bitlaw::Registrar& registrar) {
  bitlaw::OptionSchema schema;
  schema.Choice("tensor_scale", {"site", "layer"})
      .Default("site")
      .Doc("What shares the scale d = 448 * 6 / max |W|: site: all layers that read one input (q, k and v; gate and up), as "
           "in llm-compressor, for readers that compute those as one (vLLM); layer: each has its own.");
  bitlaw::AddRangeSearchOptions(schema);
  registrar.Add<bitlaw::WeightGrid>(
      {"nvfp4", "Blocks of 16 four-bit floating-point numbers (E2M1) with an E4M3 scale, and a scale of the tensor.",
       "NVIDIA's NVFP4, as compressed-tensors computes it"},
      schema, [](const bitlaw::Options& options) {
        return std::make_unique<bitlaw::Nvfp4Grid>(0.0F, bitlaw::RangeSearchFrom(options),
                                                   options.String("tensor_scale") == "site");
      });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.grid.nvfp4", "1.0.0", "Apache-2.0", "NVFP4.", RegisterNvfp4)
