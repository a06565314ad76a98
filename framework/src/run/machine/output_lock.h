#pragma once

#include <filesystem>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Keeps a second `bitlaw run` out of an output folder. Held until destroyed, or until the process ends in whatever
/// way: a lock file that a dead process left behind locks nothing and is taken over.
class BITLAW_EXPORT OutputLock {
 public:
  /// Makes the folder if it is missing. Error(kIo) that names the process and host that hold the lock.
  explicit OutputLock(const std::filesystem::path& output);
  ~OutputLock();
  /// Error(kIo) if the locked file is no longer the one of that name: the folder was deleted, moved or replaced.
  void CheckHeld() const;
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

 private:
  std::filesystem::path output_;
  int fd_ = -1;
};

}  // namespace bitlaw
