#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"
#include "plugin/host.h"

namespace bitlaw {

/// A corpus that others may name.
struct NamedCorpus {
  std::string name, component;
  const Options* options = nullptr;
};

/// Opens the corpus of this name with the parts that it names, and theirs. InternalError for a name that is none of
/// `corpora`; Error(kSpec) for a part that is none of them, or that the corpus is itself a part of.
BITLAW_EXPORT std::unique_ptr<Corpus> OpenCorpus(const PluginHost& host, const std::vector<NamedCorpus>& corpora,
                                                 const std::string& name);

}  // namespace bitlaw
