#pragma once

#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// What a plugin can change of its process so that later work gives other numbers or other files: the rounding of
/// floating-point arithmetic, how it takes subnormal numbers, the locale, the mode that files are made with.
///
/// Threads  Construct and ask from the thread that runs the trials.
class BITLAW_EXPORT ProcessState {
 public:
  ProcessState();  ///< As it is now.
  /// "" if all is as it was, else what is not: "rounds floating-point numbers in another direction".
  std::string Change() const;
  /// Makes it again what it was: the process, and of its threads the calling one.
  void Restore() const;
  /// The calling thread's arithmetic alone. A thread has it from the one that made it, and keeps it.
  void RestoreThread() const;

 private:
  int rounding_ = 0;
  unsigned subnormals_ = 0;
  unsigned umask_ = 0;
  std::string locale_;
};

}  // namespace bitlaw
