#include <memory>

#include "bitlaw/api/plugin.h"
#include "bitlaw/sdk/grids/mx_grid.h"

namespace {

void RegisterMxfp4(bitlaw::Registrar& registrar) {
  bitlaw::OptionSchema schema;
  bitlaw::MxGrid::AddOptions(schema);
  registrar.Add<bitlaw::WeightGrid>({"mxfp4", "Blocks of 32 four-bit floating-point numbers (E2M1) with a power-of-two scale.",
                                     "OCP Microscaling Formats (MX) Specification v1.0"},
                                    schema, [](const bitlaw::Options& options) {
                                      return std::make_unique<bitlaw::MxGrid>("mxfp4", bitlaw::FloatFormat::kE2M1,
                                                                              bitlaw::MxGrid::ScaleFrom(options),
                                                                              bitlaw::RangeSearchFrom(options));
                                    });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.grid.mxfp4", "1.0.0", "Apache-2.0", "MXFP4.", RegisterMxfp4)
