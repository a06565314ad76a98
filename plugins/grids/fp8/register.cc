#include <memory>

#include "bitlaw/api/plugin.h"
#include "fp8.h"

namespace {

void RegisterFp8(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::WeightGrid>(
      {"fp8", "Eight-bit floating-point numbers (E4M3, E5M2) with a scale a group, row or tensor.",
       "OCP 8-bit Floating Point Specification (OFP8) v1.0; arXiv:2209.05433"},
      bitlaw::Fp8Grid::Schema(), [](const bitlaw::Options& options) {
        return std::make_unique<bitlaw::Fp8Grid>(bitlaw::Fp8Grid::RuleFrom(options));
      });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.grid.fp8", "1.0.0", "Apache-2.0", "FP8 with real scales.", RegisterFp8)
