#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Threads of each of `workers` processes that share `threads`; 1 at least.
BITLAW_EXPORT int ThreadsOfWorker(int threads, int workers);

/// Which of `devices`, one at least, worker `number`, from 0, computes on: they are taken in turn.
BITLAW_EXPORT const std::string& DeviceOfWorker(const std::vector<std::string>& devices, size_t number);

/// That `workers`, with so many threads each, are more than `cores`, and what to do; "" where they are not.
BITLAW_EXPORT std::string ExplainOversubscription(int workers, int threads_of_worker, int cores);

}  // namespace bitlaw
