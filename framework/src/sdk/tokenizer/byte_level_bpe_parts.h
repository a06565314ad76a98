#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"
#include "sdk/tokenizer/word_splitter.h"

namespace bitlaw {

/// Token texts in one buffer, with an index from text to id. Ids may have holes.
class TokenTable {
 public:
  /// False if the id is taken already. Tokens that are not `findable` are only decoded.
  bool Add(int32_t id, std::string_view bytes, bool findable);
  void Reserve(size_t tokens);

  int32_t Find(std::string_view bytes) const;  ///< -1: none.
  bool Has(int32_t id) const { return static_cast<size_t>(id) < spans_.size() && spans_[id].first >= 0; }
  std::string_view Bytes(int32_t id) const;  ///< "" for a hole.
  int64_t size() const { return static_cast<int64_t>(spans_.size()); }

 private:
  void Grow();
  std::string buffer_;
  std::vector<std::pair<int64_t, int32_t>> spans_;  // [id] -> offset (-1: hole), length
  std::vector<int32_t> slots_;                      // open addressing, -1: free
  size_t findable_ = 0;
};

/// (left, right) -> (rank, joined id), open addressing.
class MergeTable {
 public:
  struct Entry {
    uint64_t key = ~uint64_t{0};
    int32_t rank = -1;
    int32_t joined = -1;
  };
  void Reserve(size_t merges);
  void Set(int32_t left, int32_t right, int32_t rank, int32_t joined);  ///< The last of equal pairs stands.
  const Entry* Find(int32_t left, int32_t right) const;

 private:
  static uint64_t Key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t Slot(uint64_t key) const;
  void Grow();
  std::vector<Entry> entries_;
  size_t used_ = 0;
};

struct AddedToken {
  int32_t id = -1;
  std::string text;  ///< After normalization, if `normalized`.
  bool special = false, single_word = false, strip_left = false, strip_right = false, normalized = false;
};

/// Finds added tokens in text: the leftmost first, of those the longest.
class AddedTokenFinder {
 public:
  void Add(AddedToken token);
  bool empty() const { return tokens_.empty(); }
  const std::vector<AddedToken>& tokens() const { return tokens_; }

  /// Cuts `text` into stretches of plain text (id -1) and added tokens.
  void Cut(std::string_view text, std::vector<std::pair<int32_t, std::string_view>>* stretches) const;

 private:
  std::vector<AddedToken> tokens_;
  std::array<std::vector<int32_t>, 256> by_first_byte_;  // indices into tokens_, longest text first
};

/// The ids of words seen, bounded; sharded so that threads seldom wait.
class WordCache {
 public:
  bool Get(std::string_view word, std::vector<int32_t>* ids);
  void Put(std::string_view word, const int32_t* ids, size_t count);

 private:
  static constexpr size_t kShards = 8, kWordsPerShard = 8192, kLongestWord = 48;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, std::vector<int32_t>, Hash, std::equal_to<>> words;
  };
  std::array<Shard, kShards> shards_;
};

/// One step of a normalizer.
struct NormalizerStep {
  enum class Kind { kNfc, kPrepend, kReplace } kind = Kind::kNfc;
  std::string from, to;  ///< kPrepend: `to` in front of what is not empty. kReplace: each `from` becomes `to`.
};

/// One step from the texts of tokens to a text.
struct DecoderStep {
  enum class Kind {
    kReplace,       ///< In each token, each `from` becomes `to`.
    kByteFallback,  ///< Runs of "<0xE2>" become their bytes, or U+FFFD each where these are no UTF-8.
    kFuse,          ///< All tokens become one.
    kStrip,         ///< In each token, up to `count` of `from` are taken away in front.
    kMetaspace,     ///< Each `from` becomes a space, or nothing in the first token if `count` is 1.
  } kind = Kind::kFuse;
  std::string from, to;
  int64_t count = 0;
};

/// Everything a ByteLevelBpe is made of. A factory fills the first half and calls Finish().
struct ByteLevelBpe::Parts {
  std::string origin;
  TokenTable tokens;
  MergeTable merges;
  std::vector<std::pair<int32_t, int32_t>> merge_list;  ///< As given, for the digest.
  bool ignore_merges = false;
  int32_t unknown_id = -1;
  bool fuse_unknown = false;
  bool has_byte_letters = true;  ///< Tokens are bytes written in letters; otherwise characters.
  bool byte_fallback = false;    ///< Of characters: those that no token has become tokens of their bytes.
  std::vector<NormalizerStep> normalizer;
  std::vector<DecoderStep> decoder;                    ///< Of characters.
  /// Of tokens that decode to another text than the vocabulary's.
  std::unordered_map<int32_t, std::string> other_texts;
  bool splits_special = false;  ///< Special tokens in a text are plain text.
  WordSplitter splitter;
  AddedTokenFinder raw_added, normalized_added;
  std::vector<bool> is_special;  ///< [V]
  std::vector<int32_t> template_prefix, template_suffix;
  SpecialTokenIds special;

  std::array<int32_t, 256> byte_ids{};  ///< -1: the vocabulary lacks this byte ("<0xE2>" of characters).
  mutable WordCache cache;
  mutable std::once_flag digest_once;
  mutable std::string digest;

  /// The bytes of a token that is written in byte letters ("Ġthe"), or as it stands.
  std::string BytesOf(std::string_view written) const;
  /// Adds a vocabulary entry. False if the id is taken.
  bool AddToken(int32_t id, std::string_view written);
  /// Adds merge number `rank` of two tokens as they are written; Error(kIo) if a part or the whole is no token.
  void AddMerge(int32_t rank, std::string_view left, std::string_view right);
  /// Adds "left right".
  void AddMergeLine(int32_t rank, std::string_view line);
  /// Registers an added token whose id has its text in `tokens` already. Its text must be valid UTF-8.
  void AddAdded(AddedToken token);
  /// Checks ids and fills byte_ids. Called once, last.
  void Finish();

  std::string Normalized(std::string_view text) const;
  void EncodeText(std::string_view text, std::vector<int32_t>* ids) const;
  void EncodeWord(std::string_view word, std::vector<int32_t>* ids) const;
  void MergeWord(std::string_view word, std::vector<int32_t>* ids) const;
  std::vector<int32_t> SymbolsOf(std::string_view word) const;
  std::string DecodeCharacters(std::span<const int32_t> ids, bool skip_special_tokens) const;
  std::string ComputeDigest() const;
};

/// Values of tokenizer.ggml.token_type.
inline constexpr int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

/// [V] scores by which a reader of GGUF joins what the merges of `parts`, of characters, join: minus the place of a token
/// among those that merges make, 0 of the others. `types` are the tokens'. Error(kUnsupported) where no scores say it: a
/// reader joins whatever two tokens make a third, the greatest score first and of equals the leftmost.
std::vector<float> ScoresOfMerges(const ByteLevelBpe::Parts& parts, std::span<const int32_t> types);

/// Throws Error(kUnsupported) with what a GGUF file cannot say of the tokenizer of `origin`.
[[noreturn]] void CannotSayInGguf(const std::string& origin, const std::string& what);

/// Byte letters: GPT-2's one printable character for every byte. Null if `written` has a character that is none.
std::optional<std::string> BytesOfLetters(std::string_view written);

/// The letters of these bytes.
std::string LettersOfBytes(std::string_view bytes);

/// What SentencePiece writes for a space: U+2581.
inline constexpr char kMetaspace[] = "\xE2\x96\x81";

/// `text`, valid UTF-8, in normalization form C.
std::string ComposedNfc(std::string_view text);

}  // namespace bitlaw
