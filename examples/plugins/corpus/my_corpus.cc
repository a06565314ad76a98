#include "my_corpus.h"

#include <memory>

#include "bitlaw/api/plugin.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Corpus>({"my_corpus", "Runs of random tokens.", /*source=*/""}, MyCorpus::Schema(),
                                [](const bitlaw::Options& options) { return std::make_unique<MyCorpus>(options); });
}

}  // namespace

BITLAW_PLUGIN("local.my_corpus", "0.1.0", "Apache-2.0", "A corpus: my_corpus.", Register)
