#pragma once

#include <cstdint>
#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// How often the kernel has ended a process for want of memory: on this machine since it was started, or, where it tells,
/// in this process's control group (a container's or a batch job's limit). -1 where it does not tell.
struct BITLAW_EXPORT MemoryKills {
  int64_t of_machine = -1, of_group = -1;
};
BITLAW_EXPORT MemoryKills CountMemoryKills();

/// What became of a worker process.
struct BITLAW_EXPORT Death {
  std::string kind;    ///< "memory", "signal" or "crash" (any other end).
  std::string reason;  ///< "the worker process ended: SIGSEGV (it touched memory that is not there)."
};
/// `end` and `signal` as WorkerProcess::Reap() and ended_by() give them; `before`: when the process was started.
BITLAW_EXPORT Death DeathOf(const std::string& end, int signal, const MemoryKills& before, const MemoryKills& now);

}  // namespace bitlaw
