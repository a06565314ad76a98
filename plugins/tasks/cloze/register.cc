#include "cloze.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Task>({"cloze", "Scores the one right continuation of a text.", "lm-evaluation-harness 0.4.13, loglikelihood"}, bitlaw::Cloze::Schema(),
                    [](const bitlaw::Options& options, const bitlaw::TaskContext& context) {
                      return std::make_unique<bitlaw::Cloze>(options, context);
                    });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.cloze", "1.0.0", "Apache-2.0", "Scores the one right continuation of a text.", Register)
