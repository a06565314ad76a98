#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/tokenizer.h"
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

  /// Digest of the text itself, for a plan, where no tokenizer is open.
  virtual std::string digest() const = 0;

  /// What distinguishes trials that calibrate on this text, beside its name, Cb and T, which the framework fills in.
  virtual std::vector<Factor> factors() const { return {}; }
};

}  // namespace bitlaw
