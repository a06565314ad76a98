#include "mix.h"

#include <algorithm>
#include <utility>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// 0.75, 3: the shortest text of a weight.
std::string Text(double weight) { return Value(weight).Text(); }

}  // namespace

OptionSchema MixCorpus::Schema() {
  OptionSchema part;
  part.Real("weight").Min(0).Default(1.0).Doc("The part's share of the sequences, divided by the sum of all weights.");
  OptionSchema schema;
  schema.GroupMap("parts", part).MinItems(1).Doc("Corpora of the study, by their names.");
  return schema;
}

MixCorpus::MixCorpus(const Options& options) {
  double sum = 0;
  for (const auto& [name, part] : options.GroupMap("parts")) {
    parts_.push_back({name, part.Real("weight"), nullptr});
    sum += parts_.back().weight;
  }
  if (!(sum > 0)) {
    const std::string mark = options.Raw("parts").mark().Text();
    throw Error(ErrorKind::kSpec, (mark.empty() ? "corpus 'mix'" : mark) +
                                      ": no part has a weight above 0, so that no sequence has a source.");
  }
  for (Part& part : parts_) part.weight /= sum;
}

std::vector<std::string> MixCorpus::part_names() const {
  std::vector<std::string> names;
  for (const Part& part : parts_) names.push_back(part.name);
  return names;
}

void MixCorpus::TakeParts(std::vector<std::shared_ptr<const Corpus>> parts) {
  if (parts.size() != parts_.size()) throw InternalError("a mixture was given another number of parts than it named");
  for (size_t p = 0; p < parts_.size(); ++p) parts_[p].corpus = std::move(parts[p]);
}

std::vector<size_t> MixCorpus::Order(int64_t count) const {
  std::vector<size_t> order;
  std::vector<int64_t> taken(parts_.size(), 0);
  for (int64_t i = 1; i <= count; ++i) {
    size_t next = 0;
    double most = -1;
    for (size_t p = 0; p < parts_.size(); ++p) {
      if (parts_[p].weight == 0) continue;
      const double behind = parts_[p].weight * static_cast<double>(i) - static_cast<double>(taken[p]);
      if (behind > most) {
        most = behind;
        next = p;
      }
    }
    ++taken[next];
    order.push_back(next);
  }
  return order;
}

TokenSequences MixCorpus::Mixed(int64_t count, int64_t length_tokens, const DrawPart& draw) const {
  const std::vector<size_t> order = Order(count);
  std::vector<TokenSequences> drawn(parts_.size());
  for (size_t p = 0; p < parts_.size(); ++p) {
    const int64_t wanted = std::count(order.begin(), order.end(), p);
    if (wanted == 0) continue;
    try {
      drawn[p] = draw(*parts_[p].corpus, wanted);
    } catch (const Error& error) {
      throw Error(error.kind(), "part '" + parts_[p].name + "': " + error.what());
    }
  }
  TokenSequences mixed;
  mixed.count = count;
  mixed.length_tokens = length_tokens;
  std::vector<int64_t> next(parts_.size(), 0);
  for (const size_t p : order) {
    const auto ids = drawn[p].sequence(next[p]++);
    mixed.ids.insert(mixed.ids.end(), ids.begin(), ids.end());
  }
  return mixed;
}

TokenSequences MixCorpus::Draw(const Tokenizer& tokenizer, int64_t count, int64_t length_tokens, uint64_t seed) const {
  return Mixed(count, length_tokens,
               [&](const Corpus& corpus, int64_t n) { return corpus.Draw(tokenizer, n, length_tokens, seed); });
}

bool MixCorpus::asks_model() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return part.weight > 0 && part.corpus->asks_model(); });
}

TokenSequences MixCorpus::Generate(TextModel& model, int64_t count, int64_t length_tokens, uint64_t seed) const {
  return Mixed(count, length_tokens,
               [&](const Corpus& corpus, int64_t n) { return corpus.Generate(model, n, length_tokens, seed); });
}

std::string MixCorpus::digest() const {
  std::string all = "corpus/mix 1\n";
  for (const Part& part : parts_) all += part.corpus->digest() + " " + Text(part.weight) + "\n";
  return DigestOf(all);
}

std::vector<Factor> MixCorpus::factors() const {
  std::string text;
  for (const Part& part : parts_) text += (text.empty() ? "" : " + ") + Text(part.weight) + " " + part.name;
  Factor factor;
  factor.column = "mix";
  factor.doc = "Shares of the corpora that calibration sequences come from.";
  factor.role = FactorRole::kCalibration;
  factor.value = text;
  return {factor};
}

}  // namespace bitlaw
