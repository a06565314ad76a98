#include <ATen/ATen.h>

#include <algorithm>

#include "bitlaw/api/model.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// `held` [B, H_kv, length, D] in a buffer with room for `capacity` tokens.
at::Tensor InBuffer(const at::Tensor& held, int64_t capacity) {
  at::Tensor buffer = at::empty({held.size(0), held.size(1), capacity, held.size(3)}, held.options());
  buffer.narrow(2, 0, held.size(2)).copy_(held);
  return buffer;  // [B, H_kv, capacity, D]
}

void AppendTo(at::Tensor& buffer, const at::Tensor& added, int64_t length, int64_t capacity) {
  const int64_t needed = length + added.size(2);
  if (!buffer.defined()) {
    if (length != 0) throw InternalError("KvCache: a block that holds no tokens was appended to after AdvanceBy().");
    buffer = at::empty({added.size(0), added.size(1), std::max(needed, capacity), added.size(3)}, added.options());
  } else if (buffer.size(0) != added.size(0) || buffer.size(1) != added.size(1) || buffer.size(3) != added.size(3)) {
    throw InternalError("KvCache: appended keys or values differ from the held ones in batch, heads or head size.");
  } else if (buffer.size(2) < needed) {
    buffer = InBuffer(buffer.narrow(2, 0, length), std::max(needed, 2 * buffer.size(2)));
  }
  buffer.narrow(2, length, added.size(2)).copy_(added);
}

}  // namespace

std::pair<at::Tensor, at::Tensor> KvCache::Append(int64_t block, const at::Tensor& keys, const at::Tensor& values) {
  AppendTo(keys_.at(block), keys, length_, capacity_tokens_);
  AppendTo(values_.at(block), values, length_, capacity_tokens_);
  const int64_t total = length_ + keys.size(2);
  return {keys_[block].narrow(2, 0, total), values_[block].narrow(2, 0, total)};  // [B, H_kv, S + T, D] each
}

KvCache KvCache::Select(const at::Tensor& rows, int64_t headroom_tokens) const {
  KvCache selected(static_cast<int64_t>(keys_.size()));
  selected.length_ = length_;
  const auto select = [&](const at::Tensor& buffer) {
    if (!buffer.defined()) return at::Tensor();
    at::Tensor copy = at::empty({rows.size(0), buffer.size(1), length_ + headroom_tokens, buffer.size(3)},
                                buffer.options());
    at::Tensor held = copy.narrow(2, 0, length_);  // [B', H_kv, S, D]
    held.copy_(buffer.narrow(2, 0, length_).index_select(0, rows.to(buffer.device())));
    return copy;
  };
  for (size_t i = 0; i < keys_.size(); ++i) {
    selected.keys_[i] = select(keys_[i]);
    selected.values_[i] = select(values_[i]);
  }
  return selected;
}

KvCache KvCache::SelectShifted(const at::Tensor& rows, const at::Tensor& shifts, int64_t headroom_tokens) const {
  const at::Tensor from = rows.to(at::kCPU).contiguous(), by = shifts.to(at::kCPU).contiguous();
  if (from.numel() != by.numel()) throw InternalError("KvCache: rows and shifts differ in number.");
  const auto* row = from.data_ptr<int64_t>();
  const auto* shift = by.data_ptr<int64_t>();
  KvCache selected(static_cast<int64_t>(keys_.size()));
  selected.length_ = length_;
  const auto select = [&](const at::Tensor& buffer) {
    if (!buffer.defined()) return at::Tensor();
    at::Tensor copy = at::empty({from.numel(), buffer.size(1), length_ + headroom_tokens, buffer.size(3)},
                                buffer.options());
    for (int64_t i = 0; i < from.numel(); ++i) {
      if (shift[i] < 0 || shift[i] > length_) {
        throw InternalError("KvCache: a row of " + std::to_string(length_) + " tokens cannot move by " +
                            std::to_string(shift[i]) + ".");
      }
      const at::Tensor to = copy.select(0, i);  // [H_kv, S + headroom, D]
      to.narrow(1, 0, shift[i]).zero_();
      to.narrow(1, shift[i], length_ - shift[i]).copy_(buffer.select(0, row[i]).narrow(1, 0, length_ - shift[i]));
    }
    return copy;
  };
  for (size_t i = 0; i < keys_.size(); ++i) {
    selected.keys_[i] = select(keys_[i]);
    selected.values_[i] = select(values_[i]);
  }
  return selected;
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

KvCache KvCache::Prefix(int64_t tokens) const {
  if (tokens < 0 || tokens > length_) {
    throw InternalError("KvCache: a prefix of " + std::to_string(tokens) + " tokens was asked of a cache of " +
                        std::to_string(length_) + ".");
  }
  KvCache prefix(static_cast<int64_t>(keys_.size()));
  prefix.length_ = tokens;
  // A view that is exactly full: the first append to it moves to a buffer of its own, so this cache stays as it is.
  const auto view = [&](const at::Tensor& buffer) {
    return buffer.defined() && tokens > 0 ? buffer.narrow(2, 0, tokens) : at::Tensor();
  };
  for (size_t i = 0; i < keys_.size(); ++i) {
    prefix.keys_[i] = view(keys_[i]);
    prefix.values_[i] = view(values_[i]);
  }
  return prefix;
}

}  // namespace bitlaw
