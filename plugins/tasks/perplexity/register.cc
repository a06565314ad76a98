#include "perplexity.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Task>({"perplexity", "Perplexity of a text under a named window convention.", "GPTQ, arXiv:2210.17323; lm-evaluation-harness 0.4.13, loglikelihood_rolling"}, bitlaw::Perplexity::Schema(),
                    [](const bitlaw::Options& options, const bitlaw::TaskContext& context) {
                      return std::make_unique<bitlaw::Perplexity>(options, context);
                    });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.perplexity", "1.0.0", "Apache-2.0", "Perplexity of a text under a named window convention.", Register)
