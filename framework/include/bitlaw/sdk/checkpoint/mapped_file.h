#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A whole file mapped into memory: opening is instant, and pages are read when they are first touched.
///
/// The mapping is private and copy-on-write, so that a view of it may be handed out as an ordinary tensor: writing
/// through one changes this process's copy of the page and never the file. A file that is cut short while it is
/// mapped ends the process at the first touch beyond its new end (SIGBUS); checkpoints must not change under a run.
class BITLAW_EXPORT MappedFile {
 public:
  /// The errors of RegularFile, and Error(kIo) if the file is empty.
  static std::shared_ptr<const MappedFile> Open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size_bytes() const { return size_bytes_; }
  const std::byte* bytes() const { return bytes_; }

  /// Gives the whole pages of `bytes()[offset, offset + count)` back to the system, with what was written to them: the next
  /// touch reads the file again.
  void Release(uint64_t offset, uint64_t count) const;

 private:
  MappedFile(std::filesystem::path path, std::byte* bytes, uint64_t size_bytes)
      : path_(std::move(path)), bytes_(bytes), size_bytes_(size_bytes) {}
  std::filesystem::path path_;
  std::byte* bytes_;
  uint64_t size_bytes_;
};

}  // namespace bitlaw
