#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Which ids have a role, as far as the files of the model say (config.json, generation_config.json).
/// An id that is used and is no token is an Error(kIo) of the factory that gets it.
struct BITLAW_EXPORT SpecialTokenIds {
  std::optional<int32_t> bos;
  std::optional<int32_t> eos;
  std::vector<int32_t> stop;  ///< Ids beside eos that end a generation; duplicates are dropped.
  std::string where;          ///< The files that say so, for errors; "": the tokenizer's own.
};

/// The tokenizer.ggml.* fields of a GGUF file. The views must live until FromGguf() returns.
struct BITLAW_EXPORT GgufVocabulary {
  std::string model;                     ///< tokenizer.ggml.model: "gpt2" is byte-level BPE, "llama" SentencePiece's.
  std::string pre;                       ///< tokenizer.ggml.pre: "smollm", "llama-bpe", ...; "": the file has none.
  std::vector<std::string_view> tokens;  ///< [V]
  std::vector<std::string_view> merges;  ///< "left right", most important first; of "gpt2".
  std::vector<float> scores;             ///< [V] Of "llama": of two joins that of the higher score goes first.
  std::vector<int32_t> token_types;      ///< [V] or empty; 3 is a control token, 4 one that the user defined, 5 none.
  SpecialTokenIds special;               ///< bos_token_id, eos_token_id; eot_token_id and the like in `stop`.
  std::optional<bool> add_bos, add_eos;  ///< add_bos_token, add_eos_token; null: what `pre` or `model` imply.
  std::optional<bool> add_space_prefix;  ///< Of "llama": a space is put in front of a text. Null: it is.
};

/// What the metadata of a GGUF file are to say of a tokenizer: ByteLevelBpe::ForGguf().
struct BITLAW_EXPORT GgufTokenizer {
  std::string model, pre;            ///< As in GgufVocabulary.
  std::vector<std::string> tokens;   ///< [V]
  std::vector<std::string> merges;   ///< "left right"; empty where there are scores.
  std::vector<float> scores{};       ///< [V], of characters alone.
  std::vector<int32_t> token_types;  ///< [V]
  std::optional<int32_t> bos, eos, unknown{};
  std::vector<int32_t> stop;         ///< Ids beside eos that end a generation.
  bool add_bos = false, add_eos = false;
  bool add_space_prefix = false;     ///< Of characters.
};

/// Byte-pair encoding of two kinds: of bytes, as GPT-2, Llama 3, Qwen and SmolLM have it, and of characters, as
/// SentencePiece makes it for Llama 2, Mistral, Gemma and Phi-3: a space is written "\u2581", and a character that the
/// vocabulary lacks becomes the tokens of its bytes ("<0xE2>") or the unknown one.
///
/// Text is cut at added tokens, normalized, cut into words by the tokenizer's own patterns, and each word's bytes or
/// characters are joined pair by pair, best rank first, leftmost of equals.
///
/// Encode and Decode give exactly what the public tokenizers library gives for the same tokenizer.json.
/// Unicode tables are those of PCRE2 and utf8proc: characters younger than these may be cut differently.
///
/// Errors   Error(kIo) for a file that is not what it says, with the offending value; Error(kUnsupported) that
///          names a piece of the tokenizer that is neither; Error(kBudget) if a pattern of the file
///          needs more steps on a text than PCRE2 allows.
/// Threads  Const calls are safe from several threads. A bounded cache remembers the ids of words seen.
/// Source   Sennrich et al. 2016, arXiv:1508.07909; Radford et al. 2019 for bytes and the word pattern.
class BITLAW_EXPORT ByteLevelBpe : public Tokenizer {
 public:
  /// From a Hugging Face tokenizer.json.
  ///
  /// Read: added_tokens with all their flags; normalizer null, NFC, Prepend, Replace of a String, or a Sequence of
  /// these; pre_tokenizer ByteLevel, Split by Regex or String (Isolated, Removed or MergedWithPrevious, inverted or
  /// not), Digits, Metaspace, or a Sequence of these, of bytes one that ends in ByteLevel; model BPE; post_processor
  /// null, ByteLevel, TemplateProcessing or a Sequence of these; decoder ByteLevel, or of characters Replace of a
  /// String, ByteFallback, Fuse, Strip of leading characters, Metaspace, or a Sequence of these.
  /// Settings for truncation and padding are left out of account.
  ///
  /// Beside the file tokenizer_config.json is read, special_tokens_map.json and added_tokens.json, as transformers 5
  /// reads them: tokens that only they have are added, their flags replace those of tokenizer.json, and a token that
  /// they give a role is special. Error(kIo) where they give a token another id than tokenizer.json does.
  ///
  /// If these files name a bos_token or an eos_token, both roles are theirs: no bos_token means no BOS. Otherwise roles
  /// come from `special`, and BOS at last from the template, if that puts one token in front. Every id of `special`
  /// that ends a generation is a stop id either way, and its eos is the EOS of a tokenizer that names none.
  static std::unique_ptr<ByteLevelBpe> FromTokenizerJson(const std::filesystem::path& file,
                                                         const SpecialTokenIds& special = {});

  /// The same from text; `origin` names it in errors. Nothing beside the text is read.
  static std::unique_ptr<ByteLevelBpe> FromTokenizerJsonText(std::string_view text, const std::string& origin,
                                                             const SpecialTokenIds& special = {});

  /// From the metadata of a GGUF file. Error(kUnsupported) for another model than "gpt2" and "llama" and, of "gpt2",
  /// for a `pre` that is unknown, absent, or "default", which names no pattern. Of "llama" two neighbours are joined
  /// where the vocabulary has what they make.
  static std::unique_ptr<ByteLevelBpe> FromGguf(const GgufVocabulary& vocabulary, const std::string& origin);

  /// What a GGUF file says of this tokenizer: FromGguf() of it encodes as this one does (their digests are compared), but
  /// for bytes that no token has: these are the unknown token, if there is one, which readers of GGUF leave out. Ids up to
  /// `vocab_size`, the rows of the model's matrices, that are no tokens are named "[PAD7]".
  /// Tokens of characters get scores in the order of merges; of two pairs that make one token a reader then joins the
  /// leftmost first, whichever merge came first.
  /// Error(kUnsupported) of merges that no scores say; of words that are cut by a pattern that no value of
  /// tokenizer.ggml.pre names; of what the format cannot say (flags of added tokens, other templates than one token in
  /// front and one behind).
  GgufTokenizer ForGguf(int64_t vocab_size) const;

  /// The values of tokenizer.ggml.pre that FromGguf() knows.
  static std::vector<std::string> GgufPreTokenizers();

  ~ByteLevelBpe() override;

  std::vector<int32_t> Encode(std::string_view text, bool add_special_tokens) const override;
  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens) const override;
  int64_t vocab_size() const override;  ///< The largest id + 1.
  std::optional<int32_t> bos_id() const override;
  std::optional<int32_t> eos_id() const override;
  std::vector<int32_t> stop_ids() const override;  ///< eos first, then the others given.
  const std::string& digest() const override;

  /// The id of a token's text ("<|im_end|>", "the", " the"), or null if no single token has it.
  std::optional<int32_t> FindToken(std::string_view text) const;

  struct Parts;  ///< Opaque: what the factories put together.
  explicit ByteLevelBpe(std::unique_ptr<Parts> parts);

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace bitlaw
