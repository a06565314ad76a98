#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Cb calibration sequences of T tokens each.
struct BITLAW_EXPORT TokenSequences {
  int64_t count = 0;         ///< Cb
  int64_t length_tokens = 0; ///< T
  std::vector<int32_t> ids;  ///< [Cb * T], sequence after sequence.

  std::span<const int32_t> sequence(int64_t i) const {
    return {ids.data() + i * length_tokens, static_cast<size_t>(length_tokens)};
  }
  /// Over count, length and ids: the calibration identity of a record.
  std::string digest() const;
};

/// The model that is to be calibrated, before anything of it is quantized: what a corpus may ask of it.
class BITLAW_EXPORT TextModel {
 public:
  virtual ~TextModel() = default;

  virtual const Tokenizer& tokenizer() const = 0;

  /// The next token of prompt number `sequence`, which goes on as `ids` so far, from logits [V] float32.
  using Choose = std::function<int32_t(int64_t sequence, std::span<const int32_t> ids, std::span<const float> logits)>;

  /// Continues each of `prompts` (one token or more, all of one length) until it has `length_tokens`, and returns them
  /// with their continuations. Nothing ends a sequence early. What becomes of a prompt does not depend on those behind it,
  /// so that more prompts add sequences and change none.
  virtual TokenSequences Continue(const TokenSequences& prompts, int64_t length_tokens, const Choose& choose) = 0;
};

/// Calibration text.
class BITLAW_EXPORT Corpus {
 public:
  virtual ~Corpus() = default;

  /// `count` sequences of `length_tokens` ids, drawn with `seed`.
  ///
  /// Prefix rule: for the same tokenizer, length and seed, the sequences of a smaller count are the first of a
  /// larger one, so that a sweep over Cb adds data and changes none.
  /// Errors: Error(kIo) for missing or malformed files; Error(kSpec) when the text is too short, with the
  /// number of sequences that it can give.
  virtual TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length_tokens,
                              uint64_t seed) const = 0;

  /// Whether sequences are made by the model: then Generate() is called in place of Draw().
  virtual bool asks_model() const { return false; }
  /// As Draw(), by a corpus that asks the model. Same model, device and threads: same ids.
  virtual TokenSequences Generate(TextModel& model, int64_t count, int64_t length_tokens, uint64_t seed) const {
    return Draw(model.tokenizer(), count, length_tokens, seed);
  }

  /// The corpora of the study that this one is made of, by their names; none for a corpus that has its own text.
  virtual std::vector<std::string> part_names() const { return {}; }
  /// Gives those corpora, in the order of part_names(). Called once, before anything but part_names().
  virtual void TakeParts(std::vector<std::shared_ptr<const Corpus>> /*parts*/) {
    throw InternalError("a corpus of no parts was given parts");
  }
  /// Digest of the text itself, for a plan, where no tokenizer is open.
  virtual std::string digest() const = 0;

  /// What distinguishes trials that calibrate on this text, beside its name, Cb and T, which the framework fills in.
  virtual std::vector<Factor> factors() const { return {}; }
};

}  // namespace bitlaw
