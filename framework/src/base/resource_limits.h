#pragma once

#include <sys/resource.h>

#include <array>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// The limits that the kernel holds this process to (getrlimit(2)): open files, sizes of files, memory and the like.
class BITLAW_EXPORT ResourceLimits {
 public:
  ResourceLimits();  ///< As they are now.
  /// Raises again what was lowered since; what was raised stays. False where the kernel does not let it: a hard limit
  /// that was lowered is raised by none but a privileged process (CAP_SYS_RESOURCE).
  bool Restore() const;

 private:
  std::array<rlimit, RLIM_NLIMITS> limits_{};
};

}  // namespace bitlaw
