#include <memory>

#include "bitlaw/api/plugin.h"
#include "bitlaw/sdk/grids/mx_grid.h"

namespace {

void RegisterMxfp8(bitlaw::Registrar& registrar) {
  bitlaw::OptionSchema schema;
  schema.Choice("format", {"e4m3", "e5m2"}).Default("e4m3").Doc("Exponent and mantissa bits of a weight.");
  bitlaw::MxGrid::AddOptions(schema);
  registrar.Add<bitlaw::WeightGrid>(
      {"mxfp8", "Blocks of 32 eight-bit floating-point numbers (E4M3, E5M2) with a power-of-two scale.",
       "OCP Microscaling Formats (MX) Specification v1.0"},
      schema, [](const bitlaw::Options& options) {
        const auto format =
            options.String("format") == "e5m2" ? bitlaw::FloatFormat::kE5M2 : bitlaw::FloatFormat::kE4M3;
        return std::make_unique<bitlaw::MxGrid>("mxfp8", format, bitlaw::MxGrid::ScaleFrom(options),
                                                bitlaw::RangeSearchFrom(options));
      });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.grid.mxfp8", "1.0.0", "Apache-2.0", "MXFP8.", RegisterMxfp8)
