#pragma once

#include <csignal>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// While it lives, SIGINT, SIGTERM, SIGUSR1 and SIGHUP (unless it is ignored: nohup) set flags and end a poll(), and SIGPIPE
/// (a worker that died) is an error code; put back at the end. One at a time a process.
class BITLAW_EXPORT StopSignals {
 public:
  /// `terminate_leaves`: SIGTERM asks to leave, too; otherwise it stops.
  explicit StopSignals(bool terminate_leaves);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  static int stops();   ///< The signal that ends everything at once, also the second one that asks to leave; 0: none yet.
  static int leaves();  ///< The signal that lets the trials in hand end: SIGUSR1, or SIGTERM; 0: none yet.

 private:
  struct sigaction interrupt_ {}, terminate_ {}, hang_up_ {}, user_ {}, pipe_ {};
};

}  // namespace bitlaw
