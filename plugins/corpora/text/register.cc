#include "bitlaw/api/plugin.h"
#include "text.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Corpus>({"text", "Random windows of a text file, joined or document by document.",
                       "Frantar et al. 2022, arXiv:2210.17323, calibration samplers of the reference code"},
                      bitlaw::TextCorpus::Schema(),
                      [](const bitlaw::Options& options) { return std::make_unique<bitlaw::TextCorpus>(options); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.corpus.text", "1.0.0", "Apache-2.0", "Calibration text from .txt and .jsonl files.", Register)
