#include "bitlaw/testing/corpus_conformance.h"

#include <algorithm>

#include "bitlaw/base/error.h"
#include "testing/fault_list.h"

namespace bitlaw::testing {
namespace {

/// A language model that every corpus can ask: logits [V] follow from the last two tokens by a fixed hash.
class HashedTextModel final : public TextModel {
 public:
  explicit HashedTextModel(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  const Tokenizer& tokenizer() const override { return tokenizer_; }
  TokenSequences Continue(const TokenSequences& prompts, int64_t length_tokens, const Choose& choose) override {
    TokenSequences all{prompts.count, length_tokens, {}};
    std::vector<float> logits(static_cast<size_t>(tokenizer_.vocab_size()));
    for (int64_t i = 0; i < prompts.count; ++i) {
      const auto prompt = prompts.sequence(i);
      std::vector<int32_t> ids(prompt.begin(), prompt.end());
      while (static_cast<int64_t>(ids.size()) < length_tokens) {
        const auto last = static_cast<uint64_t>(ids.back());
        const auto before = static_cast<uint64_t>(ids.size() > 1 ? ids[ids.size() - 2] : 0);
        for (size_t v = 0; v < logits.size(); ++v) {
          uint64_t z = (last * 0x9E3779B97F4A7C15u) ^ (before * 0xC2B2AE3D27D4EB4Fu) ^ (v * 0x94D049BB133111EBu);
          z = (z ^ (z >> 29)) * 0xBF58476D1CE4E5B9u;
          logits[v] = static_cast<float>(z >> 40) * 0x1p-22F - 2.0F;
        }
        ids.push_back(choose(i, ids, logits));
      }
      all.ids.insert(all.ids.end(), ids.begin(), ids.end());
    }
    return all;
  }

 private:
  const Tokenizer& tokenizer_;
};

}  // namespace

std::vector<std::string> CorpusFaults(const std::function<std::unique_ptr<Corpus>()>& make,
                                      const std::string& name, const Tokenizer& tokenizer,
                                      const CorpusTrial& trial) {
  FaultList fault("corpus '" + name + "'");
  const std::unique_ptr<Corpus> corpus = make(), other = make();
  const std::string digest = corpus->digest();
  if (digest.empty()) fault("its digest is empty, so that records of different texts would have one name.");
  if (other->digest() != digest) fault("another object has another digest.");
  for (const Factor& factor : corpus->factors()) {
    if (const std::string why = ExplainFactor(factor); !why.empty()) fault("factor '" + factor.column + "': " + why);
  }

  const int64_t count = std::max<int64_t>(trial.sequences, 2), length = trial.length_tokens;
  HashedTextModel model(tokenizer);
  const auto draw = [&](const Corpus& from, int64_t sequences, uint64_t seed) {
    return from.asks_model() ? from.Generate(model, sequences, length, seed)
                             : from.Draw(tokenizer, sequences, length, seed);
  };
  try {
    const TokenSequences all = draw(*corpus, count, 7);
    if (all.count != count || all.length_tokens != length ||
        all.ids.size() != static_cast<size_t>(count) * static_cast<size_t>(length)) {
      fault("asked for " + std::to_string(count) + " sequences of " + std::to_string(length) + " tokens, it gave " +
            std::to_string(all.count) + " of " + std::to_string(all.length_tokens) + " with " +
            std::to_string(all.ids.size()) + " ids.");
      return fault.all();
    }
    for (const int32_t id : all.ids) {
      if (id >= 0 && id < tokenizer.vocab_size()) continue;
      fault("it gave the id " + std::to_string(id) + ", and the tokenizer has " +
            std::to_string(tokenizer.vocab_size()) + ".");
      break;
    }
    for (const int64_t fewer : {int64_t{1}, count - 1}) {
      const TokenSequences first = draw(*corpus, fewer, 7);
      if (first.ids.size() != static_cast<size_t>(fewer * length) ||
          !std::equal(first.ids.begin(), first.ids.end(), all.ids.begin())) {
        fault("its first " + std::to_string(fewer) + " of " + std::to_string(count) +
              " sequences are others when only " + std::to_string(fewer) + " are drawn.");
      }
    }
    if (draw(*corpus, count, 7).ids != all.ids) fault("it gives other sequences the second time.");
    if (draw(*other, count, 7).ids != all.ids) fault("another object gives other sequences.");
    if (trial.uses_seed && draw(*corpus, count, 8).ids == all.ids) fault("another seed gives the same sequences.");
    if (corpus->digest() != digest) fault("its digest changes when sequences are drawn.");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kIo && error.kind() != ErrorKind::kSpec) {
      fault("it throws '" + std::string(error.what()) + "' as an error that is neither kIo nor kSpec.");
    } else {
      fault("it cannot be tried: " + std::string(error.what()));
    }
  } catch (const std::exception& error) {
    fault("it throws '" + std::string(error.what()) + "', which is no bitlaw::Error.");
  }
  return fault.all();
}

}  // namespace bitlaw::testing
