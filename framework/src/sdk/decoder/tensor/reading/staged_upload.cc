#include "sdk/decoder/tensor/reading/staged_upload.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "bitlaw/sdk/machine/torch_version.h"

#if BITLAW_TORCH_AT_LEAST(2, 11)
#define BITLAW_HAS_STAGES
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <map>
#include <mutex>
#include <optional>
#endif

namespace bitlaw {
namespace {

// Reads a byte of each page.
void TouchPages(const at::Tensor& host) {
  constexpr size_t kPage = 4096;
  const auto* bytes = static_cast<const volatile char*>(host.data_ptr());
  for (size_t at = 0; at < host.nbytes(); at += kPage) static_cast<void>(bytes[at]);
}

// memcpy() by up to `threads` threads.
void CopyBytes(char* to, const char* from, size_t size, int threads) {
  constexpr size_t kLeast = size_t{1} << 20;  // Of a thread; its start costs what some 100 KB do.
  const size_t parts = std::clamp<size_t>(size / kLeast, 1, static_cast<size_t>(threads));
  const auto copy = [&](size_t part) {
    const size_t begin = size * part / parts, end = size * (part + 1) / parts;
    std::memcpy(to + begin, from + begin, end - begin);
  };
  std::vector<std::jthread> others;
  for (size_t part = 1; part < parts; ++part) others.emplace_back(copy, part);
  copy(0);
}

}  // namespace

void StagingBuffers::Copy(const at::Tensor& host, const at::Tensor& target) {
  const at::Tensor source = host.contiguous();
  const at::Tensor target_bytes = target.view({-1}).view(at::kByte);
  const auto* from = static_cast<const char*>(source.data_ptr());
  const int64_t size = static_cast<int64_t>(source.nbytes()), most = bytes[0].numel();
  for (int64_t at = 0; at < size; at += most) {
    const int64_t piece = std::min(most, size - at);
    const at::Tensor& buffer = bytes[next];
    wait(next);
    CopyBytes(static_cast<char*>(buffer.data_ptr()), from + at, static_cast<size_t>(piece), threads);
    target_bytes.narrow(0, at, piece).copy_(buffer.narrow(0, 0, piece), /*non_blocking=*/true);
    sent(next);
    next = 1 - next;
  }
}

#ifdef BITLAW_HAS_STAGES

namespace {

// One a device: libtorch keeps the memory of each stream apart.
c10::Stream StreamOf(const c10::impl::VirtualGuardImpl& streams, const at::Device& device) {
  static std::mutex mutex;
  static std::map<c10::DeviceIndex, c10::Stream> known;
  const c10::DeviceIndex index = streams.getStream(device).device_index();
  const std::scoped_lock lock(mutex);
  const auto found = known.find(index);
  if (found != known.end()) return found->second;
  return known.emplace(index, streams.getStreamFromGlobalPool(device)).first->second;
}

}  // namespace

struct StagedUpload::Stage {
  explicit Stage(const at::Device& device)
      : streams(device.type()), stream(StreamOf(streams, device)), before(device.type()) {
    // Here, on the thread that computes: a thread of one's own is given fewer.
    constexpr int kEnough = 8;
    buffers.threads = std::min(at::get_num_threads(), kEnough);
    before.record(streams.getStream(device));
  }

  // Page-locked memory belongs to a device: with that as the current one.
  void Open(at::DeviceType type) {
    if (buffers.bytes[0].defined()) return;
    before.synchronize();
    constexpr int64_t kBufferBytes = int64_t{32} << 20;
    for (size_t b = 0; b < 2; ++b) {
      buffers.bytes[b] = at::empty({kBufferBytes}, at::TensorOptions(at::kByte).pinned_memory(true));
      gone[b].emplace(type);
    }
    buffers.wait = [this](size_t b) {
      if (gone[b]->was_marked_for_recording()) gone[b]->synchronize();
    };
    buffers.sent = [this](size_t b) { gone[b]->record(stream); };
  }

  const c10::impl::VirtualGuardImpl streams;
  const c10::Stream stream;
  c10::Event before;
  std::array<std::optional<c10::Event>, 2> gone;  // What was in a buffer has left it.
  StagingBuffers buffers;
};

StagedUpload::StagedUpload(const at::Device& device) : device_(device) {
  if (!device.is_cpu()) stage_ = std::make_unique<Stage>(device);
}

at::Tensor StagedUpload::Upload(const at::Tensor& host) {
  if (!stage_) {
    TouchPages(host);
    return host;
  }
  const c10::StreamGuard guard(stage_->stream);
  stage_->Open(device_.type());
  const at::Tensor target = at::empty(host.sizes(), host.options().device(stage_->stream.device()));
  stage_->buffers.Copy(host, target);
  return target;
}

void StagedUpload::Finish() {
  if (!stage_ || !stage_->buffers.bytes[0].defined()) return;
  for (size_t b = 0; b < 2; ++b) stage_->buffers.wait(b);
}

void StagedUpload::HandOver(const at::Tensor& uploaded) {
  if (uploaded.is_cpu()) return;
  uploaded.record_stream(c10::impl::VirtualGuardImpl(uploaded.device().type()).getStream(uploaded.device()));
}

#else

struct StagedUpload::Stage {};
StagedUpload::StagedUpload(const at::Device& device) : device_(device) {}
at::Tensor StagedUpload::Upload(const at::Tensor& host) {
  if (!device_.is_cpu()) return host.to(device_);
  TouchPages(host);
  return host;
}
void StagedUpload::Finish() {}
void StagedUpload::HandOver(const at::Tensor&) {}

#endif

StagedUpload::~StagedUpload() = default;

}  // namespace bitlaw
