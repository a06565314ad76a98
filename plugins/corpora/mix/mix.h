#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/option_schema.h"

namespace bitlaw {

/// Sequences of several corpora of the study, by weights; see README.md.
///
/// Errors   Error(kSpec) for fewer than one weight above 0, and what the parts throw, with their names.
/// Threads  Const calls are safe from several threads if those of the parts are.
class MixCorpus : public Corpus {
 public:
  static OptionSchema Schema();
  explicit MixCorpus(const Options& options);

  TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length_tokens, uint64_t seed) const override;
  bool asks_model() const override;
  TokenSequences Generate(TextModel& model, int64_t count, int64_t length_tokens, uint64_t seed) const override;

  std::vector<std::string> part_names() const override;
  void TakeParts(std::vector<std::shared_ptr<const Corpus>> parts) override;

  /// Over the parts' digests and weights.
  std::string digest() const override;
  std::vector<Factor> factors() const override;

  /// Of which part sequences 0 .. count - 1 are: the one that is furthest behind its share, the first of equals.
  std::vector<size_t> Order(int64_t count) const;

 private:
  struct Part {
    std::string name;
    double weight = 0;
    std::shared_ptr<const Corpus> corpus;
  };
  using DrawPart = std::function<TokenSequences(const Corpus& corpus, int64_t count)>;
  TokenSequences Mixed(int64_t count, int64_t length_tokens, const DrawPart& draw) const;

  std::vector<Part> parts_;
};

}  // namespace bitlaw
