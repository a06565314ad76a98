#include "multiple_choice.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Task>({"multiple_choice", "Picks the most likely of several answers.", "lm-evaluation-harness 0.4.13, multiple_choice"}, bitlaw::MultipleChoice::Schema(),
                    [](const bitlaw::Options& options, const bitlaw::TaskContext& context) {
                      return std::make_unique<bitlaw::MultipleChoice>(options, context);
                    });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.multiple_choice", "1.0.0", "Apache-2.0", "Picks the most likely of several answers.", Register)
