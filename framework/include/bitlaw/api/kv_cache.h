#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/api/quantized_linear.h"
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

/// What of a block's keys or values shares a scale.
enum class KvScaleOf {
  kToken,    ///< A token's head, found as it comes.
  kTensor,   ///< All of it: its range over the calibration set.
  kHead,     ///< A head, likewise.
  kChannel,  ///< A channel of a head, likewise.
};
BITLAW_EXPORT std::string_view Name(KvScaleOf of);  ///< "token", "tensor", "head", "channel".
/// Error(kSpec) on another name.
BITLAW_EXPORT KvScaleOf KvScaleOfName(std::string_view name);

/// Where one block's keys or values lay over the calibration set. low, high [K, Dh] float32
struct BITLAW_EXPORT KvRange {
  at::Tensor low{}, high{};
};

/// The static grid of one block's keys or values, float32 of [K or 1, Dh or 1]: the points are lows + scales * code,
/// code in [0, 2^bits - 1], and for symmetric integers and floating-point numbers, which have no lows, scales * number.
struct BITLAW_EXPORT KvBlockScales {
  at::Tensor scales{}, lows{};
};

/// What keys or values are rounded to. A number depends on its own token and on static scales, never on what else is
/// read: a token's keys are the same whatever follows it and whoever shares it in a cache.
struct BITLAW_EXPORT KvGrid {
  ActivationGrid numbers{};  ///< bits, symmetric, format, scale_rule; nothing static of it counts.
  KvScaleOf scale_of = KvScaleOf::kToken;
  std::vector<KvBlockScales> blocks{};  ///< One a block where scales are static, once they are known.

  bool is_static() const { return scale_of != KvScaleOf::kToken; }

  /// This grid with the scales that cover `ranges`, one a block; itself unless is_static():
  ///   symmetric integers   scales = max(|low|, |high|) / (2^(bits - 1) - 1)
  ///   integers             lows = low; scales = (high - low) / (2^bits - 1)
  ///   kFp8E4m3             scales = max(|low|, |high|) / 448
  /// low and high over all that shares a scale. What was always one value has the scale 1.
  KvGrid WithRanges(const std::vector<KvRange>& ranges) const;

  /// The nearest points to `heads`, whose last dimension is the channel and whose dimension `heads_at` (-2 or -3) the
  /// head, in its dtype; what lies outside a static range becomes its end.
  at::Tensor Round(const at::Tensor& heads, int64_t block, int64_t heads_at) const;
};

/// How attention's keys and values are rounded before they are read. Empty: not at all.
struct BITLAW_EXPORT KvCacheGrid {
  std::optional<KvGrid> keys{}, values{};
  /// Keys are rounded before the rotation that tells positions apart, which then turns the rounded ones.
  bool keys_before_rotation = false;

  bool any() const { return keys.has_value() || values.has_value(); }
  bool is_static() const { return (keys && keys->is_static()) || (values && values->is_static()); }
};

}  // namespace bitlaw
