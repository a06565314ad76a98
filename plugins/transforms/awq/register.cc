#include <memory>

#include "awq.h"
#include "bitlaw/api/plugin.h"

namespace {

void RegisterAwq(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Transform>(
      {"awq", "Scales of inputs, folded into what makes them, with which rounding the weights changes outputs least.",
       "Lin et al. 2023, arXiv:2306.00978"},
      bitlaw::AwqScale::Schema(), [](const bitlaw::Options& options) {
        return std::make_unique<bitlaw::AwqScale>(bitlaw::AwqScale::SettingsFrom(options));
      });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.awq", "1.1.0", "Apache-2.0", "AWQ's scales.", RegisterAwq)
