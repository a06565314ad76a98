#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/rng.h"

/// Runs of random tokens: each token is repeated `repeats` times, then another one is drawn uniformly.
class MyCorpus final : public bitlaw::Corpus {
 public:
  static bitlaw::OptionSchema Schema() {
    bitlaw::OptionSchema schema;
    schema.Int("repeats").Range(1, 1000).Default(1).Unit("tokens").Doc("How often a token is repeated.");
    return schema;
  }

  explicit MyCorpus(const bitlaw::Options& options) : repeats_(options.Int("repeats")) {}

  bitlaw::TokenSequences Draw(const bitlaw::Tokenizer& tokenizer, int64_t count, int64_t length_tokens,
                              uint64_t seed) const override {
    const bitlaw::Rng all(seed);
    bitlaw::TokenSequences drawn{count, length_tokens, {}};
    for (int64_t i = 0; i < count; ++i) {
      bitlaw::Rng rng = all.Fork(static_cast<uint64_t>(i));  // A sequence does not depend on how many there are.
      int32_t token = 0;
      for (int64_t t = 0; t < length_tokens; ++t) {
        if (t % repeats_ == 0) token = static_cast<int32_t>(rng.Below(static_cast<uint64_t>(tokenizer.vocab_size())));
        drawn.ids.push_back(token);
      }
    }
    return drawn;
  }

  /// Of the text itself. A corpus with files adds theirs (bitlaw::DigestOfFile).
  std::string digest() const override { return bitlaw::DigestOf("my_corpus 1, repeats " + std::to_string(repeats_)); }

  /// A column of observations.csv and a covariate for laws; the corpus's name, Cb and T are there without it.
  std::vector<bitlaw::Factor> factors() const override {
    return {{.column = "repeats",
             .unit = "tokens",
             .doc = "How often a calibration token is repeated.",
             .role = bitlaw::FactorRole::kCalibration,
             .value = repeats_}};
  }

 private:
  int64_t repeats_;
};
