#include <memory>

#include "bitlaw/api/plugin.h"
#include "hqq.h"

namespace {

void RegisterHqq(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Quantizer>(
      {"hqq", "Integers with real-valued zero points that make the p-norm of the weights' errors small; no calibration.",
       "Badri and Shaji 2023, Half-Quadratic Quantization of Large Machine Learning Models"},
      bitlaw::HqqSettings::Schema(), [](const bitlaw::Options& options) {
        return std::make_unique<bitlaw::HqqQuantizer>(bitlaw::HqqSettings::From(options));
      });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.hqq", "1.0.0", "Apache-2.0", "Half-Quadratic Quantization.", RegisterHqq)
