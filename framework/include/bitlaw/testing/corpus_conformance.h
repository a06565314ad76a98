#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/corpus.h"
#include "bitlaw/base/export.h"

namespace bitlaw::testing {

/// What a corpus is tried with.
struct CorpusTrial {
  int64_t sequences = 6;       ///< Cb, at least 2.
  int64_t length_tokens = 16;  ///< T
  bool uses_seed = true;       ///< Another seed gives other sequences; false: it always begins at its beginning.
};

/// What a corpus does against the promises of corpus.h, one sentence an entry; empty if it keeps them. `make` makes the
/// corpus afresh, with its parts where it has any.
///
/// Tried: Draw(), or Generate() of a small fixed model where asks_model(): counts, lengths and ids within the
/// vocabulary; the prefix rule; the same ids the second time and from another object; other ids for another seed;
/// errors of the kinds that corpus.h names; a digest that is there and stays the same; factors that can be columns.
BITLAW_EXPORT std::vector<std::string> CorpusFaults(const std::function<std::unique_ptr<Corpus>()>& make,
                                                    const std::string& name, const Tokenizer& tokenizer,
                                                    const CorpusTrial& trial = {});

}  // namespace bitlaw::testing
