#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "sdk/tokenizer/byte_level_bpe_parts.h"

namespace bitlaw {

/// What the files beside a tokenizer.json say about its tokens: tokenizer_config.json, special_tokens_map.json and
/// added_tokens.json. Their order of precedence is that of transformers 5: a tokenizer_config.json that holds
/// `added_tokens_decoder` is the last word; without it the entries of special_tokens_map.json replace its own, and
/// added_tokens.json brings further tokens.
struct TokenizerSettings {
  /// A token that a file speaks of. `id` is -1 where the file gives none.
  struct Token {
    AddedToken token;
    std::string where;  ///< For errors: the file and the key.
  };

  std::vector<Token> added;    ///< added_tokens_decoder or added_tokens.json, by id.
  std::vector<Token> special;  ///< bos, eos, unk, sep, pad, cls, mask in this order, then those of other names.
  std::vector<Token> extra;    ///< extra_special_tokens, or additional_special_tokens.
  std::string bos, eos;        ///< Their texts; "" where no file names one.
  bool splits_special = false;  ///< Special tokens that stand in a text are read as plain text.

  bool has_roles() const { return !bos.empty() || !eos.empty(); }
};

/// Reads what there is of the three files in `folder`. Error(kIo) with file and key for a value of the wrong kind, and
/// for a key that stands twice.
TokenizerSettings ReadTokenizerSettings(const std::filesystem::path& folder);

}  // namespace bitlaw
