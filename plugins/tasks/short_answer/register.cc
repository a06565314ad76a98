#include "short_answer.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Task>({"short_answer", "Generates a short answer and compares it with the accepted ones.", "lm-evaluation-harness 0.4.13, generate_until with exact_match"}, bitlaw::ShortAnswer::Schema(),
                    [](const bitlaw::Options& options, const bitlaw::TaskContext& context) {
                      return std::make_unique<bitlaw::ShortAnswer>(options, context);
                    });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.short_answer", "1.0.0", "Apache-2.0", "Generates a short answer and compares it with the accepted ones.", Register)
