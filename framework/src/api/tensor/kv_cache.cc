#include "bitlaw/api/kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// No two caches ever share one, so that a cache which takes the place of another is not taken for it.
uint64_t NextGeneration() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

const KvCache::Segment& KvCache::At(int64_t segment) const {
  if (segment < 0 || segment >= static_cast<int64_t>(segments_.size()) || !segments_[segment].is_used) {
    throw InternalError("KvCache: there is no segment " + std::to_string(segment) + ".");
  }
  return segments_[segment];
}

std::optional<int64_t> KvCache::Add(int64_t parent, int64_t room) {
  if (room <= 0) throw InternalError("KvCache: a segment with room for " + std::to_string(room) + " tokens.");
  Segment added{parent, parent == kNoParent ? 0 : At(parent).past + At(parent).room, 0, room, 0, 0, true};
  const auto gap = std::find_if(gaps_.begin(), gaps_.end(), [&](const auto& g) { return g.second >= room; });
  if (gap != gaps_.end()) {
    added.slot = gap->first;
    if (gap->second > room) gaps_[gap->first + room] = gap->second - room;
    gaps_.erase(gap);
  } else if (end_ + room <= limit_) {
    added.slot = end_;
    end_ += room;
  } else {
    return std::nullopt;
  }
  if (parent != kNoParent) ++segments_[parent].children;
  generation_ = NextGeneration();
  int64_t number = static_cast<int64_t>(segments_.size());
  if (free_segments_.empty()) {
    segments_.push_back(added);
  } else {
    number = free_segments_.back();
    free_segments_.pop_back();
    segments_[number] = added;
  }
  return number;
}

void KvCache::Remove(int64_t segment) {
  const Segment gone = At(segment);
  if (gone.children > 0) throw InternalError("KvCache: segment " + std::to_string(segment) + " has children.");
  if (gone.parent != kNoParent) --segments_[gone.parent].children;
  segments_[segment].is_used = false;
  generation_ = NextGeneration();
  free_segments_.push_back(segment);
  // The gap grows together with its neighbours, and what reaches the end was never used.
  auto gap = gaps_.emplace(gone.slot, gone.room).first;
  if (const auto next = std::next(gap); next != gaps_.end() && gap->first + gap->second == next->first) {
    gap->second += next->second;
    gaps_.erase(next);
  }
  if (gap != gaps_.begin()) {
    const auto before = std::prev(gap);
    if (before->first + before->second == gap->first) {
      before->second += gap->second;
      gaps_.erase(gap);
      gap = before;
    }
  }
  if (gap->first + gap->second == end_) {
    end_ = gap->first;
    gaps_.erase(gap);
  }
}

std::vector<int64_t> KvCache::Positions(std::span<const TokenRun> runs) const {
  std::vector<int64_t> positions;
  std::set<int64_t> full;
  std::set<int64_t> seen;
  const auto refuse = [](int64_t segment, const std::string& why) {
    throw InternalError("KvCache: a pass over segment " + std::to_string(segment) + " " + why + ".");
  };
  for (const TokenRun& run : runs) {
    const Segment& segment = At(run.segment);
    if (run.tokens <= 0 || segment.length + run.tokens > segment.room) {
      refuse(run.segment, "of " + std::to_string(segment.length) + " tokens, room " + std::to_string(segment.room) +
                              ", adds " + std::to_string(run.tokens));
    }
    if (!seen.insert(run.segment).second) refuse(run.segment, "has it twice");
    if (segment.parent != kNoParent) {
      const Segment& parent = At(segment.parent);
      if (parent.length < parent.room && !full.contains(segment.parent)) refuse(run.segment, "whose parent is not full");
    }
    if (segment.length + run.tokens == segment.room) full.insert(run.segment);
    for (int64_t t = 0; t < run.tokens; ++t) positions.push_back(segment.past + segment.length + t);
  }
  return positions;
}

std::vector<int64_t> KvCache::Slots(std::span<const TokenRun> runs) const {
  std::vector<int64_t> slots;
  for (const TokenRun& run : runs) {
    const int64_t first = At(run.segment).slot + At(run.segment).length;
    for (int64_t t = 0; t < run.tokens; ++t) slots.push_back(first + t);
  }
  return slots;
}

// Makes `buffer` as long as the slots in use.
void KvCache::Grow(at::Tensor& buffer, const at::Tensor& added) const {
  if (buffer.defined() && (buffer.size(1) != added.size(1) || buffer.size(2) != added.size(2))) {
    throw InternalError("KvCache: written keys or values differ from the held ones in heads or head size.");
  }
  const int64_t held = buffer.defined() ? buffer.size(0) : 0;
  if (held < end_) {
    // On the CPU, memory that is not written to is not taken.
    at::Tensor grown = at::empty({std::clamp(2 * held, end_, std::max(end_, limit_)), added.size(1), added.size(2)},
                                 added.options());
    if (held > 0) grown.narrow(0, 0, held).copy_(buffer);
    buffer = grown;
  }
}

void KvCache::WriteTo(at::Tensor& buffer, std::span<const TokenRun> runs, const at::Tensor& added) {
  Grow(buffer, added);
  int64_t from = 0;
  for (size_t r = 0; r < runs.size();) {
    // Runs whose slots follow each other are one copy.
    const int64_t first = At(runs[r].segment).slot + At(runs[r].segment).length;
    int64_t count = 0;
    for (; r < runs.size() && At(runs[r].segment).slot + At(runs[r].segment).length == first + count; ++r) {
      count += runs[r].tokens;
    }
    buffer.narrow(0, first, count).copy_(added.narrow(0, from, count));
    from += count;
  }
}

void KvCache::Write(int64_t block, std::span<const TokenRun> runs, const at::Tensor& keys, const at::Tensor& values) {
  WriteTo(keys_.at(block), runs, keys);
  WriteTo(values_.at(block), runs, values);
}

void KvCache::WriteAt(int64_t block, const at::Tensor& slots, const at::Tensor& keys, const at::Tensor& values) {
  for (const auto& [buffers, added] : {std::pair(&keys_, &keys), std::pair(&values_, &values)}) {
    Grow(buffers->at(block), *added);
    buffers->at(block).index_copy_(0, slots, *added);
  }
}

void KvCache::Advance(std::span<const TokenRun> runs) {
  generation_ = NextGeneration();
  for (const TokenRun& run : runs) segments_[run.segment].length = At(run.segment).length + run.tokens;
}

void KvCache::TakeLayout(const KvCache& other) {
  limit_ = other.limit_;
  end_ = other.end_;
  gaps_ = other.gaps_;
  segments_ = other.segments_;
  free_segments_ = other.free_segments_;
  generation_ = NextGeneration();
}

std::pair<at::Tensor, at::Tensor> KvCache::Seen(int64_t block, const TokenRun& run) const {
  std::vector<at::Tensor> keys, values;
  const auto take = [&](const Segment& segment, int64_t count) {
    keys.insert(keys.begin(), keys_.at(block).narrow(0, segment.slot, count));
    values.insert(values.begin(), values_.at(block).narrow(0, segment.slot, count));
  };
  take(At(run.segment), At(run.segment).length + run.tokens);
  for (int64_t s = At(run.segment).parent; s != kNoParent; s = At(s).parent) take(At(s), At(s).room);
  return {at::cat(keys), at::cat(values)};
}

int64_t KvCache::size_bytes() const {
  int64_t bytes = 0;
  for (const auto* buffers : {&keys_, &values_}) {
    for (const at::Tensor& buffer : *buffers) {
      if (buffer.defined()) bytes += buffer.numel() * static_cast<int64_t>(buffer.element_size());
    }
  }
  return bytes;
}

std::string_view Name(KvScaleOf of) {
  switch (of) {
    case KvScaleOf::kToken: return "token";
    case KvScaleOf::kTensor: return "tensor";
    case KvScaleOf::kHead: return "head";
    case KvScaleOf::kChannel: return "channel";
  }
  throw InternalError("KvScaleOf out of range");
}

KvScaleOf KvScaleOfName(std::string_view name) {
  for (const KvScaleOf of : {KvScaleOf::kToken, KvScaleOf::kTensor, KvScaleOf::kHead, KvScaleOf::kChannel}) {
    if (Name(of) == name) return of;
  }
  throw Error(ErrorKind::kSpec, "'" + std::string(name) +
                                    "' is nothing that shares a scale of keys or values. It must be token, tensor, "
                                    "head or channel.");
}

}  // namespace bitlaw
