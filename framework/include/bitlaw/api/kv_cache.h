#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// The tokens of one forward pass that go to the end of one segment of a KvCache.
struct BITLAW_EXPORT TokenRun {
  int64_t segment = 0;
  int64_t tokens = 0;
};

/// Keys and values of tokens read before, for all blocks: a forest of texts, so that what texts have in common is there
/// once and nothing is padded.
///
/// A *segment* is a piece of text. Before its own tokens comes its parent, whole, and what comes before that. A segment
/// has room for a fixed number of tokens and may be filled in several passes; one with children must be full when they
/// are read (in the same pass at the latest, before them). Keys and values lie in one buffer a block, [slots, K, Dh], K
/// key-value heads of size Dh; those of a segment follow each other from slot(segment) on.
class BITLAW_EXPORT KvCache {
 public:
  static constexpr int64_t kNoParent = -1;

  /// Has room for `limit_tokens` in all segments; buffers grow up to that as they fill.
  KvCache(int64_t num_blocks, int64_t limit_tokens) : limit_(limit_tokens), keys_(num_blocks), values_(num_blocks) {}

  /// An empty segment after `parent` (kNoParent: it begins a text) with room for `room` > 0 tokens in a row; empty if
  /// there is no such room left.
  std::optional<int64_t> Add(int64_t parent, int64_t room);
  /// Forgets a segment, whose children must have gone before. Its number and room are given to later segments.
  void Remove(int64_t segment);

  int64_t parent(int64_t segment) const { return At(segment).parent; }
  int64_t children(int64_t segment) const { return At(segment).children; }  ///< How many segments follow it.
  int64_t past(int64_t segment) const { return At(segment).past; }      ///< Tokens before its own.
  int64_t length(int64_t segment) const { return At(segment).length; }  ///< Its own tokens, those of finished passes.
  int64_t room(int64_t segment) const { return At(segment).room; }
  int64_t slot(int64_t segment) const { return At(segment).slot; }

  /// Where each token of a pass stands in its text, counted from 0. [sum of tokens] int64
  /// InternalError for runs that no pass may have: beyond a segment's room, a parent not full, a segment twice.
  std::vector<int64_t> Positions(std::span<const TokenRun> runs) const;

  /// The slot of each token of a pass. [sum of tokens]
  std::vector<int64_t> Slots(std::span<const TokenRun> runs) const;
  /// Another number whenever a segment was added, removed or filled, and in no other cache: what was worked out for a
  /// pass holds while it stays.
  uint64_t generation() const { return generation_; }

  /// One block's keys and values of a pass, [T, K, Dh] each in the order of `runs`.
  void Write(int64_t block, std::span<const TokenRun> runs, const at::Tensor& keys, const at::Tensor& values);
  /// The same by the pass's slots, [T] int64 on the device of the keys: one launch however many runs there are.
  void WriteAt(int64_t block, const at::Tensor& slots, const at::Tensor& keys, const at::Tensor& values);
  /// Once all blocks have written: the tokens of the pass are held.
  void Advance(std::span<const TokenRun> runs);

  /// The segments of `other` in place of its own; keys and values stay. For a cache that takes the passes of another one
  /// again, in their order.
  void TakeLayout(const KvCache& other);

  const at::Tensor& keys(int64_t block) const { return keys_.at(block); }      ///< [slots, K, Dh]
  const at::Tensor& values(int64_t block) const { return values_.at(block); }  ///< [slots, K, Dh]
  /// Copies of all that the last token of `run` sees, in order: two of [past + length + run.tokens, K, Dh].
  std::pair<at::Tensor, at::Tensor> Seen(int64_t block, const TokenRun& run) const;

  /// Memory of keys and values, unused slots included.
  int64_t size_bytes() const;

 private:
  struct Segment {
    int64_t parent = kNoParent, past = 0, length = 0, room = 0, slot = 0, children = 0;
    bool is_used = false;
  };
  const Segment& At(int64_t segment) const;
  void Grow(at::Tensor& buffer, const at::Tensor& added) const;
  void WriteTo(at::Tensor& buffer, std::span<const TokenRun> runs, const at::Tensor& added);

  uint64_t generation_ = 0;
  int64_t limit_, end_ = 0;              // Slots from end_ on were never used.
  std::map<int64_t, int64_t> gaps_;      // Slots before end_ that are free again: first -> how many.
  std::vector<Segment> segments_;
  std::vector<int64_t> free_segments_;
  std::vector<at::Tensor> keys_, values_;
};

}  // namespace bitlaw
