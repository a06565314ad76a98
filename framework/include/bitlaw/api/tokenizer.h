#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Turns text into the token ids of one model, and back.
///
/// Text is UTF-8. Invalid bytes are encoded as U+FFFD, as the public tokenizers library does.
/// Threads: const calls are safe from several threads.
class BITLAW_EXPORT Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of `text`. `add_special_tokens` applies the tokenizer's own template (usually one BOS in front, or
  /// nothing). Special tokens that stand in the text are recognized either way.
  virtual std::vector<int32_t> Encode(std::string_view text, bool add_special_tokens) const = 0;

  /// Text of `ids`; special tokens are left out if `skip_special_tokens`. An id that is no token (a row that pads the
  /// model's matrices, a gap in the vocabulary) has no text.
  virtual std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens) const = 0;

  virtual int64_t vocab_size() const = 0;  ///< Added tokens included.
  virtual std::optional<int32_t> bos_id() const = 0;
  virtual std::optional<int32_t> eos_id() const = 0;
  /// Every id that ends a generation (eos, and end-of-turn where the model has one).
  virtual std::vector<int32_t> stop_ids() const = 0;

  /// The Jinja template with which the model's makers write a conversation; "" where there is none.
  virtual std::string chat_template() const { return ""; }

  /// Digest of everything that determines Encode: vocabulary, merges, patterns, special tokens, template.
  virtual const std::string& digest() const = 0;
};

}  // namespace bitlaw
