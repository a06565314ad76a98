#include "plugin/open_corpus.h"

#include <algorithm>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

const NamedCorpus* Find(const std::vector<NamedCorpus>& corpora, const std::string& name) {
  const auto found = std::find_if(corpora.begin(), corpora.end(), [&](const NamedCorpus& one) { return one.name == name; });
  return found == corpora.end() ? nullptr : &*found;
}

// `within`: the corpora that this one is a part of, from the outermost on.
std::unique_ptr<Corpus> Open(const PluginHost& host, const std::vector<NamedCorpus>& corpora, const NamedCorpus& named,
                             std::vector<std::string> within) {
  auto corpus = host.MakeCorpus(named.component, *named.options);
  const std::vector<std::string> names = corpus->part_names();
  if (names.empty()) return corpus;
  within.push_back(named.name);
  std::vector<std::shared_ptr<const Corpus>> parts;
  for (const std::string& name : names) {
    const NamedCorpus* part = Find(corpora, name);
    if (part == nullptr) {
      std::vector<std::string> known;
      for (const NamedCorpus& one : corpora) known.push_back(one.name);
      throw Error(ErrorKind::kSpec, "its part '" + name + "' is no corpus of the study." + DidYouMean(name, known) +
                                        " Corpora: " + JoinNames(known) + ".");
    }
    if (std::find(within.begin(), within.end(), name) != within.end()) {
      throw Error(ErrorKind::kSpec, "its part '" + name + "' is made of it. A corpus cannot be a part of itself.");
    }
    parts.push_back(Open(host, corpora, *part, within));
  }
  corpus->TakeParts(std::move(parts));
  return corpus;
}

}  // namespace

std::unique_ptr<Corpus> OpenCorpus(const PluginHost& host, const std::vector<NamedCorpus>& corpora, const std::string& name) {
  const NamedCorpus* named = Find(corpora, name);
  if (named == nullptr) throw InternalError("a corpus '" + name + "' was to be opened, which the study lacks");
  return Open(host, corpora, *named, {});
}

}  // namespace bitlaw
