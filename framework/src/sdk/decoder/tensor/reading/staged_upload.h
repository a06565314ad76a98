#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Brings weights from a file to a device beside the work of the stream that computes: on a stream of its own, through two
/// buffers in page-locked memory, of which one is filled, by the threads that libtorch has, while the other is on its way.
///
/// For the host there is nothing to bring: pages of a mapped file are read, so that whoever uses the tensor finds them.
/// With a libtorch before 2.11 tensors go to a device by an ordinary copy.
/// Threads  Made and handed over by the thread that computes; used by another one in between.
class BITLAW_EXPORT StagedUpload {
 public:
  /// Nothing that is uploaded takes memory before the current stream has done what it was given so far: by then weights
  /// that were dropped before have left theirs.
  explicit StagedUpload(const at::Device& device);
  ~StagedUpload();
  StagedUpload(const StagedUpload&) = delete;
  StagedUpload& operator=(const StagedUpload&) = delete;

  /// The same tensor on the device. Its memory may be that of `host` where the device is the host.
  at::Tensor Upload(const at::Tensor& host);

  /// Waits until all that was uploaded is there.
  void Finish();

  /// Before the thread that computes uses `uploaded`: its memory stays taken until the current stream is done with it.
  static void HandOver(const at::Tensor& uploaded);

 private:
  struct Stage;
  const at::Device device_;
  std::unique_ptr<Stage> stage_;  // Null on the host.
};

/// Two buffers that pieces of tensors go through in turn.
struct BITLAW_EXPORT StagingBuffers {
  std::array<at::Tensor, 2> bytes{};           ///< [size] uint8 on the host, of equal sizes
  std::function<void(size_t)> wait = {};       ///< Returns when buffer 0 or 1 may be filled again.
  std::function<void(size_t)> sent = {};       ///< Told when the copy of a buffer has been begun.
  size_t next = 0;
  int threads = 1;                             ///< That fill a buffer: one alone copies mapped pages at a tenth of a bus.

  /// Copies `host` to `target`, of the same shape and dtype and contiguous.
  void Copy(const at::Tensor& host, const at::Tensor& target);
};

}  // namespace bitlaw
