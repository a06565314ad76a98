#pragma once

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Lets libtorch use `threads` threads inside one operation; 0: one a core that this process may run on (its
/// affinity mask counts). Also keeps large buffers in the heap between operations: each operation would otherwise
/// have its pages faulted in anew. Returns the number now in use.
///
/// Called once in a process, before the first operation: some builds of libtorch start with a single thread.
BITLAW_EXPORT int SetTorchThreads(int threads);

/// While it lives, libraries that this thread calls compute on it alone: their sums, and what is factored from them, then do
/// not depend on how many threads there are.
class BITLAW_EXPORT OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int threads_;
};

}  // namespace bitlaw
