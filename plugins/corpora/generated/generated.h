#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/rng.h"

namespace bitlaw {

/// Text that the model itself writes; see README.md.
///
/// Errors   Error(kSpec) for `start: bos` with a tokenizer that has none.
/// Threads  Const calls are safe from several threads.
/// Source   Liu et al. 2023, LLM-QAT, arXiv:2305.17888, section 3.1: a random first token, the next 3 to 5 greedy, the others
///          sampled.
class GeneratedCorpus : public Corpus {
 public:
  static OptionSchema Schema();
  explicit GeneratedCorpus(const Options& options);

  /// InternalError: it has no text without the model.
  TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length_tokens, uint64_t seed) const override;
  bool asks_model() const override { return true; }
  TokenSequences Generate(TextModel& model, int64_t count, int64_t length_tokens, uint64_t seed) const override;
  /// Over the options.
  std::string digest() const override;

  /// The token whose share of exp(logit / temperature) the number `uniform` in [0, 1) falls on, counted from token 0.
  static int32_t Sample(std::span<const float> logits, double temperature, double uniform);

 private:
  std::vector<int32_t> StartTokens(const Tokenizer& tokenizer) const;

  std::string start_, prompt_;
  double temperature_;
  int64_t greedy_tokens_;
};

}  // namespace bitlaw
