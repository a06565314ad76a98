#include "bitlaw/api/plugin.h"
#include "generated.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Corpus>({"generated", "Text that the model itself writes.",
                                 "Liu et al. 2023, arXiv:2305.17888 (LLM-QAT), section 3.1"},
                                bitlaw::GeneratedCorpus::Schema(), [](const bitlaw::Options& options) {
                                  return std::make_unique<bitlaw::GeneratedCorpus>(options);
                                });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.corpus.generated", "1.0.0", "Apache-2.0", "Calibration text by the model itself.", Register)
