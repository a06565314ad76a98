#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Keeps a second `bitlaw run` from what one process at a time may do in an output folder: begin a campaign, and write
/// observations, fits and the report. Held until released or destroyed, or until the process ends in whatever way: a lock
/// file that a dead process left behind locks nothing and is taken over.
class BITLAW_EXPORT OutputLock {
 public:
  /// Makes the folder if it is missing, and opens the lock file. The lock is not taken. Error(kIo).
  explicit OutputLock(const std::filesystem::path& output);
  ~OutputLock();
  /// Takes the lock, waiting while somebody else has it: `wait` is called again and again, with a line that names the
  /// process and host once, and sleeps; false: give up, and return false. Error(kIo) where the system has no locks.
  bool Take(const std::function<bool(const std::string& line)>& wait);
  void Release();
  /// Error(kIo) if the locked file is no longer the one of that name: the folder was deleted, moved or replaced.
  void CheckHeld() const;
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

 private:
  std::filesystem::path output_;
  int fd_ = -1;
  bool is_held_ = false;
};

}  // namespace bitlaw
