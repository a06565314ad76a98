#include "bitlaw/api/plugin.h"
#include "mix.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Corpus>({"mix", "Sequences of several corpora of the study, by weights.", ""},
                                bitlaw::MixCorpus::Schema(),
                                [](const bitlaw::Options& options) { return std::make_unique<bitlaw::MixCorpus>(options); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.corpus.mix", "1.0.0", "Apache-2.0", "Calibration text of several corpora.", Register)
