#include "generated.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

OptionSchema GeneratedCorpus::Schema() {
  OptionSchema schema;
  schema.Choice("start", {"random", "bos", "prompt"})
      .Default("random")
      .Doc("What a sequence begins with: a token drawn uniformly from those that are no special ones, the tokenizer's BOS, or "
           "the text of `prompt`.");
  schema.String("prompt").Default("").Doc("The text that each sequence begins with, with start: prompt.");
  schema.Real("temperature").Min(0).Default(1.0).Doc("Logits are divided by it before a token is sampled; 0: the likeliest.");
  schema.Int("greedy_tokens")
      .Min(0)
      .Default(4)
      .Unit("tokens")
      .Doc("So many tokens after the start are the likeliest ones, before sampling begins.");
  return schema;
}

GeneratedCorpus::GeneratedCorpus(const Options& options)
    : start_(options.String("start")),
      prompt_(options.String("prompt")),
      temperature_(options.Real("temperature")),
      greedy_tokens_(options.Int("greedy_tokens")) {
  if ((start_ == "prompt") == prompt_.empty()) {
    const std::string mark = options.Raw("start").mark().Text();
    throw Error(ErrorKind::kSpec, (mark.empty() ? "corpus 'generated'" : mark) + ": start is '" + start_ + "' and prompt is " +
                                      (prompt_.empty() ? "empty" : "'" + prompt_ + "'") +
                                      ". A prompt goes with start: prompt, and only with it.");
  }
}

std::string GeneratedCorpus::digest() const {
  return DigestOf("corpus/generated 1\n" + start_ + "\n" + std::to_string(prompt_.size()) + " " + prompt_ + "\n" +
                  Value(temperature_).CanonicalJson() + "\n" + std::to_string(greedy_tokens_) + "\n");
}

TokenSequences GeneratedCorpus::Draw(const Tokenizer&, int64_t, int64_t, uint64_t) const {
  throw InternalError("corpus 'generated' was asked for text without a model");
}

int32_t GeneratedCorpus::Sample(std::span<const float> logits, double temperature, double uniform) {
  const auto best = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  if (temperature == 0) return best;
  const double most = logits[static_cast<size_t>(best)];
  const auto share = [&](float logit) { return std::exp((logit - most) / temperature); };
  double sum = 0;
  for (const float logit : logits) sum += share(logit);
  double left = uniform * sum;
  for (size_t id = 0; id < logits.size(); ++id) {
    left -= share(logits[id]);
    if (left < 0) return static_cast<int32_t>(id);
  }
  return best;  // The sum rounded up.
}

// What the first token of a sequence is drawn from: tokens that stand for text.
std::vector<int32_t> GeneratedCorpus::StartTokens(const Tokenizer& tokenizer) const {
  std::vector<int32_t> tokens;
  for (int64_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto token = static_cast<int32_t>(id);
    if (!tokenizer.Decode({&token, 1}, /*skip_special_tokens=*/true).empty()) tokens.push_back(token);
  }
  return tokens;
}

TokenSequences GeneratedCorpus::Generate(TextModel& model, int64_t count, int64_t length_tokens, uint64_t seed) const {
  const Tokenizer& tokenizer = model.tokenizer();
  // A generator a sequence: what one draws does not depend on the others.
  const Rng all(seed);
  std::deque<Rng> of_sequence;
  for (int64_t i = 0; i < count; ++i) of_sequence.push_back(all.Fork(static_cast<uint64_t>(i)));
  TokenSequences prompts;
  prompts.count = count;
  if (start_ == "random") {
    const std::vector<int32_t> tokens = StartTokens(tokenizer);
    if (tokens.empty()) throw Error(ErrorKind::kSpec, "start 'random' needs a tokenizer with tokens that stand for text.");
    prompts.length_tokens = 1;
    for (Rng& rng : of_sequence) prompts.ids.push_back(tokens[rng.Below(tokens.size())]);
  } else {
    std::vector<int32_t> ids;
    if (start_ == "prompt") {
      ids = tokenizer.Encode(prompt_, /*add_special_tokens=*/true);
    } else if (tokenizer.bos_id()) {
      ids = {*tokenizer.bos_id()};
    } else {
      throw Error(ErrorKind::kSpec,
                  "start 'bos' needs a tokenizer with a beginning-of-sequence token, and this one has none. Use random or "
                  "prompt.");
    }
    if (static_cast<int64_t>(ids.size()) > length_tokens) ids.resize(static_cast<size_t>(length_tokens));
    prompts.length_tokens = static_cast<int64_t>(ids.size());
    for (int64_t i = 0; i < count; ++i) prompts.ids.insert(prompts.ids.end(), ids.begin(), ids.end());
  }
  const auto sampled_from = static_cast<size_t>(prompts.length_tokens + greedy_tokens_);
  return model.Continue(prompts, length_tokens,
                        [&](int64_t sequence, std::span<const int32_t> ids, std::span<const float> logits) {
                          const bool is_greedy = ids.size() < sampled_from;
                          Rng& rng = of_sequence[static_cast<size_t>(sequence)];
                          return Sample(logits, is_greedy ? 0 : temperature_, is_greedy ? 0 : rng.Uniform());
                        });
}

}  // namespace bitlaw
