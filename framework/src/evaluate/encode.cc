#include "evaluate/encode.h"

#include <algorithm>
#include <span>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

int32_t PrefixToken(const Tokenizer& tokenizer) {
  if (const auto bos = tokenizer.bos_id()) return *bos;
  if (const auto eos = tokenizer.eos_id()) return *eos;
  throw Error(ErrorKind::kUnsupported,
              "tokenizer: it has no BOS and no EOS token, so a text without context cannot be scored.");
}

std::vector<int32_t> EncodeText(const Tokenizer& tokenizer, std::string_view text) {
  bool add_special_tokens = true;
  if (tokenizer.bos_id() || tokenizer.eos_id()) {
    const int32_t prefix = PrefixToken(tokenizer);
    const std::string prefix_text = tokenizer.Decode(std::span(&prefix, 1), /*skip_special_tokens=*/false);
    add_special_tokens = prefix_text.empty() || text.substr(0, prefix_text.size()) != prefix_text;
  }
  return tokenizer.Encode(text, add_special_tokens);
}

void RequireEmbedded(const Tokenizer& tokenizer, std::span<const int32_t> ids, int64_t vocab_size,
                     std::string_view item) {
  for (const int32_t id : ids) {
    if (id < vocab_size) continue;
    throw Error(ErrorKind::kUnsupported,
                std::string(item) + ": token " + std::to_string(id) + " ('" +
                    tokenizer.Decode(std::span(&id, 1), /*skip_special_tokens=*/false) +
                    "') has no row in the model's embeddings, which have " + std::to_string(vocab_size) +
                    ". The tokenizer has more entries than the model.");
  }
}

EncodedPair EncodePair(const Tokenizer& tokenizer, std::string_view context, std::string_view continuation) {
  if (context.empty()) {
    const int32_t prefix = PrefixToken(tokenizer);
    std::vector<int32_t> ids = tokenizer.Encode(continuation, /*add_special_tokens=*/false);
    if (!ids.empty() && ids.front() == prefix) ids.erase(ids.begin());
    return {{prefix}, std::move(ids)};
  }
  const std::string_view kept = TrimRight(context);
  const std::string whole_text = std::string(context) + std::string(continuation);
  std::vector<int32_t> whole = EncodeText(tokenizer, whole_text);
  EncodedPair pair;
  pair.context = EncodeText(tokenizer, kept);
  const size_t split = std::min(pair.context.size(), whole.size());
  pair.continuation.assign(whole.begin() + static_cast<int64_t>(split), whole.end());
  return pair;
}

ScoredInput MakeScoredInput(const EncodedPair& pair, int64_t max_positions, std::string_view item) {
  const auto context = static_cast<int64_t>(pair.context.size());
  const auto scored = static_cast<int64_t>(pair.continuation.size());
  const std::string where(item);
  if (scored == 0) {
    throw Error(ErrorKind::kUnsupported, where + ": the continuation adds no token to its context, so it has no "
                                                 "likelihood. Change the prompt or the target.");
  }
  if (scored > max_positions) {
    throw Error(ErrorKind::kUnsupported, where + ": the continuation has " + std::to_string(scored) +
                                             " tokens, and the model has " + std::to_string(max_positions) +
                                             " positions.");
  }
  if (context == 0) {
    throw Error(ErrorKind::kUnsupported, where + ": the context is white space alone, and this tokenizer makes no "
                                                 "token of it, so nothing predicts the first token. Change the prompt.");
  }
  ScoredInput result;
  result.targets = pair.continuation;
  result.input = pair.context;
  result.input.insert(result.input.end(), pair.continuation.begin(), pair.continuation.end());
  if (context + scored > max_positions + 1) {
    result.input.erase(result.input.begin(), result.input.end() - (max_positions + 1));
    result.truncated = true;
  }
  result.input.pop_back();
  result.first_scored = static_cast<int64_t>(result.input.size()) - scored;
  return result;
}

std::vector<ScoredInput> MakeWindows(const Tokenizer& tokenizer, const RollingRequest& request, int64_t max_positions,
                                     std::string_view item) {
  const int64_t window = request.window_tokens;
  const std::string where(item);
  if (window > max_positions) {
    throw Error(ErrorKind::kUnsupported, where + ": window_tokens = " + std::to_string(window) +
                                             ", and the model has " + std::to_string(max_positions) +
                                             " positions. Use a window of at most that many tokens.");
  }
  const std::vector<int32_t> ids = EncodeText(tokenizer, request.text);
  const auto count = static_cast<int64_t>(ids.size());
  std::vector<ScoredInput> windows;
  const auto wanted = [&] {
    return request.max_windows == 0 || static_cast<int64_t>(windows.size()) < request.max_windows;
  };
  if (request.convention == WindowConvention::kDisjoint) {
    for (int64_t at = 0; at + window <= count && wanted(); at += window) {
      ScoredInput piece;
      piece.input.assign(ids.begin() + at, ids.begin() + at + window - 1);
      piece.targets.assign(ids.begin() + at + 1, ids.begin() + at + window);
      windows.push_back(std::move(piece));
    }
    if (windows.empty()) {
      throw Error(ErrorKind::kUnsupported, where + ": the text has " + std::to_string(count) +
                                               " tokens, fewer than one window of " + std::to_string(window) + ".");
    }
    return windows;
  }
  // The public harness scores the template's BOS after BOS for an empty text; nothing is scored here.
  const bool is_template = ids == EncodeText(tokenizer, "");
  if (is_template && tokenizer.Encode(request.text, /*add_special_tokens=*/false).empty()) return windows;
  const int32_t prefix = PrefixToken(tokenizer);
  for (int64_t at = 0; at < count && wanted(); at += window) {
    const int64_t end = std::min(at + window, count);
    ScoredInput piece;
    piece.targets.assign(ids.begin() + at, ids.begin() + end);
    if (at == 0) {
      piece.input.push_back(prefix);
      piece.input.insert(piece.input.end(), ids.begin(), ids.begin() + end - 1);
    } else {
      // A full window reads one id of context; the last one, which predicts less, reads as much as fits before.
      piece.input.assign(ids.begin() + end - 1 - window, ids.begin() + end - 1);
    }
    piece.first_scored = static_cast<int64_t>(piece.input.size() - piece.targets.size());
    windows.push_back(std::move(piece));
  }
  return windows;
}

}  // namespace bitlaw
