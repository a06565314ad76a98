#include "bitlaw/api/plugin.h"
#include "formula_law.h"

namespace {

void RegisterFormula(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Law>({"formula", "A law written as a formula in YAML.", ""}, bitlaw::FormulaLaw::Schema(),
                   [](const std::string& name, const bitlaw::Options& options) {
                     return std::make_unique<bitlaw::FormulaLaw>(name, options);
                   });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.formula", "1.0.0", "Apache-2.0", "Laws written as formulas.", RegisterFormula)
