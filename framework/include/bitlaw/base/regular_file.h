#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A file opened for reading, whose type and size are known before a byte of it is read.
///
/// Every reader of a file that a user names opens it here, because a path may lead to what has no end (/dev/zero),
/// waits for a writer that never comes (a FIFO), or stands for another file (what Git leaves if Git LFS did not run).
///
/// Errors   Error(kIo) "path: what. ..." for a file that is missing or unreadable, a folder, FIFO, socket or device
///          (links are followed), and a Git LFS pointer.
class BITLAW_EXPORT RegularFile {
 public:
  explicit RegularFile(const std::filesystem::path& path);
  ~RegularFile();
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  int descriptor() const { return descriptor_; }
  /// When it was opened. 0 also for files that the kernel makes up as they are read (/proc).
  uint64_t size_bytes() const { return size_bytes_; }

  /// Error(kBudget) if the file has more than `max_bytes`.
  void RequireAtMost(uint64_t max_bytes) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_bytes_ = 0;
};

/// All bytes of a file that is held in memory. `max_bytes` is checked before reading, and again while reading if the
/// file grows: Error(kBudget) "path: has N bytes. At most M are accepted."; otherwise the errors of RegularFile.
///
/// Choose `max_bytes` by what a true file of the kind needs, not by what the machine holds: 16 MiB for what people
/// write, more for data, and less where parsing multiplies it.
BITLAW_EXPORT std::string ReadRegularFile(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace bitlaw
