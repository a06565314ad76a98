#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
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

/// Everything a ByteLevelBpe is made of. A factory fills the first half and calls Finish().
struct ByteLevelBpe::Parts {
  std::string origin;
  TokenTable tokens;
  MergeTable merges;
  std::vector<std::pair<int32_t, int32_t>> merge_list;  ///< As given, for the digest.
  bool ignore_merges = false;
  int32_t unknown_id = -1;
  bool fuse_unknown = false;
  bool compose_nfc = false;
  bool splits_special = false;  ///< Special tokens in a text are plain text.
  WordSplitter splitter;
  AddedTokenFinder raw_added, normalized_added;
  std::vector<bool> is_special;  ///< [V]
  std::vector<int32_t> template_prefix, template_suffix;
  SpecialTokenIds special;

  std::array<int32_t, 256> byte_ids{};  ///< -1: the vocabulary lacks this byte.
  mutable WordCache cache;
  mutable std::once_flag digest_once;
  mutable std::string digest;

  /// Adds a vocabulary entry written in byte letters ("Ġthe"). False if the id is taken.
  bool AddToken(int32_t id, std::string_view written);
  /// Adds merge number `rank` of two tokens written in byte letters; Error(kIo) if a part or the whole is no token.
  void AddMerge(int32_t rank, std::string_view left, std::string_view right);
  /// Adds "left right".
  void AddMergeLine(int32_t rank, std::string_view line);
  /// Registers an added token whose id has its text in `tokens` already. Its text must be valid UTF-8.
  void AddAdded(AddedToken token);
  /// Checks ids and fills byte_ids. Called once, last.
  void Finish();

  void EncodeText(std::string_view text, std::vector<int32_t>* ids) const;
  void EncodeWord(std::string_view word, std::vector<int32_t>* ids) const;
  void MergeWord(std::string_view word, std::vector<int32_t>* ids) const;
  std::string ComputeDigest() const;
};

/// Byte letters: GPT-2's one printable character for every byte. Null if `written` has a character that is none.
std::optional<std::string> BytesOfLetters(std::string_view written);

/// `text`, valid UTF-8, in normalization form C.
std::string ComposedNfc(std::string_view text);

/// `text` with every maximal ill-formed piece replaced by U+FFFD (Unicode 15, section 3.9). True if it changed.
bool ReplaceInvalidUtf8(std::string_view text, std::string* valid);

}  // namespace bitlaw
