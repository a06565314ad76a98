#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Turning requests into token ids, by the rules of lm-evaluation-harness 0.4.13 for causal models.

/// The token that stands for "no context": BOS, else EOS. Error(kUnsupported) if the tokenizer has neither.
BITLAW_EXPORT int32_t PrefixToken(const Tokenizer& tokenizer);

/// Ids of `text` with the tokenizer's own template (a BOS in front, if it has one), but without it if the text
/// already starts with the text of the prefix token.
BITLAW_EXPORT std::vector<int32_t> EncodeText(const Tokenizer& tokenizer, std::string_view text);

/// Error(kUnsupported) naming `item`, the id and its token if `ids` has one that the model, with `vocab_size` rows of
/// embeddings, has no row for: a tokenizer may have more entries than its model.
BITLAW_EXPORT void RequireEmbedded(const Tokenizer& tokenizer, std::span<const int32_t> ids, int64_t vocab_size,
                                   std::string_view item);

/// A context and what is scored after it.
struct BITLAW_EXPORT EncodedPair {
  std::vector<int32_t> context;
  std::vector<int32_t> continuation;
};

/// Splits encode(context + continuation) where encode(context) ends.
///
///   1. Trailing white space of the context, line feeds included, moves to the continuation.
///   2. whole = EncodeText(context + continuation); context = EncodeText(context);
///      continuation = whole without its first |context| ids. A token that merges across the boundary therefore
///      shifts the split; it is not repaired, because published scores are made that way.
///   3. An empty context (before step 1) is the prefix token, and the continuation is encoded without template;
///      a continuation that already starts with the prefix token keeps it as its context.
///   A context of white space alone is not empty: step 1 leaves encode("") as its context, which may be no token.
BITLAW_EXPORT EncodedPair EncodePair(const Tokenizer& tokenizer, std::string_view context,
                                     std::string_view continuation);

/// What the model reads and what it must predict for one scored text: `input` has as many ids as there are
/// predictions to the right of and including its position `first_scored`, and targets[i] is predicted at
/// first_scored + i.
///
///     context    c0 c1 c2            input    c0 c1 c2 t0 t1
///     targets    t0 t1 t2            scored         ^  ^  ^      first_scored = 2
struct BITLAW_EXPORT ScoredInput {
  std::vector<int32_t> input;
  std::vector<int32_t> targets;
  int64_t first_scored = 0;
  bool truncated = false;  ///< The context lost ids at its left, because the model has no more positions.
};

/// input = (context + continuation)[-(max_positions + 1):][:-1].
/// Error(kUnsupported) naming `item` if the continuation is empty, if it is longer than max_positions, or if no
/// id stands before it.
BITLAW_EXPORT ScoredInput MakeScoredInput(const EncodedPair& pair, int64_t max_positions, std::string_view item);

/// The windows of a long text (docs/evaluation.md has the table).
///
///   kDisjoint  ids cut into pieces of window_tokens, the rest dropped; each predicts all but its first id.
///   kRolling   T = window_tokens. The first window reads the prefix token and predicts ids[0, T); each further one
///              predicts the next T after the one id before them; the last predicts what is left, after as many
///              ids as fill the window. A text without tokens of its own has no window, whatever the template adds.
/// Error(kUnsupported) naming `item` if the text is shorter than one disjoint window or the window longer than
/// max_positions.
BITLAW_EXPORT std::vector<ScoredInput> MakeWindows(const Tokenizer& tokenizer, const RollingRequest& request,
                                                   int64_t max_positions, std::string_view item);

}  // namespace bitlaw
